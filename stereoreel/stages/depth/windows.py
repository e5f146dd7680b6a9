"""Temporally consistent depth: Video Depth Anything's windows as a stream, and one scale for image models.

A video model processes 32 frames at a time. Each next window begins with ten frames of the previous one (its
first, its thirteenth and its last eight), is fitted to the scale and shift of the completed depth, and fades
in over eight frames; Chen et al., CVPR 2025. Only two windows are in memory, so memory use is independent of
the shot's length. The result is that of the published loop over the complete clip, with three exceptions:
scale and shift are fitted at the model's size, the scale is never negative, and a last window that could not
change any frame is not computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import torch
from torch import Tensor

WINDOW, STEP = 32, 22
KEPT = (0, 12, *range(24, 32))  # frames of a window that the next one begins with
SHARED = len(KEPT) - 8  # of these, the ones used only for the scale; the others are cross-faded
AHEAD = WINDOW - 1  # largest look-ahead in frames
GRID = 96  # samples per side for comparing frames


class Network(Protocol):
    """A video depth network, as its two parts: per frame, and over a window."""

    def encode(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Return features of each of ``frames`` ``[n, ...]``: tensors ``[n, ...]``."""
        ...

    def decode(self, features: tuple[Tensor, ...], frames: int) -> Tensor:
        """Return depth ``[frames, ...]`` of one window, from features of its frames in order."""
        ...


def stream(
    chunks: Iterable[Tensor], network: Network, metric: bool = False, batch: int = 11
) -> Iterator[Tensor]:
    """Yield depth ``[n, ...]``, float32, of one shot's frames, in order and in one scale.

    It is at most ``AHEAD`` frames behind ``chunks`` ``[n, ...]``. Windows of ``metric`` models, in metres,
    are joined without alignment. Every frame is encoded once, at most ``batch`` at a time.
    """
    window, seam, done, seen = _Window(), _Seam(metric), 0, 0
    for frames in _batches(chunks, batch):
        seen += len(frames)
        window.add(network.encode(frames))
        if window.filled == WINDOW:
            depth = seam.add(network.decode(window.features, WINDOW))
            done += len(depth)
            yield depth
            window.advance()
    # a window has no weight in its first faded frame
    while seen and (window.index == 0 or window.index * STEP + SHARED + 1 < seen):
        window.pad()
        depth = seam.add(network.decode(window.features, WINDOW))[: seen - done]
        done += len(depth)
        yield depth
        window.advance()
    if seam.pending is not None and done < seen:
        yield seam.pending[: seen - done]


def _batches(chunks: Iterable[Tensor], most: int) -> Iterator[Tensor]:
    """Yield the frames in groups by their index in the shot; a group ends at the end of a window."""
    waiting: list[Tensor] = []
    count, missing = 0, WINDOW
    for chunk in chunks:
        while len(chunk):
            part = chunk[: min(most, missing) - count]
            chunk = chunk[len(part) :]
            waiting.append(part)
            count += len(part)
            if count == min(most, missing):
                yield torch.cat(waiting)
                waiting, count, missing = [], 0, missing - count or STEP
    if waiting:
        yield torch.cat(waiting)


class _Window:
    """Features of the next 32 frames for the model, in permanent buffers."""

    def __init__(self):
        self.features: tuple[Tensor, ...] = ()
        self.filled = self.index = 0

    def add(self, features: tuple[Tensor, ...]) -> None:
        self.features = self.features or tuple(_buffer(level) for level in features)
        for own, level in zip(self.features, features):
            own[self.filled : self.filled + len(level)] = level
        self.filled += len(features[0])

    def pad(self) -> None:
        """Repeat the last frame to the end."""
        for own in self.features:
            own[self.filled :] = own[self.filled - 1].clone()
        self.filled = WINDOW

    def advance(self) -> None:
        for own in self.features:
            own[: len(KEPT)] = torch.stack([own[frame] for frame in KEPT])
        self.filled, self.index = len(KEPT), self.index + 1


def _buffer(level: Tensor) -> Tensor:
    last = level.dim() == 4 and level.is_contiguous(memory_format=torch.channels_last)
    shape = (WINDOW, *level.shape[1:])
    return torch.empty(
        shape,
        dtype=level.dtype,
        device=level.device,
        memory_format=torch.channels_last if last else torch.contiguous_format,
    )


