"""The facts of a video file, read once: size, exact rate, every frame's timestamp, colour, audio.

Frames are counted by reading the packets, because the counts in containers are absent or wrong.
"""

from __future__ import annotations

import dataclasses
import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import av.error
from av.stream import Disposition

from ...core.clip import Color, Soundtrack
from ...core.file_cache import FileCache
from ...core.transforms import square_width
from .. import colour
from ..layouts.packing import Packing
from ..multiview.views import views_of
from ..paths import check_file
from ..tags import kept_tags
from .container import open_media
from .joins import Join
from .light import read_light
from .packets import Entry, PacketIndex, skip_others
from .rates import FURTHEST, read_rate
from .stereo import read_tags
from .transparency import alpha_decoder, has_alpha, is_transparent

SENSIBLE = Fraction(1, 8), Fraction(8)  # shapes of a pixel, width over height
FIELD_ORDERS = {2: "tff", 3: "bff", 4: "tff", 5: "bff"}  # AVFieldOrder: the field that is shown first


@dataclass(frozen=True)
class FileFacts:
    """Facts of a video file. ``width`` and ``height`` are as displayed: upright, with square pixels.

    ``pts`` are the timestamps of the frames in display order, in ticks of ``time_base``, empty if the file
    does not time every frame. ``times`` are seconds from the first frame, present only if the rate varies;
    ``fps`` is then the rate of most frames, or else the mean.
    """

    path: Path
    width: int
    height: int
    coded: tuple[int, int]  # width and height of a decoded frame
    aspect: Fraction  # of a decoded frame's pixels, width over height
    rotation: int  # degrees clockwise, after mirroring
    mirrored: bool
    fps: Fraction
    frames: int
    times: tuple[Fraction, ...] | None
    start_time: Fraction  # of the first frame, on the container's clock
    duration: Fraction
    color: Color
    full_range: bool
    rgb: bool  # the pixels are RGB, without a matrix
    fields: str  # "": progressive; "auto": frames are flagged; "tff" or "bff": from the container only
    alpha: bool  # frames may have transparent parts
    transparent: bool  # they have, as far as the header or the first frame shows
    decoder: str  # that reads the alpha; empty: the codec's own
    pix_fmt: str
    bit_depth: int
    audio_streams: int
    audio_layout: str  # of the first audio stream, such as stereo or 5.1; empty if there is none
    extras: int  # subtitle streams and chapters
    stream: int
    time_base: Fraction
    pts: tuple[int, ...]
    stamped: bool  # decoded frames carry these timestamps; otherwise they are known by their order only
    entries: tuple[Entry, ...]  # at which decoding can start
    paired: bool  # some frames are two fields that are coded separately
    joins: tuple[Join, ...]  # where the clock of a transport stream jumps
    views: tuple[int, int] | None  # the numbers of the left and the right view, if the stream has both
    view: int | None  # the one that is decoded; None: the only one, or what other players show
    missing: int  # estimated frames that a truncated file lacks; 0 if it is complete
    tags: Mapping[str, str]  # title, date … of the container
    packing: Packing | None  # of two views in a frame, if the file declares one

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height of an upright frame with the file's own pixels."""
        return self.coded if self.rotation % 180 == 0 else self.coded[::-1]

    @property
    def pixel_aspect(self) -> Fraction:
        """The shape of a pixel of an upright frame, width over height; 1 if nothing is to be scaled."""
        if self.upright == (self.width, self.height):
            return Fraction(1)
        return self.aspect if self.rotation % 180 == 0 else 1 / self.aspect

    @property
    def interlaced(self) -> bool:
        return bool(self.fields)

    def time(self, frame: int) -> Fraction:
        """Return when a frame is shown, in seconds from the first."""
        return self.times[frame] if self.times and frame < len(self.times) else frame / self.fps


def probe(path: str | os.PathLike, files: FileCache | None = None) -> FileFacts:
    """Return a file's facts, read only if not in ``files``; raise ValueError if it holds no video."""
    check_file(path)
    real = os.path.realpath(path)
    return files.get(real, "facts", lambda: _probe(real)) if files else _probe(real)


def picture_span(audio: Soundtrack) -> tuple[Fraction, Fraction, tuple[Join, ...]]:
    """Return the start of a soundtrack's video on the file's clock, its duration, and the clock's joins."""
    if audio.picture:
        return audio.picture
    facts = probe(audio.file)
    return facts.start_time, facts.duration, facts.joins


def fingerprint(path: str | os.PathLike) -> tuple[str, int, int]:
    """Return real path, size and modification time, which are equal as long as the file is the same.

    Raise FileNotFoundError if there is no such file.
    """
    check_file(path)
    real = os.path.realpath(path)
    status = os.stat(real)
    return real, status.st_size, status.st_mtime_ns


