"""Flat pictures on the half sphere that VR180 players show: what lies straight ahead, black around it."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

FIELD = 90.0  # degrees; keeps every pixel, as the half sphere is then 1.57 times as wide as the picture
LARGEST = 4096  # pixels an eye; headsets decode 8192 x 4096 at most
STEP = 16  # sizes are multiples of this, which every codec takes


def sphere_side(width: int, field: float = FIELD) -> int:
    """Width and height of one eye's half sphere that keeps the detail in the middle of a picture ``width`` pixels wide."""
    natural = math.pi * _focal(width, field)
    return min(LARGEST, math.ceil(natural / STEP) * STEP)


def half_sphere(frames: Tensor, field: float = FIELD) -> Tensor:
    """Frames ``[N, H, W, C]`` as equirectangular ones ``[N, S, S, C]`` of 180 by 180 degrees.

    A picture is taken for one of a lens without distortion that sees ``field`` degrees from its left edge to
    its right one: a direction ``x`` degrees aside falls ``tan(x)`` from the middle.
    """
    side = sphere_side(frames.shape[2], field)
    pictures = _shrunk(frames.float().permute(0, 3, 1, 2), side, field)
    height, width = pictures.shape[2:]
    focal = _focal(width, field)
    angle = ((torch.arange(side, device=frames.device, dtype=torch.float32) + 0.5) / side - 0.5) * math.pi
    across = torch.tan(angle) * (2 * focal / width)
    down = torch.tan(angle)[:, None] * (2 * focal / height) / torch.cos(angle)[None]
    grid = torch.stack((across.expand(side, side), down), -1)
    placed = F.grid_sample(
        pictures,
        grid.expand(len(pictures), -1, -1, -1),
        mode="bilinear",
        padding_mode="zeros",
        align_corners=False,
    )
    return placed.permute(0, 2, 3, 1)


def _focal(width: int, field: float) -> float:
    """The lens's focal length in pixels."""
    return width / 2 / math.tan(math.radians(field) / 2)


def _shrunk(pictures: Tensor, side: int, field: float) -> Tensor:
    """Pictures ``[N, C, H, W]`` no finer than a half sphere of this side shows them, so that no detail aliases."""
    height, width = pictures.shape[2:]
    finer = math.pi * _focal(width, field) / side
    if finer <= 1:
        return pictures
    size = max(1, round(height / finer)), max(1, round(width / finer))
    return F.interpolate(pictures, size, mode="bilinear", antialias=True, align_corners=False)
