"""Encode audio: a stream that the container cannot hold, or samples given as a tensor."""

from __future__ import annotations

import io
import logging
import math
from fractions import Fraction

import av
import av.error
import numpy as np
from av.audio.stream import AudioStream

from ...core.clip import Samples
from .presets import Sound

log = logging.getLogger(__name__)
# the usual layout of a channel count
LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
BLOCK = 16384  # samples per frame made from a tensor
GAP = Fraction(1, 10)  # seconds; a smaller step in the source's times is rounding, not silence
ABSURD = 1e6  # of full scale
RATES, MOST_CHANNELS = range(1000, 768_001), 64  # a header with other values is corrupt


def is_sound(stream) -> bool:
    """Whether an audio stream's header is valid: a known codec, a channel count and a rate in range."""
    return stream.codec_context is not None and stream.rate in RATES and 0 < stream.channels <= MOST_CHANNELS


class Steady:
    """Convert frames to one format, layout and rate, even if a file changes them midway.

    Parameters that are None are those of the first frame.
    """

    def __init__(
        self, format: str | None = None, layout: av.AudioLayout | None = None, rate: int | None = None
    ):
        self._format, self._layout, self._rate = format, layout, rate
        self._given: tuple[str, str, int] | None = None
        self._resampler: av.AudioResampler | None = None

    def __call__(self, frame: av.AudioFrame) -> list[av.AudioFrame]:
        given = frame.format.name, frame.layout.name, frame.sample_rate
        if self._resampler is None or given != self._given:
            self._given = given
            self._format = frame.format.name if self._format is None else self._format
            self._layout = frame.layout if self._layout is None else self._layout
            self._rate = frame.sample_rate if self._rate is None else self._rate
            self._resampler = av.AudioResampler(self._format, self._layout, self._rate)
        return self._resampler.resample(frame)


class EncodedTrack:
    """A stream that is re-encoded, channels and rate unchanged, cut to the sample at both ends."""

    def __init__(self, output: av.container.OutputContainer, source, audio: Sound, end: Fraction):
        self.stream = add_audio(output, audio, source.rate, layout_name(source.layout))
        self._end, self._corrupt, self._steady = end, False, Steady()
        self._next: int | None = None

    def packets(self, packet: av.Packet, start: Fraction) -> list[av.Packet]:
        """Return the encoded packets that one source packet completes, with ``start`` of its file at 0."""
        result: list[av.Packet] = []
        try:
            for frame in packet.decode():
                if not isinstance(frame, av.AudioFrame):
                    continue
                for piece in self._steady(frame):
                    if not make_finite(piece):
                        self._warn()
                    result += self._encode(piece, start)
        except av.error.FFmpegError:
            self._warn()
        return result

    def _warn(self) -> None:
        if not self._corrupt:
            log.warning("Corrupt parts of the audio were dropped.")
        self._corrupt = True

    def flush(self) -> list[av.Packet]:
        return self.stream.encode(None)

    def close(self) -> None:
        """Do nothing: no file is open."""

    def _encode(self, frame: av.AudioFrame, start: Fraction) -> list[av.Packet]:
        rate = frame.sample_rate
        position = self._next
        if frame.pts is not None and frame.time_base is not None:
            position = round((frame.pts * Fraction(frame.time_base) - start) * rate)
        if position is None:
            return []  # its time is unknown
        if self._next is not None and abs(position - self._next) < GAP * rate:
            position = self._next
        first, last = max(0, -position), min(frame.samples, math.ceil(self._end * rate) - position)
        if first >= last or (self._next is not None and position < self._next):
            return []
        self._next = position + frame.samples
        if last - first < frame.samples:
            frame = cut(frame, first, last)
        frame.pts, frame.time_base = position + first, Fraction(1, rate)
        return self.stream.encode(frame)