def _probe(real: str) -> FileFacts:
    name = os.path.basename(real)
    with open_media(real) as container:
        stream = video_stream(container, name)
        skip_others(container, stream)
        views = _views(real, stream)
        packets = PacketIndex(container, stream)
        if packets.first is None or not packets.frames:
            raise ValueError(f"{name} has no frame that can be decoded. Check that the file is complete.")
        # not exposed by PyAV 14
        chapters = container.chapters() if hasattr(container, "chapters") else []
        return FileFacts(
            path=Path(real),
            stream=stream.index,
            fields=_fields(stream, packets.first),
            audio_streams=len(container.streams.audio),
            tags=kept_tags(container.metadata),
            audio_layout=_layout(container),
            extras=len(container.streams.subtitles) + len(chapters),
            packing=None if views else read_tags(Path(real), container, stream, packets.first),
            views=views,
            view=None,
            **_shape(stream, packets.first),
            **_timing(stream, packets),
            **_colour(stream, packets.first),
            **_alpha(container, stream, packets.first),
        )


def _layout(container) -> str:
    """Return the layout of the first audio stream if it can be read."""
    if not container.streams.audio or container.streams.audio[0].codec_context is None:
        return ""
    return container.streams.audio[0].layout.name


def _views(real: str, stream) -> tuple[int, int] | None:
    """Return the views of a stream that states two, if FFmpeg decodes both."""
    context = stream.codec_context
    found = views_of(bytes(context.extradata or b"")) if context.name == "hevc" else None
    if found is None:
        return None
    with open_media(real) as container:
        again = container.streams[stream.index]
        again.codec_context.options = {"view_ids": "-1"}
        try:
            shown = [frame.pts for frame in islice(container.decode(again), 2)]
        except av.error.FFmpegError:
            return None
    return found if len(shown) == 2 and shown[0] == shown[1] else None


def video_stream(container, name: str) -> av.VideoStream:
    """Return the first video stream that is not cover art; raise ValueError if there is none."""
    streams = [
        stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic
    ]
    if not streams:
        raise ValueError(
            f"{name} holds no video{', only audio' if container.streams.audio else ''}. "
            "Choose a file with a video stream."
        )
    if streams[0].codec_context is None:
        raise ValueError(
            f"{name} uses a video codec that this build of PyAV cannot decode. Convert it first."
        )
    return streams[0]


def _timing(stream, packets: PacketIndex) -> dict:
    tick = Fraction(stream.time_base)
    declared = [
        Fraction(rate) for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate) if rate
    ]
    pts = packets.pts
    fps, varies = read_rate(pts, tick, declared)
    times = tuple((p - pts[0]) * tick for p in pts) if varies else None
    start = (pts[0] if pts else stream.start_time or 0) * tick
    start = start if abs(start) <= FURTHEST else Fraction(0)
    return {
        "fps": fps,
        "frames": packets.frames,
        "times": times,
        "start_time": start,
        "duration": 2 * times[-1] - times[-2] if times else packets.frames / fps,
        "time_base": tick,
        "pts": tuple(pts),
        "stamped": packets.stamped,
        "entries": tuple(packets.entries),
        "paired": packets.paired,
        "joins": packets.joins,
        "missing": packets.missing,
    }


def _shape(stream, frame) -> dict:
    turns, mirrored = _orientation(frame)
    aspect = Fraction(stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or 1)
    aspect = aspect if SENSIBLE[0] < aspect < SENSIBLE[1] else Fraction(1)
    width, height = square_width(frame.width, aspect), frame.height
    if turns % 2:
        width, height = height, width
    return {
        "width": width,
        "height": height,
        "coded": (frame.width, frame.height),
        "aspect": aspect,
        "rotation": 90 * turns,
        "mirrored": mirrored,
    }


def _orientation(frame) -> tuple[int, bool]:
    """Return quarter turns clockwise, and whether to mirror left and right first, from the display matrix."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return 0, False
    a, b, _, c, d = struct.unpack("=5i", bytes(data)[:20])
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    return round(math.degrees(math.atan2(b, a)) / 90) % 4, mirrored


def _colour(stream, frame) -> dict:
    context, pixels = stream.codec_context, frame.format
    rgb = pixels.is_rgb or pixels.has_palette
    color = colour.resolve(
        context.color_primaries, context.color_trc, context.colorspace, frame.width, frame.height, rgb
    )
    color = dataclasses.replace(color, light=read_light(frame))
    full = rgb or pixels.name.startswith(("yuvj", "gray", "ya", "mono")) or context.color_range == colour.FULL
    return {
        "color": color,
        "full_range": full,
        "rgb": rgb,
        "pix_fmt": pixels.name,
        "bit_depth": max(component.bits for component in pixels.components),
    }


def _alpha(container, stream, frame) -> dict:
    alpha, decoder = has_alpha(container, stream, frame), alpha_decoder(stream)
    transparent = bool(decoder) or (alpha and is_transparent(frame))
    return {"alpha": alpha, "transparent": transparent, "decoder": decoder}


def _fields(stream, frame) -> str:
    if frame.interlaced_frame:
        return "auto"
    return FIELD_ORDERS.get(getattr(stream.codec_context, "field_order", 0), "")  # not exposed by older PyAV
