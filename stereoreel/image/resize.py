"""Resizing by antialiased Lanczos, bilinear and area filters, for any size and number of channels.

Each axis is a band matrix. Outputs are computed in blocks with overlapping inputs, so that the band becomes a
batch of small dense products: a tenth of the time of sampling pixel by pixel on a CPU, and the same code on a
GPU.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..core import cancel
from . import native
from .host_copy import upload
from .huge_pages import empty
from .polyphase import Polyphase

Enlarge = Callable[[np.ndarray, np.ndarray, bool], None]  # a frame, where its result goes, whether clamped
METHODS = ("lanczos", "bilinear", "area")
# outputs of one small product; wider multiplies more zeros, narrower reads more inputs twice
BLOCK = 32
LARGE = 1 << 20  # values of an enlarged frame from which loading compiled code pays
AXES = 8  # whose weights a ``Resizer`` keeps: those of four sizes


def resize(frames: Tensor, height: int, width: int, method: str = "lanczos", clamp: bool = True) -> Tensor:
    """Resize frames ``[T, H, W, C]`` to ``[T, height, width, C]``, in their own dtype.

    Computed in float32, one frame at a time. Lanczos has three lobes, and its weights are Pillow's; ``area``
    is the exact mean of a pixel's area. ``clamp`` keeps the result in 0..1 (Lanczos overshoots at edges).
    """
    return Resizer()(frames, height, width, method, clamp)


class Resizer:
    """``resize`` for chunk after chunk: a GPU gets the weights of a size once, as long as it is in use."""

    def __init__(self) -> None:
        self._axes: OrderedDict[tuple, _Axis] = OrderedDict()

    def __call__(
        self, frames: Tensor, height: int, width: int, method: str = "lanczos", clamp: bool = True
    ) -> Tensor:
        """Return what ``resize`` does."""
        if min(frames.shape[1:3]) < 1 or height < 1 or width < 1:
            raise ValueError(
                f"Cannot resize {tuple(frames.shape[1:3])} to {(height, width)}: every side must be at least "
                "1 pixel."
            )
        count, rows, columns, channels = frames.shape
        out = empty(frames, count, height, width, channels)
        if frames.device.type == "cpu" and _enlarged(frames, out, method, clamp):
            return out
        down = self._axis(rows, height, 1, method, frames.device)
        across = self._axis(columns, width, channels, method, frames.device)
        for frame, target in zip(frames, out):
            cancel.check()
            image = frame.float().reshape(rows, columns * channels)
            if height < rows:
                image = across.horizontal(down.vertical(image))
            else:  # directly into the result: new memory costs as much as the arithmetic
                image = down.vertical(
                    across.horizontal(image),
                    target.view(height, -1) if target.dtype == torch.float32 else None,
                )
            image = image.clamp_(0, 1) if clamp else image
            if target.dtype != torch.float32 or height < rows:
                target.copy_(image.view_as(target))
        return out

    def _axis(self, *facts) -> _Axis:
        if facts not in self._axes:
            while len(self._axes) >= AXES:
                self._axes.popitem(last=False)
            self._axes[facts] = _Axis(*facts)
        self._axes.move_to_end(facts)
        return self._axes[facts]


def _enlarged(frames: Tensor, out: Tensor, method: str, clamp: bool) -> bool:
    """Fill ``out`` if both factors are whole: a fraction of the arithmetic of band matrices."""
    sides = list(zip(frames.shape[1:3], out.shape[1:3]))
    if not all(
        source == target or Polyphase.serves(source, target, frames.shape[-1]) for source, target in sides
    ):
        return False
    enlarge = _compiled(sides, method) if out[0].numel() >= LARGE and native.enabled() else None
    enlarge = enlarge or _by_opencv(sides, method, frames.shape[-1])
    for frame, target in zip(frames, out):
        cancel.check()
        result = target if target.dtype == torch.float32 else target.float()
        enlarge(np.ascontiguousarray(frame.float().numpy()), result.numpy(), clamp)
        if result is not target:
            target.copy_(result)
    return True


def _compiled(sides: list[tuple[int, int]], method: str) -> Enlarge:
    from .compiled_enlarging import Axis, enlarge

    down, across = (
        Axis.unchanged(source) if source == target else Axis.of(*filter_weights(source, target, method))
        for source, target in sides
    )
    return lambda image, out, clamp: enlarge(image, down, across, clamp, out)


def _by_opencv(sides: list[tuple[int, int]], method: str, channels: int) -> Enlarge:
    down, across = (
        None if source == target else Polyphase(source, *filter_weights(source, target, method))
        for source, target in sides
    )

    wide = np.empty((sides[0][0], sides[1][1], channels) if across else 0, np.float32)

    def enlarge(image: np.ndarray, out: np.ndarray, clamp: bool) -> None:
        if across:
            across.horizontal(image, wide)
            image = wide
        if down:
            down.vertical(image, out)
        else:
            out[:] = image
        if clamp:
            torch.from_numpy(out).clamp_(0, 1)

    return enlarge


def fitted_size(width: int, height: int, side: int) -> tuple[int, int]:
    """Return width and height with a longer edge of at most ``side`` pixels (0: no limit).

    Both are even if the size is reduced.
    """
    if not side or max(width, height) <= side:
        return width, height
    longer = max(width, height)
    return max(2, width * side // longer // 2 * 2), max(2, height * side // longer // 2 * 2)


def scaled_size(width: int, height: int, factor: float) -> tuple[int, int]:
    """Return width and height times ``factor``, to the nearest pixel, at least 1."""
    return max(1, math.floor(width * factor + 0.5)), max(1, math.floor(height * factor + 0.5))


class _Axis:
    """The weights of one axis.

    ``blocks[b]`` maps the inputs ``taken[b]`` to outputs ``b * size ... (b + 1) * size``.
    """

    def __init__(self, source: int, target: int, channels: int, method: str, device: torch.device):
        self.source, self.target, self.channels = source, target, channels
        starts, weights = filter_weights(source, target, method)
        size = min(BLOCK, target)
        count = -(-target // size)
        starts = np.pad(starts, (0, count * size - target), mode="edge").reshape(count, size)
        weights = np.pad(weights, ((0, count * size - target), (0, 0))).reshape(count, size, -1)
        first = starts[:, 0]
        span = min(source, int((starts - first[:, None]).max()) + weights.shape[-1])
        first = np.minimum(first, source - span)
        dense = np.zeros((count, size, span), np.float32)
        block, row, tap = np.indices(weights.shape)
        column = starts[:, :, None] - first[:, None, None] + tap
        kept = column < span  # pixels beyond the image have no weight
        dense[block[kept], row[kept], column[kept]] = weights[kept]
        self.blocks = upload(torch.from_numpy(dense), device)
        self.taken = upload(torch.from_numpy(first[:, None] + np.arange(span)), device)
        self.columns = [slice(begin * channels, (begin + span) * channels) for begin in first.tolist()]
        if channels > 1:  # interleaved channels: each weight becomes a multiple of the identity
            wide = torch.einsum("bnk,cd->bnckd", self.blocks, torch.eye(channels, device=device))
            self.blocks = wide.reshape(count, size * channels, span * channels)

    def vertical(self, image: Tensor, out: Tensor | None = None) -> Tensor:
        """``[source, N]`` to ``[target, N]``, written into ``out`` where it is given."""
        out = image.new_empty(self.target, image.shape[1]) if out is None else out
        if self.source == self.target:
            return out.copy_(image)
        size = self.blocks.shape[1]
        whole = self.target // size
        bands = image[self.taken[:whole].flatten()].view(whole, -1, image.shape[1])
        torch.bmm(self.blocks[:whole], bands, out=out[: whole * size].view(whole, size, -1))
        if remaining := self.target - whole * size:
            out[whole * size :] = self.blocks[-1, :remaining] @ image[self.taken[-1]]
        return out

    def horizontal(self, image: Tensor) -> Tensor:
        """``[N, source * channels]`` to ``[N, target * channels]``."""
        if self.source == self.target:
            return image
        out = torch.bmm(torch.stack([image[:, part] for part in self.columns]), self.blocks.mT)
        return out.transpose(0, 1).reshape(image.shape[0], -1)[:, : self.target * self.channels].contiguous()


def filter_weights(source: int, target: int, method: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the first input ``[target]`` and the weights ``[target, taps]`` of every output.

    Weights beyond the image are zero, rows sum to 1.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, not {method!r}.")
    scale = source / target
    stretch = max(scale, 1.0)
    reach = {"lanczos": 3.0, "bilinear": 1.0, "area": 1.0}[method] * stretch
    centre = (np.arange(target) + 0.5) * scale
    first = np.maximum(np.floor(centre - reach + 0.5).astype(np.int64), 0)
    stop = np.minimum(np.floor(centre + reach + 0.5).astype(np.int64), source)
    taken = first[:, None] + np.arange(int((stop - first).max()))
    distance = (taken + 0.5 - centre[:, None]) / stretch
    if method == "lanczos":
        weights = np.where(np.abs(distance) < 3, np.sinc(distance) * np.sinc(distance / 3), 0)
    elif method == "bilinear":
        weights = np.maximum(1 - np.abs(distance), 0)
    else:  # the part of the input pixel under the output's box
        edge = 0.5 / stretch
        weights = np.clip(np.minimum(distance + edge, 0.5) - np.maximum(distance - edge, -0.5), 0, None)
    weights = np.where(taken < stop[:, None], weights, 0)
    return first, weights / weights.sum(1, keepdims=True)
