"""Depth of a network's size brought to frame size with clean edges: no pixel floats between an object and
what lies behind it.

An enlarged edge is a ramp, which stereo stretches like a rubber sheet. Every pixel of such a ramp is given to
the near or to the far side, whichever its colour is closer to. A side's depth is the largest or smallest one
around, so nothing rings; a slope that goes on beyond the ramp is a surface and stays as it is.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

STEP = 0.01  # depth differences below this are left alone: 0.4 pixels at a divergence of 2 % and 1920 pixels
# a change is an edge when looking twice as far finds less than so many times as much of it; on a slope it is
# 2
OVER = 1.6
SHARP = 1.25  # below this an edge is over within one depth pixel each way, and its sides are taken from there
# depth pixels each way that define a side's colour, and the square of the distance at which one counts 1 / e
REACH, SPREAD = 2, 2.0
# differences in colour (root mean square of RGB in 0..1) well below this do not distinguish the sides
COLOR = 0.1
TOGETHER = 1 << 18  # depth pixels sampled with their surroundings at a time: 300 MB
# what the enlarged depth says, which knows how an edge divides a depth pixel, against what colour says
PRIOR = 0.3


def snap(depth: Tensor, frame: Tensor, dilate: int = 0, step: float = STEP) -> Tensor:
    """Depth ``[h, w]`` in 0..1, near = 1, at the size of ``frame`` ``[H, W, 3]`` in 0..1: ``[H, W]`` float32
    on the frame's device.

    ``dilate`` lets near things grow by so many pixels of the frame. No value leaves the range of those of
    ``depth`` nearby.
    """
    frame = frame[..., :3].float()
    depth = depth.to(frame.device, torch.float32)
    near, far, edge = _sides(depth, step)
    row, column = places(edge)
    colors = frame.new_zeros(*depth.shape, 6)
    shrunk = _shrunk(frame, depth.shape)
    for some in zip(row.split(TOGETHER), column.split(TOGETHER)):
        colors[some] = _colors(depth, near, far, shrunk, *some)
    large = F.interpolate(depth[None, None], frame.shape[:2], mode="bilinear", align_corners=False)[0, 0]
    rows, columns = (_nearest(size, grown, frame.device) for size, grown in zip(depth.shape, frame.shape))
    edge = edge.index_select(0, rows).index_select(1, columns)
    row, column = places(edge)
    there, own, ramp = (rows[row], columns[column]), frame[row, column], large[row, column]
    by_near, by_far = ((own - color).square().sum(-1) for color in colors[there].split(3, -1))
    likeness = (by_far - by_near) / (by_far + by_near + 3 * COLOR**2)
    high, low = near[there], far[there]
    chosen = torch.where(likeness + PRIOR * _side(ramp, high, low) >= 0, high, low)
    large[row, column] = torch.where(edge[row, column], chosen, ramp)
    return _largest(large, dilate) if dilate else large


def places(where: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and columns of a mask; of all pixels on a GPU, where counting them would make the host wait."""
    if where.device.type != "cpu":
        return everywhere(where)
    rows, columns = where.nonzero(as_tuple=True)
    return rows, columns


def everywhere(where: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and columns of all pixels."""
    place = torch.arange(where.numel(), device=where.device)
    return place // where.shape[1], place % where.shape[1]


def _sides(depth: Tensor, step: float) -> tuple[Tensor, Tensor, Tensor]:
    """Depth of the near and the far side around every pixel, and where they are two: within one pixel, or two
    where the edge is softer.
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
    """The largest value within ``reach`` pixels, of ``[..., h, w]``."""
    for axis in (-2, -1):
        for _ in range(reach):  # plain maxima of neighbours: on a CPU many times faster than pooling
            given, size = images, images.shape[axis] - 1
            images = images.clone()
            for one, other in ((0, 1), (1, 0)):
                mine = images.narrow(axis, one, size)
                mine.copy_(torch.maximum(mine, given.narrow(axis, other, size)))
    return images


def _inside(image: Tensor, reach: int) -> Tensor:
    """At the border of the picture, where less is seen within ``reach``, what is just far enough from it:
    else a slope would end there.
    """
    rows, columns = (
        torch.arange(size, device=image.device).clamp(min(reach, size // 2), max(size - 1 - reach, size // 2))
        for size in image.shape
    )
    return image.index_select(0, rows).index_select(1, columns)


def _shrunk(frame: Tensor, size: tuple[int, ...]) -> Tensor:
    """The frame ``[3, h, w]`` at the size of its depth, each pixel the mean of what it covers."""
    # there it takes whole factors only
    home = torch.device("cpu") if frame.device.type == "mps" else frame.device
    return F.interpolate(frame.movedim(-1, 0)[None].to(home), size, mode="area")[0].to(frame.device)


def _colors(depth: Tensor, near: Tensor, far: Tensor, shrunk: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Mean colour of the near and of the far side ``[n, 6]`` around some depth pixels; those that an edge
    divides count little.
    """
    (height, width), offsets = depth.shape, torch.arange(-REACH, REACH + 1, device=depth.device)
    down, right = (part.reshape(-1, 1) for part in torch.meshgrid(offsets, offsets, indexing="ij"))
    there = (row + down).clamp(0, height - 1) * width + (column + right).clamp(0, width - 1)  # [25, n]
    around = shrunk.flatten(1).T[there]
    side = _side(depth.flatten()[there], near[row, column], far[row, column])
    weights = (
        (part.clamp(min=0) * torch.exp((down**2 + right**2) / -SPREAD))[..., None] for part in (side, -side)
    )
    return torch.cat([(weight * around).sum(0) / weight.sum(0).clamp(min=1e-6) for weight in weights], -1)


def _side(depth: Tensor, near: Tensor, far: Tensor) -> Tensor:
    """1 on the near side, -1 on the far one."""
    return ((depth - (near + far) / 2) / ((near - far) / 2).clamp(min=1e-6)).clamp(-1, 1)


def _nearest(size: int, grown: int, device: torch.device) -> Tensor:
    """For every one of ``grown`` pixels the nearest of ``size``."""
    return ((torch.arange(grown, device=device) + 0.5) * (size / grown)).long().clamp(max=size - 1)
