"""Reuse results of frames, or of tiles, in which nothing has changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import repeat
from typing import NamedTuple

import torch
from torch import Tensor

from ...image import tiles
from ...image.repeats import marked
from .work import Work

WAIT = 16  # most repeated frames to buffer while a batch fills; a still shot would never fill one
# side of a reusable tile, in halos: smaller ones are mostly halo, larger ones are seldom still
CELL = 6


class Group(NamedTuple):
    """Frames to compute ``[n, H, W, C]``, and their indices in the shot."""

    fresh: Tensor
    numbers: list[int]
    # the result each frame shows: 0 is the last one of the previous group, 1 the first fresh one
    shown: list[int]


def groups(
    frames: Iterable[Tensor], together: int, threshold: float | None, drained: Callable[[], bool] = bool
) -> Iterator[Group]:
    """Yield batches of ``together`` frames that differ from the last computed one by more than ``threshold``.

    With None, all frames are computed. Batches follow the frames' indices in the shot, so the result does not
    depend on the chunks ``[T, H, W, C]``. A batch is incomplete only at the end, or after the last frame of a
    chunk that has ``drained`` a live session.
    """
    fresh: list[Tensor] = []
    numbers: list[int] = []
    shown: list[int] = []
    last: Tensor | None = None
    # two frames in a row, because the last computed one is equal to those that repeat it
    exact = threshold == 0 and drained is bool
    for number, (frame, repeats, ends) in enumerate(
        (frame, repeats, left == 1)
        for chunk, equal in (marked(frames) if exact else ((chunk, None) for chunk in frames))
        for left, frame, repeats in zip(range(len(chunk), 0, -1), chunk, equal or repeat(None))
    ):
        if (
            last is None
            or threshold is None
            or not (same(frame, last, threshold) if repeats is None else repeats())
        ):
            fresh.append(frame)
            numbers.append(number)
            last = frame
        shown.append(len(fresh))
        if len(fresh) == together or len(shown) == together + WAIT or (ends and drained()):
            yield Group(_stack(fresh, frame), numbers, shown)
            fresh, numbers, shown = [], [], []
    if shown:
        yield Group(_stack(fresh, frame), numbers, shown)


def _stack(frames: list[Tensor], like: Tensor) -> Tensor:
    return torch.stack(frames) if frames else like.new_empty(0, *like.shape)


def same(frame: Tensor, other: Tensor, threshold: float) -> bool:
    """Return whether all values differ by at most ``threshold``."""
    if not threshold:
        return torch.equal(frame, other)
    return bool((frame - other).abs().amax() <= threshold)


class StillTiles:
    """Compute the images of one shot tile by tile, and keep tiles in which nothing changed, halo included.

    If most of an image has changed, it is computed in one piece, which is cheaper than tiles with halos.
    """

    def __init__(self, work: Work, threshold: float, counts: Counter):
        self.work, self.threshold, self.counts = work, threshold, counts
        self.grid: tiles.Grid | None = None
        self.inputs: Tensor | None = None  # the input of each tile when it was computed, [n, 3, h, w]
        self.outputs: Tensor | None = None  # the tiles, [n, 3, scale h, scale w]

    def __call__(self, images: Tensor, names: list[int]) -> Tensor:
        return torch.cat([self._next(image[None], name) for image, name in zip(images, names)])

    def _next(self, image: Tensor, name: int) -> Tensor:
        net = self.work.network
        height, width = (side * net.scale for side in image.shape[-2:])
        image = net.pad(image)
        if self.grid is None:
            halo, (rows, columns) = self.work.halo(), image.shape[-2:]
            self.grid = tiles.grid(rows, columns, (CELL * halo) ** 2, halo, net.needs.multiple_of)
        tiled = self._update(self.grid, image, name, net.scale)
        return self.grid.join(tiled, net.scale)[None, :, :height, :width]

    def _update(self, grid: tiles.Grid, image: Tensor, name: int, scale: int) -> Tensor:
        """Compute the tiles whose input changed; return all tiles."""
        inputs, before, outputs = grid.cut(image[0]), self.inputs, self.outputs
        changed = (
            inputs.new_ones(len(inputs), dtype=torch.bool)
            if before is None
            else (inputs - before).abs().amax((1, 2, 3)) > self.threshold
        )
        count = int(changed.sum())
        self.counts["tiles computed"] += count
        self.counts["tiles reused"] += len(inputs) - count
        if before is None or outputs is None or count * inputs[0, 0].numel() >= image[0, 0].numel():
            outputs = grid.cut(self.work(image, [name])[0], scale)
            self.outputs, self.inputs = outputs, inputs
        elif count:
            outputs[changed], before[changed] = self.work(inputs[changed], [name] * count), inputs[changed]
        return outputs
