"""Segments into one file, without encoding again: the same streams, times and marks that an uninterrupted run would write.

The file is opened as for a run, its encoder idle, and is given the segments' packets. A segment tells the
order of its frames; when each is shown is the film's own clock, so that no rounding of any container is
carried over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import av

from ..core.clip import ClipInfo
from ..core.files import OutputFile, PartFile
from ..core.host import Host
from ..media.read.clock import Clock
from ..media.read.container import open_media
from ..media.write.encode import Writer
from ..media.write.options import EncodeOptions
from ..media.write.presets import Preset
from ..media.write.request import RenderRequest
from .finished import CLAIM, mark
from .job import Job, segment_name

# keeps packets and their codec's description as the encoder made them, and any clock exactly
CONTAINER = "nut"
UNKNOWN_TO_IT = {"prores_ks": "mov"}


def join(job: Job, request: RenderRequest, outputs: Mapping[Path, OutputFile], host: Host) -> list[Path]:
    """Write those files of a film that have an output, from its finished units; the paths of all its files."""
    frames, paths = job.units[-1].stop, request.paths
    for place, file in reversed(list(enumerate(request.files))):  # the clip's file is completed last
        if (output := outputs.get(file.path)) is None:
            continue
        ahead = max(made.files[place]["ahead"] for made in job.made.values())
        marks = {**(request.metadata or {}), CLAIM: mark(job.identity, place)}
        more = {"ahead": ahead, "audio": request.sound(file), "metadata": marks}
        with Joined(output, request.info(file), file.settings, **more) as joined:
            for number in range(len(job.units)):
                joined.append(job.place / segment_name(number, place))
                host.tick(frames, frames)
        paths[place] = output.path
    return paths


def segment_entry(entry: Preset, info: ClipInfo) -> Preset:
    """The preset of a film's segments, of the film's own preset: the same encoder, without the marks of the finished file."""
    clock = Clock(info, entry.clock).unit.denominator if info.times else entry.clock
    return replace(
        entry, container=UNKNOWN_TO_IT.get(entry.codec, CONTAINER), clock=clock, codec_tag=None, muxer={}
    )


def order(path: Path) -> list[int]:
    """Of every packet of a segment, in the order of decoding, which frame of the segment it shows; ValueError where that cannot be told."""
    with open_media(path) as segment:
        shown = [packet.pts for packet in segment.demux(video=0) if packet.size]
    places = {pts: place for place, pts in enumerate(sorted(set(shown) - {None}))}
    if len(places) != len(shown):
        raise ValueError(f"{path.name} holds frames without a time of their own; delete it and run again.")
    return [places[pts] for pts in shown]


def delay(order: list[int]) -> int:
    """By how many frames decoding must be ahead of showing, so that every packet comes before its frame is due."""
    return max((place - shown for place, shown in enumerate(order)), default=0)


class Joined(Writer):
    """One file in the making from segments, in order; ``ahead`` is the largest ``delay`` of any of them."""

    def __init__(self, path: Path | PartFile, info: ClipInfo, settings: EncodeOptions, *, ahead: int, **more):
        super().__init__(path, info, settings, **more)
        self._ahead = ahead

    def append(self, segment: Path) -> None:
        """The next segment; ValueError where it was encoded in another way than this file says."""
        self._result(self._thread.submit(self._append, segment, order(segment)))

    # What follows runs in the encoder's thread.

    def _append(self, path: Path, order: list[int]) -> None:
        start = self.frames
        self.frames = self._encoded = start + len(order)
        with open_media(path) as segment:
            stream = segment.streams.video[0]
            if stream.codec_context.extradata != self._stream.codec_context.extradata:
                raise ValueError(
                    f"{path.name} was encoded in another way than this machine does it; delete {path.parent.parent} and run again."
                )
            packets = (packet for packet in segment.demux(stream) if packet.size)
            self._mux(self._moved(packets, start, order))

    def _moved(self, packets: Iterator[av.Packet], start: int, order: list[int]) -> Iterator[av.Packet]:
        for number, (packet, shown) in enumerate(zip(packets, order), start):
            frame = start + shown
            packet.stream, packet.time_base = self._stream, self._clock.unit
            packet.pts, packet.dts = self._clock.tick(frame), self._decoded(number)
            self._lengths[packet.pts] = self._clock.tick(frame + 1) - packet.pts
            yield packet

    def _decoded(self, number: int) -> int:
        """When a packet is due to be decoded."""
        place = number - self._ahead
        return self._clock.tick(place) if place >= 0 else -self._clock.tick(-place)