class _Seam:
    """Joins a window's depth to that of earlier windows."""

    def __init__(self, metric: bool):
        self.metric = metric
        self.pending: Tensor | None = None  # the last frames, which the next window fades into
        self.shared: Tensor | None = None  # depth of the first frames that the next window repeats

    def add(self, depth: Tensor) -> Tensor:
        """Take a window's depth ``[32, ...]``; return the frames that are final."""
        depth = depth.float()
        if self.pending is None or self.shared is None:
            self.shared = torch.cat([depth[:1], depth[KEPT[1]][None]])
        else:
            if not self.metric:
                scale, shift = fit(depth[:SHARED], self.shared)
                depth = (depth * scale + shift).clamp(min=0)
            fading = torch.linspace(0, 1, len(self.pending), device=depth.device)
            fading = fading.view(-1, *[1] * (depth.dim() - 1))
            faded = torch.lerp(self.pending, depth[SHARED : len(KEPT)], fading)
            self.shared = torch.cat([self.shared[:1], depth[KEPT[1]][None]])
            depth = torch.cat([faded, depth[len(KEPT) :]])
        final, self.pending = depth[: SHARED - len(KEPT)], depth[SHARED - len(KEPT) :].clone()
        return final


def fit(new: Tensor, old: Tensor) -> tuple[Tensor, Tensor]:
    """Fit scale and shift (on the device, without synchronising) from ``new`` to ``old`` by least squares.

    If no positive scale fits, the scale is 1 and only the means are matched.
    """
    middle, level = new.mean(), old.mean()
    away = new - middle
    variance, together = (away * away).mean(), (away * (old - level)).mean()
    scale = torch.where((together > 0) & (variance > 1e-12), together / variance.clamp(min=1e-12), 1.0)
    return scale, level - scale * middle


def match(new: Tensor, old: Tensor) -> tuple[Tensor, Tensor]:
    """Fit scale and shift from ``new`` to ``old`` ``[N]``, of which fewer than half truly changed.

    The scale is the ratio of the two spreads, not a regression slope, which noise would shrink a little with
    every frame. Changed samples are distinguished by their distance from the majority, starting from no
    change of scale.
    """
    scale, shift = torch.ones((), device=new.device), (old - new).median()
    for _ in range(12):
        error = (new * scale + shift - old).abs()
        weight = 1 / (1 + (error / (2 * error.median() + 1e-6 * old.abs().mean() + 1e-12)) ** 2)
        weight = weight / weight.sum()
        middle, level = (weight * new).sum(), (weight * old).sum()
        spread, wanted = (
            (weight * (part - mean) ** 2).sum().sqrt() for part, mean in ((new, middle), (old, level))
        )
        scale = torch.where(
            torch.minimum(spread, wanted) > 1e-9, (wanted / spread.clamp(min=1e-9)).clamp(0.2, 5), 1.0
        )
        shift = level - scale * middle
    return scale, shift


def samples(frame: Tensor) -> Tensor:
    """Return at most ``GRID`` by ``GRID`` pixels of ``[H, W]``, evenly spread, as a list."""
    rows, columns = (
        torch.linspace(0, size - 1, min(size, GRID), device=frame.device).round().long()
        for size in frame.shape
    )
    return frame.index_select(0, rows).index_select(1, columns).flatten().float()


class SteadyRange:
    """Scale raw inverse depth of one shot to 0..1, near = 1, by a causal range that never jumps.

    For image models. Each frame is aligned to the previous one; the percentiles ``low`` and ``high`` of the
    first become 0 and 1. The range follows those of later frames by the fraction ``adapt`` per frame and by
    at most ``step`` of the range. This bounds the effect of any change of content on the parallax of the
    rest: with a divergence of 2 % at 1920 pixels, a ``step`` of 0.004 is 0.15 pixels. It never synchronises
    with the device. ``fit`` is ``match``, or that recorded: some hundred small operations.
    """

    def __init__(
        self,
        low: float = 0.02,
        high: float = 0.98,
        adapt: float = 0.03,
        step: float = 0.004,
        aligned: bool = False,
        fit: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = match,
    ):
        self._fit = fit
        self._percentiles, self._adapt, self._step, self._aligned = (low, high), adapt, step, aligned
        self._before: Tensor | None = None
        self._range: Tensor | None = None  # [2]

    def __call__(self, depth: Tensor) -> Tensor:
        """Scale ``[T, H, W]``, frames in order; ``aligned`` ones (of a video model) keep their scale."""
        return torch.stack([self._one(frame) for frame in depth.float()])

    def _one(self, frame: Tensor) -> Tensor:
        if self._before is not None and not self._aligned:
            scale, shift = self._fit(samples(frame), samples(self._before))
            frame = frame * scale + shift
        self._before = frame
        ordered = samples(frame).sort().values
        wanted = torch.stack([ordered[round(share * (len(ordered) - 1))] for share in self._percentiles])
        if self._range is None:
            self._range = wanted
        else:
            most = self._step * (self._range[1] - self._range[0])
            self._range = self._range + (self._adapt * (wanted - self._range)).clamp(-most, most)
        low, high = self._range
        return torch.where(high - low > 1e-6, (frame - low) / (high - low).clamp(min=1e-6), 0.5).clamp(0, 1)
