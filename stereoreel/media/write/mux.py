"""Mux a clip's audio, subtitles and chapters with its video, packet by packet if the container allows it.

Only audio within the duration of the video is kept. A copied packet that straddles the start is kept
completely, with the previous one, which codecs with overlapping blocks need to decode correctly. MP4 and MOV
hide the early part with an edit list. Matroska cannot hide it. There, a window that starts later than its
file begins with the first complete packet; a window that starts with its file keeps everything, and the video
starts later by the codec's own priming.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import av
import av.error

from ...core.clip import Samples, Soundtrack
from ..read.container import open_media
from ..read.packets import demux
from ..read.probe import picture_span
from .presets import Preset
from .sound import EncodedTrack, SampleTrack, can_encode, is_sound, layout_name
from .subtitles import TEXT, ConvertedTrack, can_convert, copy_fonts, text_format
from .trial import Trial

if TYPE_CHECKING:
    from av.container.core import Chapter

log = logging.getLogger(__name__)
LONGEST = 10  # seconds that an audio packet may last
BEYOND = 16  # consecutive packets after a window that end it, because a single timestamp may be corrupt
INTERLEAVING = 2  # seconds by which packets of the same time are apart in a file
HIDES_EARLY_SOUND = ("mp4", "mov")
KEPT_TAGS = ("language", "title", "handler_name")
# MOV numbers languages; FFmpeg knows the numbers by these codes only
QUICKTIME = {"fre": "fra", "deu": "ger", "nld": "dut", "swe": "sve", "ell": "gre", "isl": "ice", "zho": "chi"}


def open_tracks(
    output: av.container.OutputContainer,
    audio: Soundtrack | Samples | None,
    preset: Preset,
    duration: Fraction,
) -> FileTracks | SampleTrack | None:
    """Add audio and subtitle streams for ``duration`` seconds of video to ``output``.

    Return None if there is no audio, or if the container holds none.
    """
    if preset.audio is None:
        return None
    if isinstance(audio, Samples):
        return SampleTrack(output, audio, preset.audio, duration)
    return FileTracks(output, audio, preset, duration) if audio else None


Track: TypeAlias = "CopiedTrack | EncodedTrack | ConvertedTrack"


class FileTracks:
    """Audio and subtitles of a window of a file; ``write`` follows the video, so that neither is buffered."""

    def __init__(
        self, output: av.container.OutputContainer, audio: Soundtrack, preset: Preset, duration: Fraction
    ):
        self._output, self._preset, self._file = output, preset, audio.file
        self._end = duration if audio.duration is None else min(duration, audio.duration)
        begin, _, self._joins = picture_span(audio)
        self._pace = audio.pace
        self._start = (begin + audio.start) / self._pace  # on the file's clock, as slow as the clip
        self._keeps_early = preset.container in HIDES_EARLY_SOUND or audio.start == 0
        with ExitStack() as undo:
            self._source = open_media(audio.file)
            undo.callback(self._source.close)
            streams = [stream for stream in self._source.streams if stream.index not in audio.without]
            tracks = ((stream.index, self._track(stream)) for stream in streams)
            self._tracks = {index: track for index, track in tracks if track}
            if preset.container == "matroska":
                copy_fonts(output, self._source)
            self._read_only_kept()
            self._copy_chapters()
            self._packets = self._read(seek=audio.start > INTERLEAVING and not self._joins)
            self._waiting = next(self._packets, None)
            undo.pop_all()

    def write(self, until: Fraction) -> None:
        """Mux packets that begin before ``until`` seconds of the output."""
        while self._waiting is not None and self._time(self._waiting) < until:
            self._output.mux(self._tracks[self._waiting.stream.index].packets(self._waiting, self._start))
            self._waiting = next(self._packets, None)

    def finish(self, end: Fraction) -> None:
        """Mux the rest, up to ``end`` seconds, the end of the video."""
        self.write(min(end, self._end))
        for track in self._tracks.values():
            self._output.mux(track.flush())

    def close(self) -> None:
        self._source.close()
        for track in self._tracks.values():
            track.close()

    def _track(self, stream) -> Track | None:
        """Return the output track of a source stream; None, with a warning, if it cannot be kept."""
        if stream.type not in ("audio", "subtitle") or (stream.type == "audio" and self._pace != 1):
            return None
        codec = stream.codec_context.codec.canonical_name if stream.codec_context else "an unknown codec"
        track: Track | None = None
        if codec in (self._preset.audio_copy if stream.type == "audio" else self._preset.subtitles):
            track = self._copied(stream)
        if track is None and stream.type == "audio" and is_sound(stream):
            track = self._encoded(stream)
        if track is None and codec in TEXT and (words := text_format(stream, self._preset.subtitles)):
            track = ConvertedTrack(self._output, stream, words, self._end)
        if track is None:
            log.warning(
                "%s stream %d of %s (%s) dropped: %s",
                stream.type.capitalize(),
                stream.index,
                self._file.name,
                codec,
                "converting subtitles needs PyAV 16 or newer."
                if codec in TEXT and not can_convert()
                else f"{self._preset.extension} files cannot hold it.",
            )
        else:
            # MP4 files name a track in a box that FFmpeg reads as "name" and writes as "title"
            tags = {"title": stream.metadata.get("name", ""), **stream.metadata}
            if self._preset.container == "mov":
                tags["language"] = QUICKTIME.get(tags.get("language", ""), tags.get("language", ""))
            track.stream.metadata.update({key: tags[key] for key in KEPT_TAGS if tags.get(key)})
            track.stream.disposition = stream.disposition.value
        return track

    def _copied(self, stream) -> CopiedTrack | None:
        """Return a track that copies the packets; None if the container does not accept the stream."""
        try:
            trial = Trial(self._preset.container, stream)
        except (av.error.FFmpegError, ValueError):
            return None
        return CopiedTrack(self._output, stream, trial, self._keeps_early, self._end)

    def _encoded(self, stream) -> EncodedTrack | None:
        """Return a track that re-encodes the stream; None if the encoder does not support such audio."""
        audio = self._preset.audio
        if audio is None or not can_encode(audio, stream.rate, layout_name(stream.layout)):
            return None
        return EncodedTrack(self._output, stream, audio, self._end)

    def _read_only_kept(self) -> None:
        for stream in self._source.streams:
            # from PyAV 18 on; older versions read the video and drop it
            if stream.index not in self._tracks and hasattr(stream, "discard"):
                stream.discard = type(stream.discard).all

    def _read(self, seek: bool) -> Iterator[av.Packet]:
        """Yield the packets of all kept tracks in the file's order, from the window's start to its end."""
        if not self._tracks:
            return
        beyond = 0
        try:
            if seek:
                with suppress(av.error.FFmpegError):  # then read from the beginning
                    self._source.seek(int((self._start * self._pace - INTERLEAVING) * av.time_base))
            kept = [self._source.streams[index] for index in self._tracks]
            for packet in demux(self._source, kept, self._joins):
                if packet.pts is None and packet.dts is None:
                    continue
                packet.time_base = Fraction(packet.time_base) / self._pace
                beyond = beyond + 1 if self._time(packet) > self._end + INTERLEAVING else 0
                if beyond == BEYOND:
                    return
                if self._time(packet) < self._end:
                    yield packet
        except av.error.FFmpegError:
            log.warning("The audio of %s is corrupt and ends early.", self._file.name)

    def _time(self, packet: av.Packet) -> Fraction:
        return packet_time(packet) - self._start

    def _copy_chapters(self) -> None:
        if not hasattr(self._source, "chapters"):
            return  # PyAV reads chapters from version 15 on
        kept: list[Chapter] = []
        for chapter in self._source.chapters():
            if not chapter["time_base"]:
                continue
            unit = Fraction(chapter["time_base"]) / self._pace
            start, stop = (
                min(max(edge * unit - self._start, Fraction(0)), self._end)
                for edge in (chapter["start"], chapter["end"])
            )
            if start < stop:
                kept.append(
                    {
                        **chapter,
                        "start": round(start * 1000),
                        "end": round(stop * 1000),
                        "time_base": Fraction(1, 1000),
                    }
                )
        self._output.set_chapters(kept)


class CopiedTrack:
    """A stream that is copied packet by packet, shifted in time."""

    def __init__(
        self, output: av.container.OutputContainer, source, trial: Trial, keeps_early: bool, end: Fraction
    ):
        self.stream = output.add_stream_from_template(source, opaque=True)
        self._trial, self._keeps_early, self._end = trial, keeps_early, end
        self._last: int | None = None
        self._corrupt, self._name = False, Path(source.container.name).name

    def packets(self, packet: av.Packet, start: Fraction) -> list[av.Packet]:
        """Shift the packet so that ``start`` of its file becomes 0; return nothing if it ends before that."""
        unit = Fraction(packet.time_base)
        begin = packet_time(packet) - start
        length = max(Fraction(0), (packet.duration or 0) * unit)
        if self.stream.type == "audio" and length > LONGEST:
            packet.duration, length = 0, Fraction(0)
        if self.stream.type == "subtitle":
            if begin < 0 and begin + length <= 0:  # pictures end with the next one, without a duration
                return []
            if begin < 0:  # a subtitle that is already visible is shown for its remaining time
                length += begin
                begin = Fraction(0)
            packet.duration = round(min(length, self._end - begin) / unit)
        elif begin < 0 and not (self._keeps_early and begin + 2 * length > 0):
            return []
        packet.pts = packet.dts = round(begin / unit)
        text = self.stream.type == "subtitle"  # several subtitles may begin at the same time
        if self._last is not None and packet.dts < self._last + (not text):
            return []  # times in a corrupt file may decrease, which no container accepts
        self._last = packet.dts
        if not self._trial.takes(packet):
            if not self._corrupt:
                what = "audio" if self.stream.type == "audio" else "subtitle"
                log.warning("Corrupt %s packets of %s were dropped.", what, self._name)
            self._corrupt = True
            return []
        packet.stream = self.stream
        return [packet]

    def flush(self) -> list[av.Packet]:
        return []

    def close(self) -> None:
        self._trial.close()


def packet_time(packet: av.Packet) -> Fraction:
    """Return when a packet with a timestamp begins, on its file's clock."""
    begin = packet.dts if packet.pts is None else packet.pts
    assert begin is not None
    return begin * Fraction(packet.time_base)
