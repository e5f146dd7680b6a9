"""Materials of the ray tracer's shapes: patterns in space that fade before a pixel can alias them.

Points are ``[3, N]`` (x right, y up, z forward), colours linear.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

Triple = tuple[float, float, float]
NOISE = 128  # texels of the noise table along each axis


@dataclass(frozen=True)
class Material:
    """A pattern between two linear colours.

    ``scale`` is its size in world units, ``shine`` a highlight, ``mirror`` a reflection (0..1).
    """

    pattern: str
    a: Triple
    b: Triple
    scale: float = 1.0
    shine: float = 0.0
    mirror: float = 0.0

    def color(self, p: Tensor, across: Tensor, along: Tensor) -> Tensor:
        """Return ``[3, ...]`` at points of the shape's own space.

        ``across`` and ``along`` are a pixel's width there, in x and z.
        """
        a, b = vector(self.a), vector(self.b)
        mix = PATTERNS[self.pattern](p / self.scale, across / self.scale, along / self.scale)
        return a + (b - a) * mix


@lru_cache(512)
def vector(values: Triple) -> Tensor:
    """Return a constant ``[3, 1]`` to combine with ``[3, N]``; shared, so never written to."""
    return torch.tensor(values)[:, None]


def dot(a: Tensor, b: Tensor) -> Tensor:
    return torch.addcmul(torch.addcmul(a[0] * b[0], a[1], b[1]), a[2], b[2])


def power(x: Tensor, doublings: int) -> Tensor:
    """Return x to the power of 2 ** doublings, many times faster than a general power."""
    for _ in range(doublings):
        x = x * x
    return x


def smooth(x: Tensor) -> Tensor:
    x = x.clamp(0, 1)
    return x * x * (3 - 2 * x)


@lru_cache
def _noise_table() -> Tensor:
    """Return two periodic fields ``[1, 2, 129, 129, 129]`` with the spectrum of clouds and deviation 1.

    No wavelength is below 5 texels.
    """
    white = torch.randn(2, NOISE, NOISE, NOISE, generator=torch.Generator().manual_seed(7))
    whole, half = torch.fft.fftfreq(NOISE), torch.fft.rfftfreq(NOISE)
    cycles = (whole[:, None, None] ** 2 + whole[None, :, None] ** 2 + half**2).sqrt()
    strength = cycles.clamp(min=1.9 / NOISE) ** -2.1 * torch.exp(-((cycles / 0.16) ** 2)) * (cycles > 0)
    field = torch.fft.irfftn(torch.fft.rfftn(white, dim=(1, 2, 3)) * strength, dim=(1, 2, 3))
    field /= field.std(dim=(1, 2, 3), keepdim=True)
    return F.pad(field[None], (0, 1) * 3, mode="circular")


def noise(p: Tensor) -> Tensor:
    """Return ``[2, ...]``, mean 0, deviation 1, of period 1 in every direction."""
    grid = ((p - p.floor()) * 2 - 1).flip(0).movedim(0, -1).reshape(1, 1, 1, -1, 3)
    return F.grid_sample(_noise_table(), grid, align_corners=True).reshape(2, *p.shape[1:])


def fade(along: Tensor, wavelength: float) -> Tensor:
    """Return the detail that remains at this pixel width: 1 near, 0 far away, so that nothing shimmers."""
    return 1 / (1 + power(along * (2 / wavelength), 2))


def _tiles(p: Tensor, across: Tensor, along: Tensor) -> Tensor:
    """Return a stone checkerboard, averaged over each pixel's width."""
    square = _wave(p[0], across) * _wave(p[2], along)
    grain = noise(p * 0.29)
    return (0.5 + 0.36 * square + (0.11 * grain[0] + 0.07 * grain[1]) * fade(along, 0.35)).clamp(0, 1)


def _wave(x: Tensor, width: Tensor) -> Tensor:
    """Return the mean of a square wave of period 2, -1..1, over ``width`` about ``x``."""
    width = width.clamp(min=0.015)
    edges = [
        (((x + side * width) * 0.5 - ((x + side * width) * 0.5).floor()) - 0.5).abs() for side in (-0.5, 0.5)
    ]
    return (edges[1] - edges[0]) * 2 / width


def _marble(p: Tensor, across: Tensor, along: Tensor) -> Tensor:
    fields = noise(p * 0.23)
    vein = 1 - torch.sin(p[1] * 2.3 + p[0] * 1.7 + p[2] * 1.1 + fields[0] * 1.5).abs()
    faint = smooth(fields[1] * 0.6 + 0.5)
    return (0.14 + (0.75 * power(vein, 2) * faint + 0.14 * fields[1]) * fade(along, 0.5)).clamp(0, 1)


def _wood(p: Tensor, across: Tensor, along: Tensor) -> Tensor:
    fields = noise(p * vector((0.45, 0.06, 0.45)) + 0.3)
    ring = torch.sin((p[0].square() + p[2].square()).sqrt() * 14 + fields[0] * 2.2)
    return 0.45 + (0.33 * ring + 0.10 * fields[1]) * fade(along, 0.45)


def _stripes(p: Tensor, across: Tensor, along: Tensor) -> Tensor:
    """Return six gores, as on a beach ball."""
    turn = torch.sin(torch.atan2(p[2], p[0]) * 3) * (p[0].square() + p[2].square()).sqrt()
    return smooth(turn * 14 + 0.5)


def _bands(p: Tensor, across: Tensor, along: Tensor) -> Tensor:
    width = across.clamp(min=0.02)
    return 0.5 + 0.5 * _wave(p[1], width)


def _plain(p: Tensor, across: Tensor, along: Tensor) -> Tensor:
    return (0.5 + 0.16 * noise(p * 0.31)[0] * fade(along, 0.3)).clamp(0, 1)


PATTERNS = {
    "tiles": _tiles,
    "marble": _marble,
    "wood": _wood,
    "stripes": _stripes,
    "bands": _bands,
    "plain": _plain,
}
