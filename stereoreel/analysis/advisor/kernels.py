"""The usual upscaling kernels, in space and in frequency."""

from __future__ import annotations

import functools

import numpy as np

KERNELS = {"bilinear": 1, "bicubic": 2, "sharp bicubic": 2, "lanczos": 3}  # name and reach, in source pixels
CUBIC = {"bicubic": -0.5, "sharp bicubic": -0.75}  # Keys' parameter: Catmull-Rom, and OpenCV's
ALIASES = range(-3, 4)
STEEP = 2.5  # typical decay of image power with frequency, for uses in which precision matters little
FAINT = 1e-6  # of a kernel's response: smaller values are rounding


def kernel(name: str, x: np.ndarray) -> np.ndarray:
    """Return the weight of a source pixel at distance ``x``."""
    x = np.abs(x)
    if name == "bilinear":
        return np.maximum(0, 1 - x)
    if name == "lanczos":
        return np.where(x < 3, np.sinc(x) * np.sinc(x / 3), 0)
    a = CUBIC[name]
    near, far = (a + 2) * x**3 - (a + 3) * x**2 + 1, a * (x**3 - 5 * x**2 + 8 * x - 4)
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


@functools.lru_cache(maxsize=8)
def _response(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a kernel's frequency response, by frequencies in cycles per source pixel."""
    u = np.linspace(0, 24, 2401)
    x = np.linspace(-3, 3, 1201)
    return u, np.cos(2 * np.pi * u[:, None] * x) @ kernel(name, x) * (x[1] - x[0])


@functools.lru_cache(maxsize=512)
def passband(name: str, ratio: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return source frequencies and passed log power for an image upscaled by ``1 / ratio``.

    Both are for ``count`` frequencies from 0 to 1/2: the source's frequency, 0..1/2, that appears there, and
    the logarithm of the power that passes, including images. ``name`` "" is no kernel. For an integer factor
    the images add with their phases (pixel centres are aligned); for others their powers add.
    """
    f = np.linspace(0, 0.5, count)
    lowest = 0.02 / ratio
    source = _folded(f / ratio, lowest)
    if not name:
        return source, np.zeros(count)
    whole = abs(1 / ratio - round(1 / ratio)) < 1e-6
    u, response = _response(name)
    total = np.zeros(count)
    for alias in ALIASES:
        at = (f + alias) / ratio
        weight = np.interp(np.abs(at), u, response)
        if whole:
            total += weight * np.cos(2 * np.pi * alias * (0.5 - 0.5 / ratio))
        else:
            total += weight**2 * (source / _folded(at, lowest)) ** STEEP
    return source, np.log(np.maximum(total**2 if whole else total, FAINT))


def _folded(frequency: np.ndarray, lowest: float) -> np.ndarray:
    return np.maximum(np.abs(frequency - np.round(frequency)), lowest)
