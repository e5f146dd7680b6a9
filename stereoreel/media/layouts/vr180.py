"""Project flat frames onto the half sphere of VR180: the frame straight ahead, black around it."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

FIELD = 90.0  # degrees; keeps every pixel, as the half sphere is then 1.57 times as wide as the frame
LARGEST = 4096  # pixels per eye; headsets decode 8192 x 4096 at most
STEP = 16  # sizes are multiples of this, which every codec accepts


def sphere_side(width: int, field: float = FIELD) -> int:
    """Return the side of a half sphere that keeps the central detail of a frame ``width`` pixels wide."""
    natural = math.pi * _focal(width, field)
    return min(LARGEST, math.ceil(natural / STEP) * STEP)


def half_sphere(frames: Tensor, field: float = FIELD) -> Tensor:
    """Project frames ``[N, H, W, C]`` to equirectangular ones ``[N, S, S, C]`` of 180 by 180 degrees.

    The lens is assumed to be free of distortion, with a horizontal field of view of ``field`` degrees: a
    direction ``x`` degrees off axis falls ``tan(x)`` from the centre.
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
    """Return the lens's focal length in pixels."""
    return width / 2 / math.tan(math.radians(field) / 2)


def _shrunk(pictures: Tensor, side: int, field: float) -> Tensor:
    """Downscale frames ``[N, C, H, W]`` to the resolution of a half sphere, so that no detail aliases."""
    height, width = pictures.shape[2:]
    finer = math.pi * _focal(width, field) / side
    if finer <= 1:
        return pictures
    size = max(1, round(height / finer)), max(1, round(width / finer))
    return F.interpolate(pictures, size, mode="bilinear", antialias=True, align_corners=False)
