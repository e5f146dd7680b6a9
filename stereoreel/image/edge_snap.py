"""Upsample depth to frame size with clean edges: no pixel floats between an object and its background.

An upsampled edge is a ramp, which stereo stretches like a rubber sheet. Every pixel of such a ramp is
assigned to the near or the far side, the one with the closer colour. A side's depth is a mean of depths
there, so nothing rings; a slope that continues beyond the ramp is a surface and stays
unchanged.
"""

from __future__ import annotations

from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from .fused import Kernels
from .fused_snap import choose_sides

STEP = 0.01  # smaller depth differences are unchanged: 0.4 pixels at a divergence of 2 % and 1920 pixels
# a change is an edge if twice the distance shows less than this many times the change; on a slope it is
# 2
OVER = 1.6
SHARP = 1.25  # below this an edge ends within one depth pixel each way, and its sides are sampled there
# depth pixels each way that define a side's colour, and the square of the distance at which one counts 1 / e
REACH, SPREAD = 2, 2.0
# differences in colour (root mean square of RGB in 0..1) well below this do not distinguish the sides
COLOR = 0.15
WHOLE = 0.9  # of 1 at a side: a pixel that no edge divides, whose depth is that of the side
TOGETHER = 1 << 18  # depth pixels sampled with their surroundings at a time: 300 MB
# weight of the upsampled depth, which shows how an edge divides a depth pixel, against that of colour
PRIOR = 1.0
TRIAL = 32  # rows and columns of depth
APART, MOST = 0.02, 0.02  # a trial is right if no more than this share of pixels differs by more than that


def snap(depth: Tensor, frame: Tensor, dilate: int = 0, step: float = STEP) -> Tensor:
    """Return depth ``[h, w]`` at the size of ``frame`` ``[H, W, 3]``: ``[H, W]`` float32 on its device.

    Depth is in 0..1, near = 1; the frame is in 0..1. ``dilate`` grows near objects by that many pixels of the
    frame. No value leaves the range of those of ``depth`` nearby.
    """
    return ALIGNING.run(
        frame.device,
        (frame.dtype, frame.shape[-1]),
        lambda: _snapped(depth, frame, dilate, step, True),
        lambda: _snapped(depth, frame, dilate, step, False),
    )


def _snapped(depth: Tensor, frame: Tensor, dilate: int, step: float, kernels: bool) -> Tensor:
    given, frame = frame, frame[..., :3].float()
    depth = depth.to(frame.device, torch.float32)
    near, far, edge = _sides(depth, step)
    shrunk = torch.cat([_shrunk(frame, depth.shape), depth[None]])
    large = F.interpolate(depth[None, None], frame.shape[:2], mode="bilinear", align_corners=False)[0, 0]
    nearest = [_nearest(size, grown, frame.device) for size, grown in zip(depth.shape, frame.shape)]
    if kernels:
        choose_sides(depth, given, large, (near, far, edge), shrunk, nearest)
    else:
        _choose(depth, frame, large, (near, far, edge), shrunk, nearest)
    return _largest(large, dilate) if dilate else large


def _choose(
    depth: Tensor,
    frame: Tensor,
    large: Tensor,
    sides: tuple[Tensor, Tensor, Tensor],
    shrunk: Tensor,
    nearest: list[Tensor],
) -> None:
    """Do what ``choose_sides`` does."""
    (near, far, edge), (rows, columns) = sides, nearest
    row, column = mask_indices(edge)
    shown = frame.new_zeros(*depth.shape, 8)
    for some in zip(row.split(TOGETHER), column.split(TOGETHER)):
        shown[some] = _means(depth, near, far, shrunk, *some)
    edge = edge.index_select(0, rows).index_select(1, columns)
    row, column = mask_indices(edge)
    there, own, ramp = (rows[row], columns[column]), frame[row, column], large[row, column]
    means = shown[there].split((3, 1, 3, 1), -1)
    by_near, by_far = ((own - color).square().sum(-1) for color in means[::2])
    likeness = (by_far - by_near) / (by_far + by_near + 3 * COLOR**2)
    score = likeness + PRIOR * _side(ramp, near[there], far[there])
    high, low = (mean[:, 0] for mean in means[1::2])
    chosen = torch.where(score >= 0, high, low)
    large[row, column] = torch.where(edge[row, column], chosen, ramp)


def _trial(device: torch.device, dtype: torch.dtype, channels: int) -> bool:
    """Return whether the kernels align a small picture as PyTorch's operations do."""
    place = torch.arange(TRIAL, device=device, dtype=torch.float32)
    depth = ((place[:, None] + 2 * place) / 9).sin().sign().mul(0.4).add(0.5)
    frame = (place.repeat_interleave(4)[:, None, None] + torch.arange(4 * TRIAL, device=device)[:, None]) / 36
    frame = frame.sin().mul(0.5).add(0.5).expand(-1, -1, channels).to(dtype)
    one, other = (_snapped(depth, frame, 0, STEP, kernels) for kernels in (False, True))
    alike = (one - other).abs() <= APART  # which no NaN is
    return not bool((~alike).float().mean() > MOST)


