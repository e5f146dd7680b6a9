"""Scenes with known depth, and the accuracy of estimates."""

from fractions import Fraction

import numpy as np
import torch

from benchmarks.support.scenes import Camera
from stereoreel.core.clip import ClipInfo, Shot
from stereoreel.core.options import resolve
from stereoreel.models.headless import Headless
from stereoreel.stages import depth
from stereoreel.stages.depth import builtin


def flown_past(size, count=60, height=90, width=160):
    """Return raw depth ``[T, H, W]`` with a scale and shift of its own per frame.

    A near object crosses it in five frames.
    """
    random = torch.Generator().manual_seed(1)
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    still = 0.2 + 0.5 * y + 0.2 * ((x - 0.5) ** 2 + (y - 0.4) ** 2 < 0.05)
    frames = []
    for time in range(count):
        depth = still.clone()
        if 20 <= time < 25:
            depth[10 : 10 + size[0], 24 * (time - 20) : 24 * (time - 20) + size[1]] = 3.0
        scale, shift = (1 + 0.02 * torch.randn(2, generator=random)).tolist()
        frames.append(depth * scale + shift - 1)
    return torch.stack(frames)


def estimate(frames: torch.Tensor, chunk: int = 4, **options) -> torch.Tensor:
    """Estimate the depth ``[T, H, W, 1]`` of one shot, passed in chunks."""
    stage = builtin.load(None, resolve(depth.OPTIONS, options), Headless("cpu"))
    info = ClipInfo(frames.shape[2], frames.shape[1], Fraction(25), len(frames))
    return torch.cat(list(stage(Shot(0, info), iter(frames.split(chunk)))))


def ranks(values: torch.Tensor) -> np.ndarray:
    """Return ranks; ties share their mean."""
    _, place, count = np.unique(values.numpy().round(6).ravel(), return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return (last - (count - 1) / 2)[place.ravel()]


def rank_correlation(first: torch.Tensor, second: torch.Tensor) -> float:
    return float(np.corrcoef(ranks(first), ranks(second))[0, 1])


MOVES = {
    "sideways": Camera(truck=(4.0, 0.0)),
    "upwards": Camera(truck=(0.0, -4.0)),
    "slantwise": Camera(truck=(-3.0, 2.0)),
    "panning along": Camera(truck=(4.0, 0.0), pan=(2.0, 0.0)),
    "panning against": Camera(truck=(6.0, 0.0), pan=(-4.0, 0.0)),
    "zooming": Camera(truck=(4.0, 0.0), zoom=1.01),
}
