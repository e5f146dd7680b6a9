"""Read the lines of a subtitle stream: text as events of ASS, pictures with their place on a canvas."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import av
import av.error
import numpy as np
from av.subtitles.codeccontext import SubtitleCodecContext
from av.subtitles.subtitle import BitmapSubtitle, SubtitleSet

from ..read.container import open_media
from ..read.joins import Join
from ..read.packets import demux, skip_others
from .script import Event, Script, parse_event, parse_script

TEXT = ("subrip", "ass", "mov_text", "webvtt", "text")
PICTURES = ("hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle")
READERS = {".srt": "srt", ".ass": "ass", ".ssa": "ass", ".vtt": "webvtt"}  # of files with text alone
LARGEST_FILE = 64 << 20  # bytes of a file with text
FONTS = re.compile(r"font|truetype|opentype|sfnt", re.IGNORECASE)  # in the MIME type of an attachment
MOST_FONTS = 256 << 20  # bytes of those of a video
MOST_PIXELS = 1 << 25  # of a picture
MOST_LINES = 1 << 18
LONGEST, UNKNOWN = 60, 3600  # seconds of a picture without an end; durations that are none
NO_END = 0xFFFF_FFFF  # milliseconds
COLOUR_TABLE, DISPLAY = 0x12, 0x14  # segments of DVB subtitles
SD = (576, 720)  # height and width of a canvas without a size
CORRUPT = (
    "The subtitles of {} cannot be read: they are corrupt, or of another type. Choose another track or file."
)


@dataclass(frozen=True)
class Picture:
    """A picture at ``x, y`` of a canvas of ``width`` x ``height``; ``packed`` holds its RGBA bytes."""

    canvas: tuple[int, int]
    box: tuple[int, int, int, int]  # x, y, width, height
    packed: bytes = field(repr=False)

    @property
    def rgba(self) -> np.ndarray:
        """Its pixels ``[h, w, 4]``, uint8, straight alpha."""
        _, _, width, height = self.box
        return np.frombuffer(zlib.decompress(self.packed), np.uint8).reshape(height, width, 4)


@dataclass(frozen=True)
class Cue:
    """What is shown from ``begin`` to ``end``, in seconds of the clip."""

    begin: Fraction
    end: Fraction
    shown: Event | Picture


@dataclass(frozen=True)
class Cues:
    """The lines of a track in the order of their begin; ``fonts`` are files that come with it."""

    script: Script
    lines: tuple[Cue, ...]
    fonts: tuple[bytes, ...] = field(default=(), repr=False)

    def within(self, start: Fraction, pace: Fraction, duration: Fraction) -> Cues:
        """Return the lines of a window, in seconds of a clip; ``pace`` is that of ``Soundtrack``."""
        moved = (
            replace(cue, begin=(cue.begin - start) / pace, end=(cue.end - start) / pace) for cue in self.lines
        )
        return replace(self, lines=tuple(cue for cue in moved if cue.end > 0 and cue.begin < duration))

    @property
    def digest(self) -> str:
        """Hexadecimal digits that are equal for equal lines."""
        state = hashlib.blake2b(digest_size=16)
        state.update(repr((self.script, self.lines)).encode("utf-8", "surrogatepass"))
        for cue in self.lines:
            state.update(cue.shown.packed if isinstance(cue.shown, Picture) else b"")
        for font in self.fonts:
            state.update(font)
        return state.hexdigest()


def read_file(path: Path) -> Cues:
    """Return the lines of a file with text alone; raise ValueError if it is no such file."""
    data = _text_of(path)
    try:
        with av.open(BytesIO(data), format=READERS[path.suffix.lower()]) as container:
            return _read(container, container.streams.subtitles[0], Fraction(0), ())
    except (av.error.FFmpegError, ValueError, IndexError):
        raise ValueError(CORRUPT.format(path.name)) from None


def read_stream(path: Path, index: int, start: Fraction, joins: Sequence[Join]) -> Cues:
    """Return the lines of a stream of a video, in seconds after ``start`` of its clock, and its fonts."""
    with open_media(path) as container:
        stream = container.streams[index]
        skip_others(container, stream)
        try:
            return replace(_read(container, stream, start, joins), fonts=tuple(_fonts(container)))
        except (av.error.FFmpegError, ValueError):
            raise ValueError(CORRUPT.format(path.name)) from None


def _fonts(container) -> Iterator[bytes]:
    """Yield the fonts that are attached to a Matroska file."""
    left = MOST_FONTS
    for stream in container.streams:
        kind = stream.metadata.get("mimetype", "")
        if stream.type == "attachment" and FONTS.search(kind) and hasattr(stream, "data"):
            left -= len(stream.data)
            if left >= 0:
                yield bytes(stream.data)


def _text_of(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise ValueError(f"{path.name} is too large for a file of subtitles. Choose another file.")
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        return data.decode("utf-16" if wide else "utf-8-sig").encode()
    except UnicodeDecodeError:
        raise ValueError(
            f"The subtitles {path.name} are not in UTF-8. Save them as UTF-8 in a text editor."
        ) from None


def _read(container, stream, start: Fraction, joins: Sequence[Join]) -> Cues:
    codec = stream.codec_context.codec.canonical_name
    stream.codec_context.open(strict=False)
    header = stream.codec_context.subtitle_header or b""
    script = parse_script(bytes(header).decode("utf-8", "replace"))
    sets = _sets(container, stream, start, joins)
    shown = _text(script, sets) if codec in TEXT else _pictures(codec, stream, sets)
    lines = sorted(shown, key=lambda cue: cue.begin)
    return Cues(script, tuple(lines))


def _sets(container, stream, start: Fraction, joins: Sequence[Join]) -> Iterator[tuple]:
    """Yield time, duration, packet and decoded subtitle of every packet; corrupt ones are left out."""
    count = 0
    for packet in demux(container, [stream], joins):
        stamp = packet.pts if packet.pts is not None else packet.dts
        if not packet.size or stamp is None or count > MOST_LINES:
            continue
        try:
            subtitle = stream.codec_context.decode2(packet)
        except av.error.FFmpegError:
            continue
        count += 1
        unit = Fraction(packet.time_base)
        yield stamp * unit - start, max(0, packet.duration or 0) * unit, packet, subtitle


def _text(script: Script, sets: Iterator[tuple]) -> Iterator[Cue]:
    for begin, duration, _, subtitle in sets:
        for rect in subtitle or ():
            event = parse_event(script, rect.ass.decode("utf-8", "replace")) if duration else None
            if event:
                yield Cue(begin, begin + duration, event)


def _pictures(codec: str, stream, sets: Iterator[tuple]) -> Iterator[Cue]:
    """Yield pictures, each until its own end or the next set, which replaces what is shown."""
    canvas = _canvas_of_dvd(bytes(stream.codec_context.extradata or b"")) or SD[::-1]
    waiting: list[Cue] = []
    for begin, duration, packet, subtitle in sets:
        canvas = _CANVAS.get(codec, lambda data: None)(bytes(packet)) or canvas
        begin += Fraction(subtitle.start_display_time if subtitle else 0, 1000)
        yield from (replace(cue, end=min(cue.end, begin)) for cue in waiting if cue.begin < begin)
        end = begin + (duration if 0 < duration < UNKNOWN else LONGEST)
        if subtitle and 0 < subtitle.end_display_time < NO_END:
            end = begin + Fraction(subtitle.end_display_time - subtitle.start_display_time, 1000)
        pictures = _shown(subtitle, canvas) if subtitle else []
        waiting = [Cue(begin, end, picture) for picture in pictures if begin < end]
    yield from waiting


def _shown(subtitle: SubtitleSet, canvas: tuple[int, int]) -> list[Picture]:
    """Return the pictures of a decoded set."""
    rects = [rect for rect in subtitle if isinstance(rect, BitmapSubtitle)]
    found = (
        _picture(rect, table, canvas) for rect, table in zip(rects, _palettes(subtitle) if rects else ())
    )
    return [picture for picture in found if picture]


def _picture(rect: BitmapSubtitle, table: np.ndarray, canvas: tuple[int, int]) -> Picture | None:
    """Return a decoded picture, cropped to its visible part; None if there is none."""
    width, height = rect.width, rect.height
    if not 0 < width * height <= MOST_PIXELS or not rect.planes:
        return None
    planes: Sequence[Any] = rect.planes  # PyAV's type stubs lack its buffers
    rgba = table[np.frombuffer(planes[0], np.uint8)[: width * height].reshape(height, width)]
    visible = np.argwhere(rgba[..., 3])
    if not len(visible):
        return None
    (top, left), (bottom, right) = visible.min(0), visible.max(0) + 1
    packed = zlib.compress(np.ascontiguousarray(rgba[top:bottom, left:right]).tobytes(), 1)
    box = rect.x + int(left), rect.y + int(top), int(right - left), int(bottom - top)
    return Picture(canvas, box, packed)


def _palettes(subtitle: SubtitleSet) -> list[np.ndarray]:
    """Return the colours ``[256, 4]`` of each picture of a set, uint8 RGBA.

    PyAV gives no palettes, but its DVB encoder writes them: Y, Cr, Cb and transparency, by BT.601.
    """
    encoder = cast(SubtitleCodecContext, av.CodecContext.create("dvbsub", "w"))
    encoder.time_base = Fraction(1, 1000)
    encoder.open()
    data = bytes(encoder.encode_subtitle(subtitle))
    return [_colours(body) for kind, body in _segments(data) if kind == COLOUR_TABLE]


def _colours(body: bytes) -> np.ndarray:
    """Return the colours of a CLUT definition with entries of 8 bits (ETSI EN 300 743, 7.2.4)."""
    table = np.zeros((256, 4), np.uint8)
    entries = np.frombuffer(body[2:], np.uint8)[: (len(body) - 2) // 6 * 6].reshape(-1, 6).astype(float)
    luma = (entries[:, 2] - 16) / 219
    red, blue = (entries[:, 3] - 128) / 112 * 0.701, (entries[:, 4] - 128) / 112 * 0.886
    green = -(0.299 * red + 0.114 * blue) / 0.587
    colours = np.stack([luma + red, luma + green, luma + blue, 1 - entries[:, 5] / 255], -1)
    table[entries[:, 0].astype(int)] = (colours.clip(0, 1) * 255).round()
    return table


def _segments(packet: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and body of the segments of DVB subtitles (ETSI EN 300 743, 7.2)."""
    place = 0
    while place + 6 <= len(packet) and packet[place] == 0x0F:
        length = int.from_bytes(packet[place + 4 : place + 6], "big")
        yield packet[place + 1], packet[place + 6 : place + 6 + length]
        place += 6 + length


