"""A folder of numbered pictures that is being written: one file a frame, the audio, and a note of the rate.

The note (``stereoreel.json``) holds what pictures cannot: the rate, the number of frames, and the tags of a
film, which a file would hold itself.
"""

from __future__ import annotations

import contextlib
import json
import logging
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import av.error
from av.video.codeccontext import VideoCodecContext

from ...core import cancel
from ...core.clip import Samples, Soundtrack
from ...core.files import sync
from ..read.picture_note import NOTE, SOUND
from .codec import codec_options, configure, own_tags
from .media_file import EncoderJob
from .mux import FileTracks
from .presets import Preset
from .scheduling import kept_scheduling
from .sound import SampleTrack

log = logging.getLogger(__name__)

FIRST = 1  # the number of the first picture
PNG_HEADER = 8 + 25  # bytes: signature and IHDR
CANVAS_NOTES = ("prompt", "workflow")  # what ComfyUI's canvas reads from a PNG file


class PictureFolder:
    """The folder ``part``, which exists and is empty. ``put`` stores the pictures of its encoder."""

    def __init__(self, part: Path, job: EncoderJob):
        info, settings, entry = job.info, job.settings, job.entry
        self._part, self._entry = part, entry
        self._metadata = {**own_tags(info, settings, entry), **job.metadata}
        self._rate = job.clock.rate
        self._count = 0
        if info.times:
            log.warning(
                "The frame rate varies, which pictures cannot hold: they are %.6g a second throughout.",
                float(self._rate),
            )
        self._sound = _Sound(part / SOUND, job.audio, entry, info.duration) if job.audio else None
        context = av.CodecContext.create(entry.codec, "w")
        assert isinstance(context, VideoCodecContext)  # presets name video codecs only
        context.options = codec_options(info, settings, entry)
        configure(context, entry, job.pictures, job.clock, job.rate)
        with kept_scheduling():
            context.open()
        self._encoder = context

    @property
    def extradata(self) -> bytes | None:
        """The encoder's parameters."""
        return self._encoder.extradata

    def begin(self) -> None:
        """Begin the audio file."""
        if self._sound:
            self._sound.begin()

    def encode(self, views: Sequence[av.VideoFrame], index: int) -> Iterable[av.Packet]:
        """Return the pictures that are complete after frame ``index``."""
        return self._encoder.encode(*views)

    def flush(self) -> Iterable[av.Packet]:
        """Return the pictures that are still in the encoder."""
        return self._encoder.encode_lazy(None)

    def put(self, packet: av.Packet) -> None:
        """Store a picture under the next number."""
        data = bytes(packet)
        if self._count == 0 and self._entry.codec == "png":
            data = with_notes(data, {name: self._metadata.get(name, "") for name in CANVAS_NOTES})
        self._path(self._count).write_bytes(data)
        self._count += 1

    def sound(self, until: Fraction) -> None:
        """Store the audio that begins before ``until`` seconds."""
        if self._sound:
            self._sound.write(until)

    def complete(self, ticks: int, end: Fraction) -> None:
        """Complete the folder, whose pictures end at ``end`` seconds."""
        if self._sound:
            self._sound.complete(end)
        facts = {"fps": str(self._rate), "frames": self._count, "tags": dict(self._metadata)}
        (self._part / NOTE).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
        for file in self._part.iterdir():
            cancel.check()
            sync(file)

    def abandon(self) -> None:
        """Close what is open; the folder is discarded."""
        if self._sound:
            self._sound.abandon()

    def _path(self, place: int) -> Path:
        return self._part / f"{FIRST + place:05}{self._entry.pictures}"


class _Sound:
    """The audio of a clip as a WAV file; there is no file if the clip's audio cannot be stored in one."""

    def __init__(self, path: Path, audio: Soundtrack | Samples, entry: Preset, duration: Fraction):
        assert entry.audio  # presets of pictures have it
        self._path = path
        self._output = av.open(
            str(path.absolute()), "w", format=entry.container, container_options={"rf64": "auto"}
        )
        self._tracks: _OneTrack | SampleTrack | None = None
        with contextlib.ExitStack() as undo:
            undo.callback(self.abandon)
            if isinstance(audio, Samples):
                self._tracks = SampleTrack(self._output, audio, entry.audio, duration)
            else:
                self._tracks = _OneTrack(self._output, audio, entry, duration)
            undo.pop_all()

    def begin(self) -> None:
        if self._output.streams.audio:
            self._output.start_encoding()
            return
        self.abandon()
        self._path.unlink(missing_ok=True)

    def write(self, until: Fraction) -> None:
        if self._tracks:
            self._tracks.write(until)

    def complete(self, end: Fraction) -> None:
        if self._tracks:
            self._tracks.finish(end)
            self.abandon()

    def abandon(self) -> None:
        if self._tracks:
            self._tracks.close()
        self._tracks = None
        with contextlib.suppress(av.error.FFmpegError):
            self._output.close()


class _OneTrack(FileTracks):
    """The first audio stream of a file, which is all that a WAV file holds."""

    def _track(self, stream):
        audio = self._source.streams.audio
        if stream.type == "audio" and stream is not audio[0]:
            log.warning("Only the first audio stream of %s is written next to the pictures.", self._file.name)
            return None
        return super()._track(stream)

    def _copy_chapters(self) -> None:
        """Leave out chapters, which WAV files do not hold."""


def with_notes(png: bytes, notes: Mapping[str, str]) -> bytes:
    """Return a PNG file with texts, ASCII, in chunks of their own; empty texts are left out."""
    chunks = b""
    for name, text in notes.items():
        if text:
            body = b"tEXt" + name.encode() + b"\0" + text.encode("ascii", "backslashreplace")
            chunks += struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:PNG_HEADER] + chunks + png[PNG_HEADER:]
