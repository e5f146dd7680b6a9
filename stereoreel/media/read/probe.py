"""The facts of a video file, read once: size, exact rate, every frame's timestamp, colour, audio.

Frames are counted by reading the packets, because the counts in containers are absent or wrong.
"""

from __future__ import annotations

import dataclasses
import math
import os
import struct
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import av.error
from av.stream import Disposition

from ...core.clip import Soundtrack
from ...core.file_cache import FileCache
from ...core.numbered import names_pictures, numbered
from ...core.transforms import square_width
from .. import colour
from ..layouts.packing import Packing, of_layout
from ..multiview.views import views_of
from ..paths import check_file
from ..tags import kept_tags
from .animation import is_animated_webp, read_animation
from .container import STILL_SUFFIXES, open_media
from .file_facts import FileFacts
from .image_files import exif_orientation
from .joins import Join
from .light import read_light, side_data
from .packets import PacketIndex, skip_others
from .picture_note import read_note, sound_of
from .pictures import check_sizes, is_float
from .rates import FURTHEST, read_rate
from .stereo import LAYOUT_TAG, read_tags
from .transparency import alpha_decoder, has_alpha, is_transparent

SENSIBLE = Fraction(1, 8), Fraction(8)  # shapes of a pixel, width over height
PICTURE_RATE = Fraction(24)  # frames a second of numbered pictures, which have no rate of their own
FIELD_ORDERS = {2: "tff", 3: "bff", 4: "tff", 5: "bff"}  # AVFieldOrder: the field that is shown first


def probe(path: str | os.PathLike, files: FileCache | None = None) -> FileFacts:
    """Return a file's facts, read only if not in ``files``; raise ValueError if it holds no video.

    A folder or pattern of numbered pictures is one file, of ``PICTURE_RATE`` frames a second unless a note of
    Encode Video is with them.
    """
    read = _probe
    if names_pictures(path):
        read = _probe_pictures
    else:
        check_file(path)
    real = os.path.realpath(path)
    return files.get(real, "facts", lambda: read(real)) if files else read(real)


def picture_span(audio: Soundtrack) -> tuple[Fraction, Fraction, tuple[Join, ...]]:
    """Return the start of a soundtrack's video on the file's clock, its duration, and the clock's joins."""
    if audio.picture:
        return audio.picture
    facts = probe(audio.file)
    return facts.start_time, facts.duration, facts.joins


def fingerprint(path: str | os.PathLike) -> tuple[str, int, int]:
    """Return real path, size and modification time, which are equal as long as the file is the same.

    For numbered pictures these are their total size, and a hash of their names, sizes and modification times.
    Raise FileNotFoundError if there is no such file.
    """
    if names_pictures(path):
        return numbered(path).state[:3]
    check_file(path)
    real = os.path.realpath(path)
    status = os.stat(real)
    return real, status.st_size, status.st_mtime_ns


def _probe(real: str) -> FileFacts:
    name = os.path.basename(real)
    if is_animated_webp(real):
        return _of_animation(real)
    with open_media(real) as container:
        stream = video_stream(container, name)
        skip_others(container, stream)
        views = _views(real, stream)
        packets = PacketIndex(container, stream)
        if packets.first is None or not packets.frames:
            raise ValueError(f"{name} has no frame that can be decoded. Check that the file is complete.")
        if container.format.name == "gif" and packets.frames < stream.frames:
            return _of_animation(real)  # FFmpeg does not separate frames without a delay
        # not exposed by PyAV 14
        chapters = container.chapters() if hasattr(container, "chapters") else []
        return FileFacts(
            path=Path(real),
            stream=stream.index,
            codec=stream.codec_context.name,
            fields=_fields(stream, packets.first),
            audio_streams=len(container.streams.audio),
            tags=kept_tags(container.metadata),
            audio_layout=_layout(container),
            extras=len(container.streams.subtitles) + len(chapters),
            packing=None if views else read_tags(Path(real), container, stream, packets.first),
            views=views,
            view=None,
            **_shape(stream, packets.first, _orientation(packets.first, real)),
            **_timing(stream, packets),
            **_colour(stream, packets.first),
            **_alpha(container, stream, packets.first),
        )


def audio_layout(path: Path) -> str:
    """Return the layout of a file's first audio stream, such as ``stereo``; empty if there is none."""
    with open_media(path) as container:
        return _layout(container)


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


