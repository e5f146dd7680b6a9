"""Sound that has to be encoded: a stream that the container cannot hold, or samples that were given as a tensor."""

from __future__ import annotations

import io
import logging
import math
from fractions import Fraction

import av
import av.error
import numpy as np

from ...core.clip import Samples
from .presets import Sound

log = logging.getLogger(__name__)
# what a plain channel count means
LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
BLOCK = 16384  # samples per frame made from a tensor
GAP = Fraction(1, 10)  # seconds; a smaller step in the source's times is rounding, not silence
ABSURD = 1e6  # of full scale
RATES, MOST_CHANNELS = range(1000, 768_001), 64  # what sound can be; anything else in a header is damage


def is_sound(stream) -> bool:
    """Whether an audio stream's header says what can be heard: a known codec, channels, a rate that exists."""
    return stream.codec_context is not None and stream.rate in RATES and 0 < stream.channels <= MOST_CHANNELS


class Steady:
    """Frames of one format, layout and rate, even where a file changes them midway; what is not given is the first's."""

    def __init__(
        self, format: str | None = None, layout: av.AudioLayout | None = None, rate: int | None = None
    ):
        self._wanted, self._given, self._resampler = (format, layout, rate), None, None

    def __call__(self, frame: av.AudioFrame) -> list[av.AudioFrame]:
        given = frame.format.name, frame.layout.name, frame.sample_rate
        if given != self._given:
            self._given, own = given, (frame.format.name, frame.layout, frame.sample_rate)
            self._wanted = tuple(has if wants is None else wants for wants, has in zip(self._wanted, own))
            self._resampler = av.AudioResampler(*self._wanted)
        return self._resampler.resample(frame)


class EncodedTrack:
    """A stream that is decoded and encoded anew, its channels and rate kept, cut to the very sample at both ends."""

    def __init__(self, output: av.container.OutputContainer, source, audio: Sound, end: Fraction):
        self.stream = add_audio(output, audio, source.rate, layout_name(source.layout))
        self._end, self._next, self._damaged, self._steady = end, None, False, Steady()

    def packets(self, packet: av.Packet, start: Fraction) -> list[av.Packet]:
        """The encoded packets that one source packet completes, with ``start`` of its file at 0."""
        made = []
        try:
            for frame in packet.decode():
                for piece in self._steady(frame):
                    if not make_finite(piece):
                        self._warn()
                    made += self._encode(piece, start)
        except av.error.FFmpegError:
            self._warn()
        return made

    def _warn(self) -> None:
        if not self._damaged:
            log.warning("Damaged pieces of the sound are left out.")
        self._damaged = True

    def flush(self) -> list[av.Packet]:
        return self.stream.encode(None)

    def close(self) -> None:
        """Nothing is held open."""

    def _encode(self, frame: av.AudioFrame, start: Fraction) -> list[av.Packet]:
        rate = frame.sample_rate
        if frame.pts is None and self._next is None:
            return []  # nothing tells when it is heard
        position = (
            self._next if frame.pts is None else round((frame.pts * Fraction(frame.time_base) - start) * rate)
        )
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
    """A waveform ``[channels, samples]``, encoded as the picture proceeds."""

    def __init__(
        self, output: av.container.OutputContainer, samples: Samples, audio: Sound, duration: Fraction
    ):
        if samples.waveform.ndim != 2 or samples.waveform.shape[0] not in LAYOUTS:
            raise ValueError(
                f"Sound is [channels, samples] with 1 to 8 channels, not {list(samples.waveform.shape)}."
            )
        self._layout, self._rate, self._output = LAYOUTS[samples.waveform.shape[0]], int(samples.rate), output
        self._waveform = samples.waveform[:, : math.ceil(duration * self._rate)]
        self.stream = add_audio(output, audio, self._rate, self._layout)
        self._done = 0

    def write(self, until: Fraction) -> None:
        """Mux what begins before ``until`` seconds of the output."""
        while self._done < min(until * self._rate, self._waveform.shape[1]):
            block = self._waveform[:, self._done : self._done + BLOCK].detach().float().nan_to_num(0)
            block = block.clamp(-1, 1).cpu().numpy()
            # Channels in turn: PyAV fails at eight planes.
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(block.T).reshape(1, -1), format="flt", layout=self._layout
            )
            frame.sample_rate, frame.pts, frame.time_base = self._rate, self._done, Fraction(1, self._rate)
            self._output.mux(self.stream.encode(frame))
            self._done += block.shape[1]

    def finish(self, end: Fraction) -> None:
        """Mux the rest, up to ``end`` seconds, where the picture ends."""
        self.write(end)
        self._output.mux(self.stream.encode(None))

    def close(self) -> None:
        """Nothing is held open."""


def add_audio(output: av.container.OutputContainer, audio: Sound, rate: int, layout: str):
    """A stream of the preset's codec, at the nearest rate that the codec knows."""
    rates = av.Codec(audio.codec, "w").audio_rates
    stream = output.add_stream(
        audio.codec, rate=min(rates, key=lambda known: abs(known - rate)) if rates else rate
    )
    stream.codec_context.layout = layout
    if audio.bitrate is not None:
        stream.codec_context.bit_rate = audio.bitrate * stream.codec_context.layout.nb_channels
    return stream


def can_encode(audio: Sound, rate: int, layout: str) -> bool:
    """Whether the preset's codec takes sound of this layout and rate."""
    with av.open(io.BytesIO(), "w", format="matroska") as nowhere:
        try:
            add_audio(nowhere, audio, rate, layout).codec_context.open()
        except (av.error.FFmpegError, ValueError):
            return False
    return True


def layout_name(layout) -> str:
    """A layout's name; a file that only counts its channels gets the usual one of that count."""
    return layout.name if "channels" not in layout.name else LAYOUTS.get(layout.nb_channels, layout.name)


def make_finite(frame: av.AudioFrame) -> bool:
    """Silence samples that are no numbers or absurdly loud, which an encoder refuses; False where there were some."""
    kind = {"flt": np.float32, "dbl": np.float64}.get(frame.format.name.removesuffix("p"))
    whole = True
    for plane in frame.planes if kind else ():
        samples = np.frombuffer(plane, kind)
        good = np.abs(samples) < ABSURD  # not of NaN
        if not good.all():
            plane.update(np.where(good, samples, kind(0)).tobytes())
            whole = False
    return whole


def cut(frame: av.AudioFrame, first: int, last: int) -> av.AudioFrame:
    """Samples ``first`` to ``last`` of a frame."""
    samples = frame.to_ndarray()  # [channels, samples], or [1, samples x channels] where they alternate
    step = samples.shape[1] // frame.samples
    samples = np.ascontiguousarray(samples[:, first * step : last * step])
    part = av.AudioFrame.from_ndarray(samples, format=frame.format.name, layout=frame.layout.name)
    part.sample_rate = frame.sample_rate
    return part
