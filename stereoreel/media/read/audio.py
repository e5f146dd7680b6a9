"""Read the audio of a clip's window of a file as samples, exact to the sample, in ComfyUI's AUDIO layout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction

import av
import av.error
import numpy as np
import torch
from torch import Tensor

from ...core.clip import Samples, Soundtrack
from ..write.sound import Steady, is_sound
from .container import open_media
from .joins import Join
from .packets import demux, skip_others
from .probe import picture_span

LEAD = Fraction(
    1, 2
)  # seconds decoded before a window, because codecs with overlapping blocks need to settle
# time bases at least this fine place a sample exactly after a seek; Matroska's milliseconds do not
FINE = Fraction(1, 40_000)
STRAY = 60  # seconds by which audio may start after the end of the video, or after a silence that follows it
GAP = 0.03  # seconds; a smaller step in the timestamps is rounding, not silence

Piece = tuple[int, np.ndarray]


def read_audio(audio: Soundtrack | Samples | None) -> tuple[Tensor, int] | None:
    """Return the waveform ``[1, channels, samples]`` float32 and its rate, or None without audio.

    All channels of the first audio stream are read. Sample 0 is at the window's start. If the stream is
    silent there, or ends before the window does, the missing samples are zeros.
    """
    if audio is None or (isinstance(audio, Soundtrack) and audio.pace != 1):
        return None
    if isinstance(audio, Samples):
        return audio.waveform.to(torch.float32)[None], audio.rate
    clock, lasts, joins = picture_span(audio)
    with open_media(audio.file) as container:
        if not container.streams.audio or not is_sound(container.streams.audio[0]):
            return None
        stream = container.streams.audio[0]
        skip_others(container, stream)
        rate, begin = stream.rate, clock + audio.start
        if audio.start > LEAD and Fraction(stream.time_base) <= FINE and not joins:
            with suppress(av.error.FFmpegError):  # then decode from the current position
                container.seek(int((begin - LEAD) / Fraction(stream.time_base)), stream=stream)
        length = None if audio.duration is None else round(audio.duration * rate)
        shown = lasts - audio.start if audio.duration is None else audio.duration
        pieces = _believed(
            _pieces(_decoded(container, stream, joins), stream, begin), round(shown * rate), STRAY * rate
        )
        try:
            return _assemble(pieces, length, stream.channels)[None], rate
        except MemoryError:
            raise ValueError(
                f"The audio of {audio.file.name} is {float(shown):.0f} s long and does not fit in memory. "
                "Use a shorter part."
            ) from None


def _pieces(frames: Iterator[av.AudioFrame], stream, begin: Fraction) -> Iterator[Piece]:
    """Yield decoded samples ``[C, n]`` with their position relative to ``begin``.

    Timestamps are used only if they leave a gap.
    """
    rate: int = stream.rate
    due: int | None = None
    steady = Steady("fltp", stream.layout, rate)
    for frame in frames:
        place = due
        if frame.pts is not None and frame.time_base is not None:
            place = round((frame.pts * Fraction(frame.time_base) - begin) * rate)
        if due is not None and place is not None and abs(place - due) < GAP * rate:
            place = due
        for piece in steady(frame):
            samples = piece.to_ndarray()
            yield place or 0, samples
            place = (place or 0) + samples.shape[1]
        due = place


def _believed(pieces: Iterator[Piece], end: int, most: int) -> Iterator[Piece]:
    """Drop pieces that a corrupt file places far beyond ``end`` and beyond all audio before them."""
    reach = end
    for place, samples in pieces:
        if place <= reach + most:
            reach = max(reach, place + samples.shape[1])
            yield place, samples


def _decoded(container, stream, joins: Sequence[Join]) -> Iterator[av.AudioFrame]:
    """Yield frames; skip corrupt packets, and stop at the end of a truncated file."""
    try:
        for packet in demux(container, stream, joins):
            try:
                for frame in packet.decode():
                    if isinstance(frame, av.AudioFrame):
                        yield frame
            except av.error.FFmpegError:
                continue
    except av.error.FFmpegError:
        return


def _assemble(pieces: Iterator[Piece], length: int | None, channels: int) -> Tensor:
    kept: list[Piece] = []
    for place, samples in pieces:
        if length is not None and place >= length:
            break
        if place + samples.shape[1] > 0:
            kept.append((place, samples))
    total = (
        max((place + samples.shape[1] for place, samples in kept), default=0) if length is None else length
    )
    waveform = np.zeros((channels, total), np.float32)
    for place, samples in kept:
        first, last = max(0, place), min(total, place + samples.shape[1])
        waveform[:, first:last] = samples[:, first - place : last - place]
    return torch.from_numpy(waveform)
