"""Work that need not be done: frames, or tiles of them, in which nothing has changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ...image import tiles
from .work import Work

WAIT = 16  # frames that may wait for a batch to fill; a still shot would wait for ever
# side of a tile of still parts, in halos: smaller ones are mostly halo, larger ones are seldom still
CELL = 6


class Group(NamedTuple):
    """Frames to compute ``[n, H, W, C]``, and their numbers in the shot."""

    fresh: Tensor
    numbers: list[int]
    # which picture each frame of the film shows: 0 is the last of the group before, 1 the first fresh one
    shown: list[int]


def groups(
    frames: Iterable[Tensor], together: int, threshold: float | None, drained: Callable[[], bool] = bool
) -> Iterator[Group]:
    """Batches of ``together`` frames that differ from the one computed before them by more than ``threshold`` anywhere.

    Made by the frames' numbers in the shot, so that the chunks ``[T, H, W, C]`` in which they come cannot
    matter; None: all of them. Only where nothing more is at hand, after the last frame of a chunk that has
    ``drained`` a live session, a batch is not waited for.
    """
    fresh, numbers, shown, last = [], [], [], None
    for number, (frame, ends) in enumerate(
        (frame, left == 1) for chunk in frames for left, frame in zip(range(len(chunk), 0, -1), chunk)
    ):
        if last is None or threshold is None or not same(frame, last, threshold):
            fresh.append(frame)
            numbers.append(number)
            last = frame
        shown.append(len(fresh))
        if len(fresh) == together or len(shown) == together + WAIT or (ends and drained()):
            yield Group(_stack(fresh, last), numbers, shown)
            fresh, numbers, shown = [], [], []
    if shown:
        yield Group(_stack(fresh, last), numbers, shown)


def _stack(frames: list[Tensor], like: Tensor) -> Tensor:
    return torch.stack(frames) if frames else like.new_empty(0, *like.shape)


def same(frame: Tensor, other: Tensor, threshold: float) -> bool:
    """Whether no number differs by more than ``threshold``."""
    if not threshold:
        return torch.equal(frame, other)
    return bool((frame - other).abs().amax() <= threshold)


class StillTiles:
    """Pictures of one shot, tile by tile: those that see nothing new, halo included, are kept from before.

    Where most of a picture has changed it is made whole, which is cheaper than tiles with their halos.
    """

    def __init__(self, work: Work, threshold: float, counts: Counter):
        self.work, self.threshold, self.counts = work, threshold, counts
        self.grid: tiles.Grid | None = None
        self.seen: Tensor | None = None  # what each tile saw when it was made, [n, 3, h, w]
        self.made: Tensor | None = None  # the tiles, [n, 3, scale h, scale w]

    def __call__(self, images: Tensor, names: list[int]) -> Tensor:
        return torch.cat([self._next(image[None], name) for image, name in zip(images, names)])

    def _next(self, image: Tensor, name: int) -> Tensor:
        net = self.work.network
        height, width = (side * net.scale for side in image.shape[-2:])
        image = net.pad(image)
        if self.grid is None:
            halo = self.work.halo()
            self.grid = tiles.grid(*image.shape[-2:], (CELL * halo) ** 2, halo, net.needs.multiple_of)
        seen = self.grid.cut(image[0])
        self._renew(image, seen, name, net.scale)
        return self.grid.join(self.made, net.scale)[None, :, :height, :width]

    def _renew(self, image: Tensor, seen: Tensor, name: int, scale: int) -> None:
        """Make the tiles that see something new."""
        first = self.made is None
        changed = (
            seen.new_ones(len(seen), dtype=torch.bool)
            if first
            else (seen - self.seen).abs().amax((1, 2, 3)) > self.threshold
        )
        count = int(changed.sum())
        self.counts["tiles computed"] += count
        self.counts["tiles reused"] += len(seen) - count
        if first or count * seen[0, 0].numel() >= image[0, 0].numel():
            self.made, self.seen = self.grid.cut(self.work(image, [name])[0], scale), seen
        elif count:
            self.made[changed], self.seen[changed] = self.work(seen[changed], [name] * count), seen[changed]