ALIGNING = Kernels("Aligning depth", _trial)


def mask_indices(where: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows and columns of a mask.

    On a GPU, return those of all pixels, because counting them would make the host wait.
    """
    if where.device.type != "cpu":
        return all_indices(where)
    rows, columns = where.nonzero(as_tuple=True)
    return rows, columns


def all_indices(where: Tensor) -> tuple[Tensor, Tensor]:
    """Return rows and columns of all pixels."""
    place = torch.arange(where.numel(), device=where.device)
    return place // where.shape[1], place % where.shape[1]


def _sides(depth: Tensor, step: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return near and far depth around every pixel, and a mask of the pixels where they differ.

    Sides are sampled within one pixel, or two if the edge is softer.
    """
    within = {1: _largest(torch.stack([depth, -depth]), 1)}
    within[2] = _largest(within[1], 1)
    within[4] = _largest(within[2], 2)
    first, second, third = (
        _inside(most + most_of_opposite, reach) for reach, (most, most_of_opposite) in within.items()
    )
    sharp = (first > step) & (second < SHARP * first)
    soft = (second > step) & (third < OVER * second) & ~sharp
    near, far = torch.where(soft, within[2], within[1])
    return near, -far, sharp | soft


def _largest(images: Tensor, reach: int) -> Tensor:
    """Return the largest value within ``reach`` pixels, of ``[..., h, w]``."""
    for axis in (-2, -1):
        for _ in range(reach):  # plain maxima of neighbours: on a CPU many times faster than pooling
            given, size = images, images.shape[axis] - 1
            images = images.clone()
            for one, other in ((0, 1), (1, 0)):
                mine = images.narrow(axis, one, size)
                mine.copy_(torch.maximum(mine, given.narrow(axis, other, size)))
    return images


def _inside(image: Tensor, reach: int) -> Tensor:
    """Repeat, at the image border, the value ``reach`` pixels inside it.

    Less is visible there, so a slope would otherwise end at the border.
    """
    rows, columns = (
        torch.arange(size, device=image.device).clamp(min(reach, size // 2), max(size - 1 - reach, size // 2))
        for size in image.shape
    )
    return image.index_select(0, rows).index_select(1, columns)


def _shrunk(frame: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return the frame ``[3, h, w]`` at the size of its depth, each pixel the mean of its area."""
    # on this device only integer factors are supported
    home = torch.device("cpu") if frame.device.type == "mps" else frame.device
    return F.interpolate(frame.movedim(-1, 0)[None].to(home), size, mode="area")[0].to(frame.device)


def _means(depth: Tensor, near: Tensor, far: Tensor, shrunk: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Return mean colour and depth ``[n, 8]`` of the near side around depth pixels, then of the far side.

    Pixels that an edge divides have little weight for the colour, and none for the depth.
    """
    (height, width), offsets = depth.shape, torch.arange(-REACH, REACH + 1, device=depth.device)
    down, right = (part.reshape(-1, 1) for part in torch.meshgrid(offsets, offsets, indexing="ij"))
    there = (row + down).clamp(0, height - 1) * width + (column + right).clamp(0, width - 1)  # [25, n]
    around, close = shrunk.flatten(1).T[there], torch.exp((down**2 + right**2) / -SPREAD)
    side, found = _side(depth.flatten()[there], near[row, column], far[row, column]), []
    for part, end in ((side, near), (-side, far)):
        weight = (part.clamp(min=0) * close)[..., None]
        color = (weight * around[..., :3]).sum(0) / weight.sum(0).clamp(min=1e-6)
        weight = (part > WHOLE) * close
        # not `sum`, whose rounding depends on how many pixels are listed
        total, mean = (reduce(torch.add, image)[:, None] for image in (weight, weight * around[..., 3]))
        found += [color, torch.where(total > 0, mean / total.clamp(min=1e-6), end[row, column, None])]
    return torch.cat(found, -1)


def _side(depth: Tensor, near: Tensor, far: Tensor) -> Tensor:
    """1 on the near side, -1 on the far one."""
    return ((depth - (near + far) / 2) / ((near - far) / 2).clamp(min=1e-6)).clamp(-1, 1)


def _nearest(size: int, grown: int, device: torch.device) -> Tensor:
    """Return, for each of ``grown`` pixels, the nearest of ``size``."""
    return ((torch.arange(grown, device=device) + 0.5) * (size / grown)).long().clamp(max=size - 1)
