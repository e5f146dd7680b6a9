"""Convert text subtitles to a container's own format, with bold, italic and colour, by FFmpeg's codecs."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import av
import av.error
from av.stream import Disposition
from av.subtitles.codeccontext import SubtitleCodecContext
from av.subtitles.subtitle import SubtitleSet

if TYPE_CHECKING:
    from av.stream import AttachmentStream

log = logging.getLogger(__name__)
TEXT = ("subrip", "ass", "mov_text", "webvtt", "text")  # formats between which words can be converted
ONE_AT_A_TIME = ("mov_text",)  # formats in which a subtitle ends when the next one begins
TICK = Fraction(1, 1000)
DRAWING = re.compile(rb"\{[^}]*\\p[1-9]")  # of an ASS line whose text is a shape
FONTS = re.compile(r"font|truetype|opentype|sfnt", re.IGNORECASE)  # in the MIME type of an attachment
FORCED = 0xC000_0000  # display flags of a text track of an MP4 file: all samples are forced


class Line(NamedTuple):
    """Text with the tags of ASS, and the name of its style."""

    style: bytes
    text: bytes


Shown = tuple[Fraction, Fraction, list[Line]]  # from, to


def can_convert() -> bool:
    """Whether this PyAV encodes subtitles, as it does from version 16 on."""
    return hasattr(SubtitleCodecContext, "encode_subtitle")


def text_format(source, formats: Sequence[str]) -> str | None:
    """Return the first of a container's formats to which a stream can be converted; None if there is none."""
    codec = next((name for name in formats if name in TEXT), None)
    if codec is None or not can_convert():
        return None
    try:
        encoder = cast(SubtitleCodecContext, av.CodecContext.create(codec, "w"))
        _begin(source.codec_context, encoder)
    except av.error.FFmpegError:
        return None  # its header is corrupt
    return codec


def _begin(decoder: SubtitleCodecContext, encoder: SubtitleCodecContext) -> None:
    """Open both; the encoder takes the styles of the decoder's header."""
    decoder.open(strict=False)
    encoder.subtitle_header, encoder.time_base = decoder.subtitle_header, TICK
    encoder.open()


def copy_fonts(output: av.container.OutputContainer, source: av.container.InputContainer) -> None:
    """Attach the fonts of a Matroska file, which the styles of its subtitles name."""
    for stream in source.streams:
        kind = stream.metadata.get("mimetype", "")
        # PyAV attaches files from version 16 on
        if stream.type == "attachment" and FONTS.search(kind) and hasattr(output, "add_attachment"):
            data = cast("AttachmentStream", stream).data
            output.add_attachment(stream.metadata.get("filename", "font"), kind, data)


class ConvertedTrack:
    """A stream of text subtitles in another format; times are cut to the video."""

    def __init__(self, output: av.container.OutputContainer, source, codec: str, end: Fraction):
        self._decoder, self._end = source.codec_context, end
        self.stream = output.add_stream(codec)
        assert isinstance(self.stream.codec_context, SubtitleCodecContext)
        self._encoder = self.stream.codec_context
        _begin(self._decoder, self._encoder)
        facts = self._encoder.extradata
        if codec == "mov_text" and facts and source.disposition & Disposition.forced:
            flags = int.from_bytes(facts[:4], "big") | FORCED
            self._encoder.extradata = flags.to_bytes(4, "big") + facts[4:]
        self._overlaps = Overlaps() if codec in ONE_AT_A_TIME else None
        self._corrupt, self._name = False, Path(source.container.name).name

    def packets(self, packet: av.Packet, start: Fraction) -> list[av.Packet]:
        """Return the packets that one source packet completes, with ``start`` of its file at 0."""
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None or not packet.time_base:
            return []
        begin = stamp * Fraction(packet.time_base) - start
        end = min(begin + (packet.duration or 0) * Fraction(packet.time_base), self._end)
        begin = max(begin, Fraction(0))
        lines = self._lines(packet) if begin < end else []
        if not lines:
            return []
        shown = self._overlaps.add(begin, end, lines) if self._overlaps else [(begin, end, lines)]
        return self._encoded(shown)

    def flush(self) -> list[av.Packet]:
        return self._encoded(self._overlaps.until(self._end)) if self._overlaps else []

    def close(self) -> None:
        """Do nothing: no file is open."""

    def _lines(self, packet: av.Packet) -> list[Line]:
        """Return the lines of a packet; nothing if it is empty, corrupt or only draws."""
        try:
            subtitle = self._decoder.decode2(packet)
        except av.error.FFmpegError:
            self._warn()
            return []
        # order, layer, style, name, three margins, effect, text
        fields = [line.ass.split(b",", 8) for line in subtitle or ()]
        return [Line(line[2], line[8]) for line in fields if line[-1] and not DRAWING.search(line[-1])]

    def _warn(self) -> None:
        if not self._corrupt:
            log.warning("Subtitles of %s that are corrupt or too long were dropped.", self._name)
        self._corrupt = True

    def _encoded(self, shown: Iterable[Shown]) -> list[av.Packet]:
        packets = []
        for one in shown:
            try:
                packets.append(self._packet(*one))
            except av.error.FFmpegError:  # longer than the format allows
                self._warn()
        return packets

    def _packet(self, begin: Fraction, end: Fraction, lines: list[Line]) -> av.Packet:
        (style, text), *more = lines
        text += b"".join(b"\\N{\\r%b}%b" % line for line in more)
        first, last = round(begin / TICK), round(end / TICK)
        packet = self._encoder.encode_subtitle(
            SubtitleSet.create(b"0,0,%b,,0,0,0,,%b" % (style, text), 0, last - first)
        )
        packet.stream, packet.time_base = self.stream, TICK
        packet.pts = packet.dts = first
        packet.duration = last - first
        return packet


class Overlaps:
    """Subtitles in the order of their begin, divided so that one is shown at a time, with all lines in it."""

    def __init__(self) -> None:
        self._lines: list[tuple[Fraction, Line]] = []
        self._at = Fraction(0)

    def add(self, begin: Fraction, end: Fraction, lines: list[Line]) -> list[Shown]:
        """Add a subtitle, and return those that are over before it begins."""
        done = list(self.until(begin))
        self._lines += [(end, line) for line in lines]
        return done

    def until(self, time: Fraction) -> Iterator[Shown]:
        """Yield the subtitles up to a time, after which others may begin."""
        while self._lines and self._at < time:
            stop = min(time, min(end for end, _ in self._lines))
            if stop > self._at:
                yield self._at, stop, list(dict.fromkeys(line for _, line in self._lines))
            self._at = max(self._at, stop)
            self._lines = [(end, line) for end, line in self._lines if end > self._at]
        self._at = max(self._at, time)