class SampleTrack:
    """A waveform ``[channels, samples]``, encoded as the video proceeds."""

    def __init__(
        self, output: av.container.OutputContainer, samples: Samples, audio: Sound, duration: Fraction
    ):
        if samples.waveform.ndim != 2 or samples.waveform.shape[0] not in LAYOUTS:
            raise ValueError(
                f"The audio tensor has the shape {list(samples.waveform.shape)}. "
                "Use [channels, samples] with 1 to 8 channels."
            )
        self._layout, self._rate, self._output = LAYOUTS[samples.waveform.shape[0]], int(samples.rate), output
        self._waveform = samples.waveform[:, : math.ceil(duration * self._rate)]
        self.stream = add_audio(output, audio, self._rate, self._layout)
        self._done = 0

    def write(self, until: Fraction) -> None:
        """Mux samples that begin before ``until`` seconds of the output."""
        while self._done < until * self._rate and self._done < self._waveform.shape[1]:
            samples = self._waveform[:, self._done : self._done + BLOCK].detach().float().nan_to_num(0)
            block = samples.clamp(-1, 1).cpu().numpy()
            # Interleaved channels, because PyAV fails at eight planes.
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(block.T).reshape(1, -1), format="flt", layout=self._layout
            )
            frame.sample_rate, frame.pts, frame.time_base = self._rate, self._done, Fraction(1, self._rate)
            self._output.mux(self.stream.encode(frame))
            self._done += block.shape[1]

    def finish(self, end: Fraction) -> None:
        """Mux the rest, up to ``end`` seconds, the end of the video."""
        self.write(end)
        self._output.mux(self.stream.encode(None))

    def close(self) -> None:
        """Do nothing: no file is open."""


def add_audio(output: av.container.OutputContainer, audio: Sound, rate: int, layout: str) -> AudioStream:
    """Add a stream of the preset's codec, at the nearest rate that the codec supports."""
    rates = av.Codec(audio.codec, "w").audio_rates
    stream = output.add_stream(
        audio.codec, rate=min(rates, key=lambda known: abs(known - rate)) if rates else rate
    )
    assert isinstance(stream, AudioStream)  # presets name audio codecs only
    stream.codec_context.layout = av.AudioLayout(layout)
    if audio.bitrate is not None:
        stream.codec_context.bit_rate = audio.bitrate * stream.codec_context.layout.nb_channels
    return stream


def can_encode(audio: Sound, rate: int, layout: str) -> bool:
    """Whether the preset's codec supports this layout and rate."""
    with av.open(io.BytesIO(), "w", format="matroska") as nowhere:
        try:
            add_audio(nowhere, audio, rate, layout).codec_context.open()
        except (av.error.FFmpegError, ValueError):
            return False
    return True


def layout_name(layout) -> str:
    """Return a layout's name; if a file states only a channel count, the usual layout of that count."""
    return layout.name if "channels" not in layout.name else LAYOUTS.get(layout.nb_channels, layout.name)


def make_finite(frame: av.AudioFrame) -> bool:
    """Silence NaN or absurdly loud samples, which encoders reject; return False if there were any."""
    dtype = {"flt": "float32", "dbl": "float64"}.get(frame.format.name.removesuffix("p"))
    finite = True
    for plane in frame.planes if dtype else ():
        samples = np.frombuffer(memoryview(plane), dtype)
        good = np.abs(samples) < ABSURD  # False for NaN
        if not good.all():
            plane.update(np.where(good, samples, np.zeros_like(samples)).tobytes())
            finite = False
    return finite


def cut(frame: av.AudioFrame, first: int, last: int) -> av.AudioFrame:
    """Return samples ``first`` to ``last`` of a frame."""
    samples = frame.to_ndarray()  # [channels, samples], or [1, samples x channels] if interleaved
    step = samples.shape[1] // frame.samples
    kept = samples[:, first * step : last * step].copy()
    part = av.AudioFrame.from_ndarray(kept, format=frame.format.name, layout=frame.layout.name)
    part.sample_rate = frame.sample_rate
    return part
