"""Copy a video file that StereoReel wrote, packet by packet, under other tags."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path

import av
from av.video.stream import VideoStream

from ...core import cancel
from ...core.files import OutputFile
from ...core.system_errors import plain_errors
from ..read.container import open_media
from ..read.packets import demux
from ..tags import kept_tags
from .codec import MATROSKA
from .display_size import RESERVED, write_display_size
from .subtitles import copy_fonts

MOVING = ("mp4", "mov")
OWN = ("major_brand", "minor_version", "compatible_brands", "encoder", "ENCODER", "DURATION")


def copy_video(
    source: str | os.PathLike,
    path: str | os.PathLike,
    container: str,
    metadata: Mapping[str, str],
    tick: Callable[[int, int], None] | None = None,
) -> Path:
    """Copy every stream of ``source`` into ``path``, which is replaced, under other tags.

    ``metadata`` replaces all tags of the source but its title, date and the like. ``container`` is FFmpeg's
    name of the source's own. Return the path.
    """
    with cancel.polling(tick), OutputFile(Path(path), replace=True) as output:
        part = output.create()
        with plain_errors(output.path), open_media(source) as read:
            aspect = _copy(read, part, container, metadata)
        if aspect != 1 and container in MATROSKA:
            write_display_size(part, aspect)
        return output.publish()


def _copy(
    read: av.container.InputContainer, part: Path, container: str, metadata: Mapping[str, str]
) -> Fraction:
    """Copy the streams; return the shape of a pixel, which Matroska files then lack."""
    kept = [stream for stream in read.streams if stream.codec_context]  # an MP4's chapters have no codec
    shapes = [stream.sample_aspect_ratio for stream in kept if isinstance(stream, VideoStream)]
    aspect = Fraction((shapes and shapes[0]) or 1)
    reserves = aspect != 1 and container in MATROSKA
    options = {"write_crc32": "0"} if reserves else {}
    if container in MOVING:
        ticks = max(Fraction(stream.time_base).denominator for stream in kept if stream.time_base)
        options = {"movflags": "faststart+use_metadata_tags", "movie_timescale": str(ticks)}
    with av.open(str(part.absolute()), "w", format=container, container_options=options) as written:
        written.metadata.update({**kept_tags(read.metadata), **metadata})
        copies = {}
        for stream in kept:
            copy = copies[stream.index] = written.add_stream_from_template(stream, opaque=True)
            copy.time_base = stream.time_base
            if isinstance(stream, VideoStream) and stream.average_rate:
                copy.codec_context.framerate = stream.average_rate
            if isinstance(stream, VideoStream) and aspect != 1:
                copy.codec_context.sample_aspect_ratio = aspect
            if container in MOVING and stream.codec_context.codec_tag.strip("\0"):
                copy.codec_context.codec_tag = stream.codec_context.codec_tag
            copy.metadata.update({k: v for k, v in stream.metadata.items() if k not in OWN})
            if isinstance(stream, VideoStream) and reserves:
                copy.metadata["title"] = RESERVED
            copy.disposition = stream.disposition.value
        if container == "matroska":
            copy_fonts(written, read)
        if hasattr(read, "chapters"):
            written.set_chapters(read.chapters())
        for packet in _timed(demux(read, kept)):
            packet.stream = copies[packet.stream.index]
            written.mux(packet)
    return aspect


def _timed(packets: Iterable[av.Packet]) -> Iterator[av.Packet]:
    """Give leading packets the decoding times that Matroska does not store, so that none is dropped."""
    waiting: dict[int, list[av.Packet]] = {}
    begun: set[int] = set()
    for packet in packets:
        if not packet.size:
            continue
        index = packet.stream.index
        leading = waiting.setdefault(index, [])
        if packet.dts is None and index not in begun:
            leading.append(packet)
            continue
        if packet.dts is not None:
            _count_back(leading, packet.dts)
        begun.add(index)
        yield from leading
        leading.clear()
        yield packet
    for leading in waiting.values():  # of streams so short that no packet had a time
        first = leading[0].pts if leading else None
        if first is not None:
            _count_back(leading, first + 1)
        yield from leading


def _count_back(leading: list[av.Packet], dts: int) -> None:
    for packet in reversed(leading):
        dts -= packet.duration or 1
        packet.dts = dts
