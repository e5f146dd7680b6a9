"""Noisy scenes at half their true size, and the builtin VSR stage's result."""

from fractions import Fraction
from functools import cache
from types import SimpleNamespace

import torch

from benchmarks.support.scenes import Camera, street
from stereoreel.core.clip import ClipInfo, Shot
from stereoreel.core.options import resolve
from stereoreel.image.resize import resize
from stereoreel.stages.vsr import OPTIONS
from stereoreel.stages.vsr.builtin import load

NOISE = 10 / 255
MOVES = {
    "still": Camera(),
    "truck": Camera(truck=(9.0, 0.0)),
    "pan": Camera(pan=(7.3, 3.1)),
    "zoom": Camera(truck=(4.0, 2.0), zoom=1.01),
    "fast": Camera(truck=(24.0, 0.0), pan=(-6.0, 0.0)),
}


@cache
def large(move: str, frames: int = 6) -> torch.Tensor:
    """Return a scene with thin bars and occlusions at twice the stage's input size."""
    return street(list(MOVES).index(move) + 1, 448, 256, camera=MOVES[move]).clip(frames)[0]


def small(move: str) -> torch.Tensor:
    frames = large(move)
    return resize(frames, frames.shape[1] // 2, frames.shape[2] // 2, "area")


def noisy(frames: torch.Tensor, sigma: float = NOISE) -> torch.Tensor:
    return (frames + sigma * torch.randn(frames.shape, generator=torch.Generator().manual_seed(7))).clamp(
        0, 1
    )


def lanczos(frames: torch.Tensor) -> torch.Tensor:
    return resize(frames, frames.shape[1] * 2, frames.shape[2] * 2)


def enhanced(frames: torch.Tensor, host, chunk: int = 4, **options) -> torch.Tensor:
    info = ClipInfo(frames.shape[2], frames.shape[1], Fraction(25), len(frames), channels=frames.shape[3])
    stage = load(SimpleNamespace(), resolve(OPTIONS, options), host)
    return torch.cat(list(stage(Shot(0, info), iter(frames.split(chunk)))))
