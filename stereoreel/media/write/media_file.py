"""One media file that is being written: its video stream, and the audio and subtitles next to it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.error

from ...core.clip import ClipInfo, Samples, Soundtrack
from ...core.files import sync
from ..layouts.boxes import write_stereo
from ..read.clock import Clock
from .codec import (
    Rate,
    container_options,
    has_layers,
    open_encoder,
    open_layers,
    own_tags,
    states_display_size,
    stereo_of,
)
from .display_size import write_display_size
from .layers import FrameTypes, LayerEncoder
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
    """The file ``part``, which exists and is empty. ``put`` stores the packets of its encoders.

    There is one encoder, or one for each view, whose packets are joined.
    """

    def __init__(self, part: Path, job: EncoderJob):
        info, settings, entry = job.info, job.settings, job.entry
        self._part, self._entry, self._metadata = part, entry, job.metadata
        self._stereo = stereo_of(info, settings, entry)
        self._aspect = info.pixel_aspect if states_display_size(info, entry) else None
        self._alpha = info.channels == 4
        self._types = FrameTypes(info.fps, info.cuts)
        self._layers: LayerEncoder | None = None
        self._tracks = None
        self._container = av.open(
            str(part.absolute()),
            "w",
            format=entry.container,
            container_options=container_options(info, settings, entry, job.clock),
        )
        with contextlib.ExitStack() as undo:
            undo.callback(self.abandon)
            self._container.metadata.update({**own_tags(info, settings, entry), **job.metadata})
            how = info, settings, entry, job.pictures, job.clock
            if has_layers(info, entry):
                rates = [job.rate and job.rate.of_view(number) for number in range(2)]
                self._stream = open_encoder(self._container, *how, rates[0])
                self._layers = open_layers(self._stream, *how, rates[1])
            else:
                self._stream = open_encoder(self._container, *how, job.rate)
            self._tracks = open_tracks(self._container, job.audio, entry, info.duration)
            undo.pop_all()

    @property
    def extradata(self) -> bytes | None:
        """The encoder's parameters."""
        return self._stream.codec_context.extradata

    def begin(self) -> None:
        """Write the header."""
        self._container.start_encoding()

    def encode(self, views: Sequence[av.VideoFrame], index: int) -> Iterable[av.Packet]:
        """Return the packets that are complete after frame ``index``, of which each encoder has a view."""
        if not self._layers:
            return self._stream.encode(*views)
        chosen = self._types.take(index)
        for view in views:
            view.pict_type = chosen
        left, right = views
        return self._layers.encode(left, right)

    def flush(self) -> Iterable[av.Packet]:
        """Return the buffered packets one at a time, because all of them may take many seconds."""
        return self._layers.flush() if self._layers else self._stream.codec_context.encode_lazy(None)

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
        if self._aspect:
            write_display_size(self._part, self._aspect)
        if self._entry.container == "webp":
            complete_webp(self._part, ticks, self._metadata, self._alpha)
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
        self._container = self._stream = self._layers = self._tracks = None  # type: ignore[assignment]