def _canvas_of_dvd(extradata: bytes) -> tuple[int, int] | None:
    found = re.search(rb"size:\s*(\d{1,5})x(\d{1,5})", extradata)
    size = (int(found[1]), int(found[2])) if found else (0, 0)
    return size if all(size) else None


def _canvas_of_pgs(packet: bytes) -> tuple[int, int] | None:
    """Return the size in a presentation composition segment (type 22) of Blu-ray's graphics."""
    place = 0
    while place + 7 <= len(packet):
        if packet[place] == 0x16:
            size = (
                int.from_bytes(packet[place + 3 : place + 5], "big"),
                int.from_bytes(packet[place + 5 : place + 7], "big"),
            )
            return size if all(size) else None
        place += 3 + int.from_bytes(packet[place + 1 : place + 3], "big")
    return None


def _canvas_of_dvb(packet: bytes) -> tuple[int, int] | None:
    """Return the size in a display definition segment (ETSI EN 300 743, 7.2.1)."""
    body = next((body for kind, body in _segments(packet) if kind == DISPLAY and len(body) >= 5), None)
    if body is None:
        return None
    return int.from_bytes(body[1:3], "big") + 1, int.from_bytes(body[3:5], "big") + 1


_CANVAS = {"hdmv_pgs_subtitle": _canvas_of_pgs, "dvb_subtitle": _canvas_of_dvb}
