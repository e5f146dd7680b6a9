"""Fill holes with a smooth continuation of the background around them, from coarse to fine.

A pull-push pyramid (Gortler et al., "The Lumigraph", 1996) whose means prefer farther pixels, so that no
object bleeds into the background behind it. Its first cells are wide and low, because a hole is beside its
background, whose last pixel fades into the fill. Frames are independent; a filled pixel is a mean of many,
so it hardly moves when one of them does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial, reduce
from typing import NamedTuple

import torch
from torch import Tensor

from ...core import cancel
from ...image.compute import parallel_map
from ...image.edge_snap import mask_indices
from . import fused, warp
from .warp import BAND, Eye

FIRST = 4  # columns of a cell of the first level, in one row; four of its cells are one of the next
SMALLEST = 4  # largest side of the last level
FULL = 1.35  # a larger cell is as certain as the mean of its cells times this
SURFACE = (
    0.14  # of the divergence: a pixel that is so much nearer than the farthest has a quarter of its weight
)
FADE = 1 / 250  # of the width: away from the background, its last pixel loses two thirds of its weight
TRACE = 1e-6  # weight of what is no source, so that every mean exists


class Level(NamedTuple):
    """Cells of a pyramid: colour ``[N, h, w, C]``, certainty in 0..1 and nearness ``[N, h, w]``."""

    color: Tensor
    weight: Tensor
    near: Tensor


def fill_background(eyes: list[Eye], height: int, divergence: float) -> None:
    """Fill the holes of views rendered with ``source`` in place; never synchronises with a GPU.

    Frames have ``height`` rows; ``divergence`` is in pixels.
    """
    surface = max(SURFACE * divergence, 1e-3)
    if not eyes:
        return
    rows, width = eyes[0].holes.shape
    on_cpu = eyes[0].holes.device.type == "cpu"
    together = height * (1 if on_cpu else max(1, BAND // (height * width)))
    parts = [eye.rows(start, start + together) for start in range(0, rows, together) for eye in eyes]
    if not on_cpu:
        for part in parts:
            given = part, height, surface
            fused.run(part.picture, partial(fused.fill, *given), partial(fill_frames, *given))
        return
    work = (compiled() if eyes[0].picture.dtype == torch.float32 else None) or fill_frames
    parallel_map(lambda part: work(part, height, surface), [part for part in parts if part.holes.amax() > 0])


def compiled() -> Callable[[Eye, int, float], None] | None:
    """Return compiled ``fill_frames`` for one frame, float32 on the CPU, if the warp is compiled too."""
    return _compiled() if warp.compiled() else None


@lru_cache(1)
def _compiled() -> Callable[[Eye, int, float], None]:
    from .compiled_background import fill_frame

    return fill_frame


def fill_frames(eye: Eye, height: int, surface: float) -> None:
    """Fill the holes of some frames of a view."""
    cancel.check()
    assert eye.source is not None
    width, channels = eye.picture.shape[1:]
    source = eye.source.long()
    near = eye.parallax.gather(1, source)
    moved = torch.arange(width, device=near.device) - source
    away = ((-moved if eye.left else moved) + near * eye.share).abs_()  # from the background's last pixel
    color, holes = eye.picture.float(), eye.holes > 0
    if eye.left:  # mirrored, so that mirrored frames give mirrored views
        color, holes, near, away = (rows.flip(1) for rows in (color, holes, near, away))
    weight = torch.where(holes, TRACE, 1.0)
    shape = (-1, height, width)
    pixels = Level(color.view(*shape, channels), weight.view(shape), near.view(shape))
    levels = [larger(pixels, (1, FIRST), surface)]
    while max(levels[-1].near.shape[1:]) > SMALLEST:
        levels.append(larger(levels[-1], (2, 2), surface))
    found = levels[-1].color
    for finer, coarse in zip(levels[-2::-1], levels[:0:-1]):
        found = smaller(found, coarse.near, finer, surface)
    row, column = mask_indices(holes)
    filled = along_rows(found.flatten(0, 1), levels[0].near.flatten(0, 1), row, column, surface)
    kept = torch.exp(away[row, column] / (-FADE * width))
    if holes.device.type != "cpu":  # all pixels are listed
        kept = torch.where(holes[row, column], kept, 1.0)
    filled = filled.lerp_(color[row, column], kept[:, None]).to(eye.picture.dtype)
    eye.picture[row, width - 1 - column if eye.left else column] = filled


def farness(near: Tensor, farthest: Tensor, surface: float) -> Tensor:
    """Return the weight of cells as near as ``near`` where the ``farthest`` cell of a group has 1."""
    return (near - farthest).div_(surface).square_().add_(1).pow_(-2)


def larger(level: Level, cell: tuple[int, int], surface: float) -> Level:
    """Return the next level; where rows or columns are missing, the last ones count again."""
    colors, weights, nears = (split(image, cell) for image in level)
    farthest = reduce(torch.minimum, nears)
    shares = [weight * farness(near, farthest, surface) for weight, near in zip(weights, nears)]
    total = reduce(torch.add, shares)
    color, near = torch.zeros_like(colors[0]), torch.zeros_like(farthest)
    for share, shade, depth in zip(shares, colors, nears):
        share /= total
        color.addcmul_(shade, share[..., None])
        near.addcmul_(depth, share)
    return Level(color, total.mul_(FULL / len(shares)).clamp_(max=1), near)


def split(image: Tensor, cell: tuple[int, int]) -> list[Tensor]:
    """Return the pixels ``[N, h, w, ...]`` of all cells, one tensor for each place in a cell."""
    for axis, size in enumerate(cell, 1):
        if missing := -image.shape[axis] % size:
            last = image.narrow(axis, image.shape[axis] - 1, 1)
            image = torch.cat([image, *[last] * missing], axis)
    return [
        image[:, row :: cell[0], column :: cell[1]] for row in range(cell[0]) for column in range(cell[1])
    ]


def smaller(color: Tensor, near: Tensor, finer: Level, surface: float) -> Tensor:
    """Return the colours of a level: its own as far as it is certain, else those of the cells around."""
    (height, width), (rows, columns) = finer.near.shape[1:], near.shape[1:]
    row, column = mask_indices(finer.weight.flatten(0, 1) < 1)
    place, start = row * width + column, row.div(height, rounding_mode="floor") * rows
    color, near = color.flatten(0, 2), near.flatten()
    around = [
        ((start + up) * columns + left, tall * wide)
        for up, tall in cells(row % height, 2, rows)
        for left, wide in cells(column, 2, columns)
    ]
    nears = [near[cell] for cell, _ in around]
    farthest = reduce(torch.minimum, nears)
    shares = [farness(depth, farthest, surface).mul_(share) for depth, (_, share) in zip(nears, around)]
    total = reduce(torch.add, shares)
    found = color.new_zeros(len(place), color.shape[1])
    for (cell, _), share in zip(around, shares):
        found.addcmul_(color[cell], (share / total)[:, None])
    own, weight = finer.color.flatten(0, 2), finer.weight.flatten()
    own[place] = found.lerp_(own[place], weight[place, None])
    return own.view_as(finer.color)


def along_rows(color: Tensor, near: Tensor, row: Tensor, column: Tensor, surface: float) -> Tensor:
    """Return the colours ``[n, C]`` of pixels from those of the first level's cells ``[N, w, C]``."""
    (one, first), (other, second) = cells(column, FIRST, near.shape[1])
    nears = near[row, one], near[row, other]
    farthest = torch.minimum(*nears)
    first, second = (
        share * farness(depth, farthest, surface) for share, depth in zip((first, second), nears)
    )
    return color[row, one].lerp_(color[row, other], (second / (first + second))[:, None])


def cells(place: Tensor, size: int, count: int) -> list[tuple[Tensor, Tensor]]:
    """Return the two of ``count`` cells of ``size`` around each pixel, as indices, and their weights."""
    position = (place + 0.5) / size - 0.5
    first = position.floor()
    part, first = position - first, first.long()
    return [(first.clamp(min=0), 1 - part), ((first + 1).clamp(max=count - 1), part)]
