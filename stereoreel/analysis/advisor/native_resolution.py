"""Whether an image was upscaled, and from what size.

The output of an interpolation kernel can be reproduced exactly by that kernel.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch

from .kernels import KERNELS, kernel

LENGTH = 96  # pixels of a piece of a line
LINES = 240  # of a frame
NEIGHBOUR = 0.02  # relative distance from the true ratio at which another one does not fit
HIGHEST = 0.84  # largest ratio; above it, too few pixels of a piece depend on each other
KNOWN_HEIGHTS = (
    144,
    180,
    216,
    240,
    270,
    288,
    360,
    405,
    432,
    480,
    486,
    540,
    576,
    600,
    648,
    720,
    768,
    810,
    900,
    960,
    1024,
    1080,
    1152,
    1200,
    1440,
    1600,
    2160,
)
PARTS = sorted(
    {part / whole for whole in range(2, 11) for part in range(1, whole) if 0.2 <= part / whole <= HIGHEST}
)
DIP = 0.4  # residual at a ratio, relative to its neighbours, below which it is certainly the true one


class NativeResolution:
    """Residual of projecting lines onto what each kernel can interpolate, for likely ratios.

    Neighbouring ratios are measured too. The residual falls smoothly as the ratio rises, but for a dip at the
    true one: resampling leaves linear dependences between neighbouring pixels (Popescu and Farid, IEEE TSP
    2005), in this case those of a known kernel with pixel centres aligned.
    """

    def __init__(self) -> None:
        self.found: dict[float, tuple[float, float, float, float]] = {}

    def add(self, image: np.ndarray, origin: tuple[int, int], full: tuple[int, int]) -> None:
        """Add one frame's part ``[h, w]`` that begins at ``origin`` (y, x) of a frame of ``full`` pixels."""
        pieces = [_piece(lines, start) for lines, start in zip((image.T, image), origin)]
        for ratio in likely(full[0]):
            down, across = (min(_depth(name, ratio, some) for name in KERNELS) for some in pieces)
            self.found[ratio] = min(
                self.found.get(ratio, (1.0, ratio, 1.0, 1.0)), (math.sqrt(down * across), ratio, down, across)
            )

    def dips(self) -> list[tuple[float, float, float, float]]:
        """Return for every ratio its dip in both axes (geometric mean), the ratio, and the dip in each axis.

        The axes are down and across. Each dip is from the frame that shows it best: a coder leaves traces in
        some frames and removes them in others.
        """
        return sorted(self.found.values())


def _depth(name: str, ratio: float, piece: tuple[int, np.ndarray]) -> float:
    """Return how much smaller the residual is at a ratio than on both sides of it."""
    below, here, above = (_residual(name, ratio * (1 + step), *piece) for step in (-NEIGHBOUR, 0, NEIGHBOUR))
    return max(0.0, here) / math.sqrt(below * above) if below > 0 and above > 0 else 1.0


@functools.lru_cache(maxsize=8)
def likely(height: int) -> tuple[float, ...]:
    """Return the likely upscaling ratios of a height: from the usual heights, and simple fractions."""
    return tuple(
        sorted({*PARTS, *(known / height for known in KNOWN_HEIGHTS if 0.2 <= known / height <= HIGHEST)})
    )


def _piece(lines: np.ndarray, origin: int) -> tuple[int, np.ndarray]:
    """Return the middles ``[n, LENGTH]`` of the most detailed of lines ``[N, W]``, and their start.

    The start is a position in the frame.
    """
    length = min(LENGTH, lines.shape[1])
    at = (lines.shape[1] - length) // 2
    piece = lines[:, at : at + length]
    best = np.argsort(-np.abs(np.diff(piece, axis=1)).mean(1))[:LINES]
    return origin + at, np.ascontiguousarray(piece[best] - piece[best].mean(1, keepdims=True))


def _residual(name: str, ratio: float, start: int, piece: np.ndarray) -> float:
    """Return the part of the piece's energy that the kernel cannot reproduce, per free dimension."""
    base = _basis(name, ratio, start, piece.shape[1])
    result = torch.from_numpy(piece) @ base
    return (float(np.square(piece).sum()) - result.square().sum().item()) / max(
        1, piece.shape[1] - base.shape[1]
    )


@functools.lru_cache(maxsize=1024)
def _basis(name: str, ratio: float, start: int, length: int) -> torch.Tensor:
    """Return an orthonormal basis ``[length, n]`` of the lines that a kernel can interpolate.

    They are interpolated from ``ratio`` times as many pixels.
    """
    at = (np.arange(start, start + length) + 0.5) * ratio - 0.5
    source = np.arange(int(np.floor(at[0])) - 3, int(np.ceil(at[-1])) + 4)
    weights = kernel(name, at[:, None] - source)
    weights = weights[:, np.abs(weights).sum(0) > 1e-3]
    return torch.linalg.qr(torch.from_numpy(weights.astype(np.float32))).Q