def _probe_pictures(real: str) -> FileFacts:
    """Return the facts of numbered pictures: those of the first, and how many there are."""
    found = numbered(real)
    check_sizes(found.files, found.path.name)
    folder = found.files[0].parent
    note = read_note(folder)
    fps = note.fps if note else PICTURE_RATE
    sound = sound_of(folder) if note and note.frames == len(found.files) else None
    first = _probe(os.path.realpath(found.files[0]))
    if first.animation:
        raise ValueError(
            f"{found.files[0].name} is an animation. Open it alone, or name pictures of one frame each."
        )
    return dataclasses.replace(
        first,
        path=found.path,
        pictures=found.files,
        gaps=found.gaps,
        fps=fps,
        frames=len(found.files),
        times=None,
        start_time=Fraction(0),
        duration=len(found.files) / fps,
        audio_streams=int(sound is not None),
        sound=sound,
        pts=(),
        stamped=False,
        entries=(),
        missing=0,
        animation=False,
        tags=kept_tags(note.tags) if note else {},
        packing=_packing_of_note(note) if note else first.packing,
    )


def _packing_of_note(note) -> Packing | None:
    layout = note.tags.get(LAYOUT_TAG)
    return dataclasses.replace(of_layout(layout), reason="its own tag") if layout else None


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
    if name.lower().endswith(STILL_SUFFIXES):  # an animation follows the image that represents it
        streams.sort(key=lambda stream: -stream.frames)
    if streams[0].codec_context is None:
        raise ValueError(
            f"{name} uses a video codec that this build of PyAV cannot decode. Convert it first."
        )
    return streams[0]


def _of_animation(real: str) -> FileFacts:
    """Return the facts of an animated image that is read by Pillow."""
    width, height, alpha, (*pts, end) = read_animation(real)
    if not pts:
        raise ValueError(
            f"{os.path.basename(real)} has no frame that can be decoded. Check that the file is complete."
        )
    tick = Fraction(1, 1000)
    fps, varies = read_rate(pts, tick, [1 / (tick * (end - pts[-1]))] if len(pts) == 1 else [])
    times = tuple(stamp * tick for stamp in pts) if varies else None
    return FileFacts(
        path=Path(real),
        width=width,
        height=height,
        coded=(width, height),
        aspect=Fraction(1),
        rotation=0,
        mirrored=False,
        fps=fps,
        frames=len(pts),
        times=times,
        start_time=Fraction(0),
        duration=end * tick,
        color=colour.resolve(
            colour.UNSPECIFIED, colour.UNSPECIFIED, colour.UNSPECIFIED, width, height, rgb=True
        ),
        full_range=True,
        rgb=True,
        fields="",
        pix_fmt="rgba" if alpha else "rgb24",
        bit_depth=8,
        audio_streams=0,
        extras=0,
        stream=0,
        time_base=tick,
        pts=tuple(pts),
        stamped=False,
        entries=(),
        paired=False,
        joins=(),
        views=None,
        view=None,
        missing=0,
        alpha=alpha,
        transparent=alpha,
        decoder="",
        audio_layout="",
        tags={},
        packing=None,
        animation=True,
    )


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


def _shape(stream, frame, orientation: tuple[int, bool]) -> dict:
    turns, mirrored = orientation
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


def _orientation(frame, path: str) -> tuple[int, bool]:
    """Return quarter turns clockwise, and whether to mirror left and right first, from the display matrix.

    If the matrix of an image cannot be read, the image's EXIF data says the same.
    """
    found = side_data(frame)
    if found is None:
        exif = exif_orientation(path)
        return exif if exif is not None else (round(-frame.rotation / 90) % 4, False)
    data = found.get("DISPLAYMATRIX")
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
    decoder = alpha_decoder(stream)
    alpha = has_alpha(container, stream, frame) and not is_float(frame.format.name)  # premultiplied
    transparent = bool(decoder) or (alpha and is_transparent(frame))
    return {"alpha": alpha, "transparent": transparent, "decoder": decoder}


def _fields(stream, frame) -> str:
    if frame.interlaced_frame:
        return "auto"
    return FIELD_ORDERS.get(getattr(stream.codec_context, "field_order", 0), "")  # not exposed by older PyAV
