"""One media file that is being written: its video stream, and the audio and subtitles next to it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.error
from av.video.codeccontext import VideoCodecContext

from ...core.clip import ClipInfo, Samples, Soundtrack
from ...core.files import sync
from ..layouts.boxes import write_stereo
from ..read.clock import Clock
from .codec import Rate, container_options, open_encoder, stereo_of
from .mux import open_tracks
from .options import EncodeOptions
from .picture import Pictures
from .presets import Preset
from .webp import complete_webp


@dataclass(frozen=True)
class EncoderJob:
    """What is written: the clip's facts, how its frames are prepared and timed, its audio and its tags."""

    info: ClipInfo
    settings: EncodeOptions
    entry: Preset
    pictures: Pictures
    clock: Clock
    rate: Rate | None
    audio: Soundtrack | Samples | None
    metadata: Mapping[str, str]


class MediaFile:
    """The file ``part``, which exists and is empty. ``encoder`` makes the packets that ``put`` stores."""

    encoder: VideoCodecContext

    def __init__(self, part: Path, job: EncoderJob):
        info, settings, entry = job.info, job.settings, job.entry
        self._part, self._entry, self._metadata = part, entry, job.metadata
        self._stereo = stereo_of(info, settings, entry)
        self._tracks = None
        self._container = av.open(
            str(part.absolute()),
            "w",
            format=entry.container,
            container_options=container_options(info, settings, entry, job.clock),
        )
        with contextlib.ExitStack() as undo:
            undo.callback(self.abandon)
            self._container.metadata.update(job.metadata)
            self._stream = open_encoder(
                self._container, info, settings, entry, job.pictures, job.clock, job.rate
            )
            self.encoder = self._stream.codec_context
            self._tracks = open_tracks(self._container, job.audio, entry, info.duration)
            undo.pop_all()

    def begin(self) -> None:
        """Write the header."""
        self._container.start_encoding()

    def put(self, packet: av.Packet) -> None:
        """Store a packet of video."""
        packet.stream = self._stream
        self._container.mux(packet)

    def sound(self, until: Fraction) -> None:
        """Store the audio that begins before ``until`` seconds."""
        if self._tracks:
            self._tracks.write(until)

    def complete(self, ticks: int, end: Fraction) -> None:
        """Complete the file, whose video ends after ``ticks`` of the clock, at ``end`` seconds."""
        if self._tracks:
            self._tracks.finish(end)
            self._tracks.close()
        self._container.close()
        self._release()
        if self._stereo:
            write_stereo(self._part, self._stereo)
        if self._entry.container == "webp":
            complete_webp(self._part, ticks, self._metadata)
        sync(self._part)

    def abandon(self) -> None:
        """Close what is open; the file is discarded."""
        if self._tracks:
            self._tracks.close()
        if self._container:
            with contextlib.suppress(av.error.FFmpegError):
                self._container.close()
        self._release()

    def _release(self) -> None:
        # the codec completes its statistics when freed
        self._container = self._stream = self.encoder = self._tracks = None  # type: ignore[assignment]
