"""Join segments into one file without re-encoding, with the streams, times and tags of an uninterrupted run.

The file is opened as for a run, its encoder idle, and receives the segments' packets. A segment defines the
order of its frames; presentation times come from the film's own clock, so that no container's rounding is
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

# stores packets, codec parameters and any clock unchanged
CONTAINER = "nut"
UNKNOWN_TO_IT = {"prores_ks": "mov", "exr": "mov"}


def join(job: Job, request: RenderRequest, outputs: Mapping[Path, OutputFile], host: Host) -> list[Path]:
    """Write a film's files that have an output, from its finished units; return the paths of all files."""
    frames, paths = job.units[-1].stop, request.paths
    for place, file in reversed(list(enumerate(request.files))):  # the clip's file is completed last
        if (output := outputs.get(file.path)) is None:
            continue
        ahead = max(result.files[place]["ahead"] for result in job.records.values())
        marks = {**request.tags, CLAIM: mark(job.identity, place)}
        info, audio = request.info(file), request.sound(file)
        with Joined(output, info, file.settings, ahead=ahead, audio=audio, metadata=marks) as joined:
            for number in range(len(job.units)):
                joined.append(job.place / segment_name(number, place))
                host.tick(frames, frames)
        paths[place] = output.path
    return paths


def segment_entry(entry: Preset, info: ClipInfo) -> Preset:
    """Return the preset of a film's segments: its own encoder, without the tags of the finished file."""
    clock = Clock(info, entry.clock).unit.denominator if info.times else entry.clock
    return replace(
        entry,
        container=UNKNOWN_TO_IT.get(entry.codec, CONTAINER),
        clock=clock,
        codec_tag=None,
        muxer={},
        pictures="",
    )


def order(path: Path) -> list[int]:
    """Return the frame number in the segment of each packet, in decoding order.

    Raise ValueError if packets have no distinct timestamps.
    """
    with open_media(path) as segment:
        shown = [packet.pts for packet in segment.demux(video=0) if packet.size]
    places = {pts: place for place, pts in enumerate(sorted(set(shown) - {None}))}
    if len(places) != len(shown):
        raise ValueError(f"{path.name} has frames without distinct timestamps. Delete it and run again.")
    return [places[pts] for pts in shown]


def delay(order: list[int]) -> int:
    """Return how many frames decoding must be ahead of presentation."""
    return max((place - shown for place, shown in enumerate(order)), default=0)


class Joined(Writer):
    """Writes one file from segments, in order; ``ahead`` is the largest ``delay`` of any of them."""

    def __init__(self, path: Path | PartFile, info: ClipInfo, settings: EncodeOptions, *, ahead: int, **more):
        super().__init__(path, info, settings, **more)
        self._ahead = ahead

    def append(self, segment: Path) -> None:
        """Append the next segment; raise ValueError if its encoder parameters differ from this file's."""
        self._result(self._thread.submit(self._append, segment, order(segment)))

    # What follows runs in the encoder's thread.

    def _append(self, path: Path, order: list[int]) -> None:
        assert self._output
        start = self.frames
        self.frames = self._encoded = start + len(order)
        with open_media(path) as segment:
            stream = segment.streams.video[0]
            if stream.codec_context.extradata != self._output.extradata:
                raise ValueError(
                    f"{path.name} was encoded with other parameters than this machine uses. "
                    f"Delete {path.parent.parent} and run again."
                )
            packets = (packet for packet in segment.demux(stream) if packet.size)
            self._mux(self._moved(packets, start, order))

    def _moved(self, packets: Iterator[av.Packet], start: int, order: list[int]) -> Iterator[av.Packet]:
        for number, (packet, shown) in enumerate(zip(packets, order), start):
            frame = start + shown
            packet.time_base = self._clock.unit
            pts = self._clock.tick(frame)
            packet.pts, packet.dts = pts, self._decoded(number)
            self._lengths[pts] = self._clock.tick(frame + 1) - pts
            yield packet

    def _decoded(self, number: int) -> int:
        """Return the decoding time of a packet."""
        place = number - self._ahead
        return self._clock.tick(place) if place >= 0 else -self._clock.tick(-place)
