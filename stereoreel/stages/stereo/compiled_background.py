"""The fill of ``background.py`` as loops over pixels, compiled by numba: equal but for rounding.

Imported only if numba is installed, like ``compiled.py``.
"""

from __future__ import annotations

import sys

import numpy as np
from numba import njit

from ...core import cancel
from ...image.native import compiled
from .background import FADE, FIRST, FULL, SMALLEST, TRACE
from .warp import Eye

HALF, ONE, ZERO = np.float32(0.5), np.float32(1), np.float32(0)
CERTAIN, LITTLE = np.float32(FULL), np.float32(TRACE)

# Numba's cache on disk is keyed by the module's name, which differs in ComfyUI; one name shares the cache.
sys.modules["stereoreel_stereo_compiled_background"] = sys.modules[__name__]
__name__ = "stereoreel_stereo_compiled_background"


def fill_frame(eye: Eye, height: int, surface: float) -> None:
    """Fill the holes of one frame of a view; float32 on the CPU."""
    cancel.check()
    assert eye.source is not None
    width, channels = eye.picture.shape[1:]
    picture, holes = eye.picture.numpy(), eye.holes.numpy()
    parallax = np.ascontiguousarray(eye.parallax.numpy())
    columns = -(-width // FIRST)
    levels = [_level(height, columns, channels)]
    source, surface = eye.source.numpy(), np.float32(surface)
    _begin(picture, holes, parallax, source, eye.left, surface, *levels[0])
    while max(height, columns) > SMALLEST:
        height, columns = -(-height // 2), -(-columns // 2)
        levels.append(_level(height, columns, channels))
        _enlarge(*levels[-2], surface, *levels[-1])
    for finer, (color, _, near) in zip(levels[-2::-1], levels[:0:-1]):
        _complete(color, near, surface, *finer[:2])
    _finish(levels[0][0], levels[0][2], parallax, source, eye.share, eye.left, surface, holes, picture)


def _level(height: int, width: int, channels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    color = np.empty((height, width, channels), np.float32)
    return color, np.empty((height, width), np.float32), np.empty((height, width), np.float32)


@njit(nogil=True, error_model="numpy", inline="always")
def _farness(near, farthest, surface):
    beyond = (near - farthest) / surface
    falloff = ONE + beyond * beyond
    return ONE / (falloff * falloff)


def _begin(picture, holes, parallax, source, left, surface, color, weight, near):
    """Make the first level of a view's rows."""
    width, channels = picture.shape[1], picture.shape[2]
    known, depth, share = (
        np.empty(width, np.float32),
        np.empty(width, np.float32),
        np.empty(FIRST, np.float32),
    )
    for row in range(len(picture)):
        for x in range(width):
            at = width - 1 - x if left else x
            depth[x] = parallax[row, source[row, at]]
            known[x] = LITTLE if holes[row, at] > ZERO else ONE
        for cell in range(color.shape[1]):
            start = cell * FIRST
            farthest = depth[start]
            for part in range(1, FIRST):
                farthest = min(farthest, depth[min(start + part, width - 1)])
            total, deep = ZERO, ZERO
            color[row, cell] = ZERO
            for part in range(FIRST):
                x = min(start + part, width - 1)
                share[part] = known[x] * _farness(depth[x], farthest, surface)
                total += share[part]
            for part in range(FIRST):
                x = min(start + part, width - 1)
                at, much = width - 1 - x if left else x, share[part] / total
                deep += depth[x] * much
                for channel in range(channels):
                    color[row, cell, channel] += picture[row, at, channel] * much
            near[row, cell], weight[row, cell] = deep, min(total * (CERTAIN / np.float32(FIRST)), ONE)


def _enlarge(fine, certain, deep, surface, color, weight, near):
    """Make a level of a finer one."""
    height, width, channels = fine.shape
    for row in range(color.shape[0]):
        rows = 2 * row, min(2 * row + 1, height - 1)
        for column in range(color.shape[1]):
            columns = 2 * column, min(2 * column + 1, width - 1)
            farthest = min(
                min(deep[rows[0], columns[0]], deep[rows[0], columns[1]]),
                min(deep[rows[1], columns[0]], deep[rows[1], columns[1]]),
            )
            total, mean = ZERO, ZERO
            color[row, column] = ZERO
            for y in rows:
                for x in columns:
                    share = certain[y, x] * _farness(deep[y, x], farthest, surface)
                    total += share
                    mean += deep[y, x] * share
                    for channel in range(channels):
                        color[row, column, channel] += fine[y, x, channel] * share
            for channel in range(channels):
                color[row, column, channel] /= total
            near[row, column] = mean / total
            weight[row, column] = min(total * (CERTAIN / np.float32(4)), ONE)


def _complete(color, near, surface, fine, certain):
    """Blend uncertain cells of a level with the larger cells around them."""
    height, width, channels = fine.shape
    for row in range(height):
        tall = (np.float32(row) + HALF) * HALF - HALF
        top = int(np.floor(tall))
        low = tall - np.float32(top)
        rows = max(top, 0), min(top + 1, color.shape[0] - 1)
        for column in range(width):
            own = certain[row, column]
            if own >= ONE:
                continue
            wide = (np.float32(column) + HALF) * HALF - HALF
            start = int(np.floor(wide))
            right = wide - np.float32(start)
            columns = max(start, 0), min(start + 1, color.shape[1] - 1)
            farthest = min(
                min(near[rows[0], columns[0]], near[rows[0], columns[1]]),
                min(near[rows[1], columns[0]], near[rows[1], columns[1]]),
            )
            total = ZERO
            for channel in range(channels):
                fine[row, column, channel] *= own
            shares = (
                (ONE - low) * (ONE - right) * _farness(near[rows[0], columns[0]], farthest, surface),
                (ONE - low) * right * _farness(near[rows[0], columns[1]], farthest, surface),
                low * (ONE - right) * _farness(near[rows[1], columns[0]], farthest, surface),
                low * right * _farness(near[rows[1], columns[1]], farthest, surface),
            )
            total = shares[0] + shares[1] + shares[2] + shares[3]
            for place in range(4):
                share = shares[place] / total * (ONE - own)
                for channel in range(channels):
                    fine[row, column, channel] += color[rows[place // 2], columns[place % 2], channel] * share


def _finish(color, near, parallax, source, share, left, surface, holes, picture):
    """Write the holes of the view, which still show the background's last pixel."""
    width, channels = picture.shape[1], picture.shape[2]
    fade = np.float32(-FADE * width)
    for row in range(len(picture)):
        for at in range(width):
            if holes[row, at] == ZERO:
                continue
            wide = (np.float32(width - 1 - at if left else at) + HALF) / np.float32(FIRST) - HALF
            start = int(np.floor(wide))
            right = wide - np.float32(start)
            one, other = max(start, 0), min(start + 1, color.shape[1] - 1)
            farthest = min(near[row, one], near[row, other])
            first = (ONE - right) * _farness(near[row, one], farthest, surface)
            second = right * _farness(near[row, other], farthest, surface)
            part = second / (first + second)
            moved = np.float32(source[row, at] - at if left else at - source[row, at])
            kept = np.exp(abs(moved + parallax[row, source[row, at]] * share) / fade)
            for channel in range(channels):
                filled = color[row, one, channel] + part * (
                    color[row, other, channel] - color[row, one, channel]
                )
                picture[row, at, channel] = filled + kept * (picture[row, at, channel] - filled)


CUBE, PLANE = "f4[:,:,::1]", "f4[:,::1]"
SIGNATURES = {
    _begin: f"void({CUBE}, {PLANE}, {PLANE}, i4[:,::1], b1, f4, {CUBE}, {PLANE}, {PLANE})",
    _enlarge: f"void({CUBE}, {PLANE}, {PLANE}, f4, {CUBE}, {PLANE}, {PLANE})",
    _complete: f"void({CUBE}, {PLANE}, f4, {CUBE}, {PLANE})",
    _finish: f"void({CUBE}, {PLANE}, {PLANE}, i4[:,::1], f4, b1, f4, {PLANE}, {CUBE})",
}


_begin, _enlarge, _complete, _finish = (compiled(*each) for each in SIGNATURES.items())
