"""The frame between two as loops over rows, compiled by numba: equal to OpenCV's steps but for rounding.

A pixel is read, blended and clamped while it is in the cache; those steps write and read a dozen frames.
OpenCV 4 rounds places to 32nds of a pixel, which this does not. Imported only if numba is installed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit

from ...core import cancel
from ...image.compute import parallel_map
from ...image.native import compiled

SHARPNESS = np.float32(-0.75)  # of OpenCV's bicubic filter
TINY = np.float32(1e-6)  # ``projection.NOTHING``
ZERO, ONE, TWO, THREE = np.float32(0), np.float32(1), np.float32(2), np.float32(3)
BAND = 1 << 18  # pixels that one core takes at a time
COLORS, TAPS = 3, 4

# Numba's cache on disk is keyed by the module's name, which differs in ComfyUI; one name shares the cache.
sys.modules["stereoreel_interpolate_compiled"] = sys.modules[__name__]
__name__ = "stereoreel_interpolate_compiled"


class Field(NamedTuple):
    """Motion on a grid ``[h, w, 2]``, in pixels of the frame, and the weights ``[h, w]`` of two frames."""

    motion: np.ndarray
    first: np.ndarray
    second: np.ndarray


def compose(
    first: np.ndarray,
    second: np.ndarray,
    field: Field,
    t: float,
    covers: Sequence[np.ndarray],
    clamp: bool,
) -> np.ndarray:
    """Return the frame at ``t`` between two ``[H, W, 3]`` of at least 4x4 pixels, sampled along the motion.

    ``covers`` are what covers the picture of each of them, ``[N, H, W]``.
    """
    height, width = first.shape[:2]
    result = np.empty((height, width, COLORS), np.float32)
    left, right = (image.reshape(height, -1) for image in (first, second))
    over_left, over_right = covers
    grid = np.stack([field.motion[..., 0], field.motion[..., 1], field.first, field.second]).astype(
        np.float32
    )
    tall, wide = (_neighbours(*sizes) for sizes in zip((height, width), grid.shape[1:]))
    step = max(1, BAND // width)

    def work(start: int) -> None:
        cancel.check()
        stop = min(start + step, height)
        _compose(
            left,
            right,
            grid,
            *tall,
            *wide,
            np.float32(-t),
            np.float32(1 - t),
            over_left,
            over_right,
            clamp,
            start,
            result[start:stop],
        )

    parallel_map(work, range(0, height, step))
    return result


def _neighbours(target: int, source: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first of the two cells of the grid around each pixel, and the weight of the other."""
    place = (np.arange(target) + 0.5) * (source / target) - 0.5
    start = np.clip(np.floor(place), 0, max(source - 2, 0))
    return start.astype(np.int32), np.clip(place - start, 0, 1).astype(np.float32)


@njit(nogil=True, fastmath={"contract"})
def _between_rows(upper, lower, down, out):
    for cell in range(len(out)):
        out[cell] = upper[cell] + down * (lower[cell] - upper[cell])


@njit(nogil=True, fastmath={"contract"})
def _spread(line, starts, across, out):
    """Enlarge a row of the grid to one of the frame, linearly."""
    for column in range(len(out)):
        left = line[starts[column]]
        out[column] = left + across[column] * (line[starts[column] + 1] - left)


@njit(nogil=True, fastmath={"contract"})
def _places(motion, first, change, time, whole, taps):
    """Set where to read each pixel of a row along one axis: the pixel before it, and the filter's weights.

    Without motion it is ``first + change * column``.
    """
    near, far = SHARPNESS + TWO, SHARPNESS + THREE
    for column in range(len(whole)):
        place = first + change * np.float32(column) + time * motion[column]
        before = np.floor(place)
        whole[column] = np.int32(before)
        part = place - before
        rest = ONE - part
        taps[0, column] = SHARPNESS * part * rest * rest
        taps[1, column] = (near * part - far) * part * part + ONE
        taps[2, column] = (near * rest - far) * rest * rest + ONE
        taps[3, column] = SHARPNESS * rest * part * part


@njit(nogil=True, fastmath={"contract"})
def _uncover(covers, first, motions, time, weight):
    """Reduce a row's weights by what covers the places read, sampled linearly."""
    height, width = covers.shape[1:]
    for cover in covers:
        for column in range(len(weight)):
            x, y = np.float32(column) + time * motions[0, column], first + time * motions[1, column]
            left, top = np.int32(np.floor(x)), np.int32(np.floor(y))
            across, down = x - np.float32(left), y - np.float32(top)
            one, other = min(max(left, 0), width - 1), min(max(left + 1, 0), width - 1)
            upper, lower = cover[min(max(top, 0), height - 1)], cover[min(max(top + 1, 0), height - 1)]
            high = upper[one] + across * (upper[other] - upper[one])
            low = lower[one] + across * (lower[other] - lower[one])
            weight[column] = weight[column] * (ONE - (high + down * (low - high))) + TINY


@njit(nogil=True, fastmath={"contract"}, error_model="numpy")
def _sum(w, x, y, z, one, two, three, four):
    return w * one + x * two + y * three + z * four


@njit(nogil=True, fastmath={"contract"}, error_model="numpy")
def _sample_borders(image, x, y, across, down, out):
    """Write those pixels of a row for which places outside of the image, of at least 4x4 pixels, are read."""
    height, width = len(image), image.shape[1] // COLORS
    for column in range(len(x)):
        left, top = x[column] - 1, y[column] - 1
        if left >= 0 and top >= 0 and left + TAPS <= width and top + TAPS <= height:
            continue
        out[column] = ZERO
        for row in range(TAPS):
            line = image[min(max(top + row, 0), height - 1)]
            for tap in range(TAPS):
                at = min(max(left + tap, 0), width - 1) * COLORS
                for color in range(COLORS):
                    out[column, color] += down[row, column] * across[tap, column] * line[at + color]


@njit(nogil=True, fastmath={"contract"}, error_model="numpy")
def _sample(image, x, y, across, down, out):
    """Write the pixels of a row, read at places in steps; those outside repeat the border.

    The twelve values that a row of taps covers are written out, for the compiler to make vectors of them.
    """
    height, width = len(image), image.shape[1] // COLORS
    outside = 0
    for column in range(len(x)):
        left, top = min(max(x[column] - 1, 0), width - TAPS), min(max(y[column] - 1, 0), height - TAPS)
        outside |= (x[column] - 1 - left) | (y[column] - 1 - top)
        at = np.uint64(left * COLORS)
        n, o, p, q = image[top], image[top + 1], image[top + 2], image[top + 3]
        r, s, t, u = down[0, column], down[1, column], down[2, column], down[3, column]
        a = _sum(r, s, t, u, n[at], o[at], p[at], q[at])
        b = _sum(r, s, t, u, n[at + 1], o[at + 1], p[at + 1], q[at + 1])
        c = _sum(r, s, t, u, n[at + 2], o[at + 2], p[at + 2], q[at + 2])
        d = _sum(r, s, t, u, n[at + 3], o[at + 3], p[at + 3], q[at + 3])
        e = _sum(r, s, t, u, n[at + 4], o[at + 4], p[at + 4], q[at + 4])
        f = _sum(r, s, t, u, n[at + 5], o[at + 5], p[at + 5], q[at + 5])
        g = _sum(r, s, t, u, n[at + 6], o[at + 6], p[at + 6], q[at + 6])
        h = _sum(r, s, t, u, n[at + 7], o[at + 7], p[at + 7], q[at + 7])
        i = _sum(r, s, t, u, n[at + 8], o[at + 8], p[at + 8], q[at + 8])
        j = _sum(r, s, t, u, n[at + 9], o[at + 9], p[at + 9], q[at + 9])
        k = _sum(r, s, t, u, n[at + 10], o[at + 10], p[at + 10], q[at + 10])
        m = _sum(r, s, t, u, n[at + 11], o[at + 11], p[at + 11], q[at + 11])
        r, s, t, u = across[0, column], across[1, column], across[2, column], across[3, column]
        out[column, 0] = _sum(r, s, t, u, a, d, g, j)
        out[column, 1] = _sum(r, s, t, u, b, e, h, k)
        out[column, 2] = _sum(r, s, t, u, c, f, i, m)
    if outside:
        _sample_borders(image, x, y, across, down, out)


@njit(nogil=True, fastmath={"contract"}, error_model="numpy")
def _blend(first, second, one, other, clamp, out):
    for column in range(len(out)):
        share = ONE / (one[column] + other[column])
        for color in range(COLORS):
            value = (first[column, color] * one[column] + second[column, color] * other[column]) * share
            if clamp:
                value = ZERO if value < ZERO else value  # also keeps NaN
                value = ONE if value > ONE else value
            out[column, color] = value


def _compose(first, second, grid, tops, downs, starts, shares, ago, ahead, covers, others, clamp, start, out):
    """Write rows of the frame, from row ``start`` on."""
    width = out.shape[1]
    line, values = np.empty(grid.shape[2], np.float32), np.empty((4, width), np.float32)
    x, y = np.empty(width, np.int32), np.empty(width, np.int32)
    across, down = np.empty((TAPS, width), np.float32), np.empty((TAPS, width), np.float32)
    left, right = np.empty((width, COLORS), np.float32), np.empty((width, COLORS), np.float32)
    for row in range(len(out)):
        top, place = tops[start + row], np.float32(start + row)
        bottom = min(top + 1, grid.shape[1] - 1)
        for which in range(4):
            _between_rows(grid[which, top], grid[which, bottom], downs[start + row], line)
            _spread(line, starts, shares, values[which])
        _uncover(covers, place, values, ago, values[2])
        _uncover(others, place, values, ahead, values[3])
        _places(values[0], ZERO, ONE, ago, x, across)
        _places(values[1], place, ZERO, ago, y, down)
        _sample(first, x, y, across, down, left)
        _places(values[0], ZERO, ONE, ahead, x, across)
        _places(values[1], place, ZERO, ahead, y, down)
        _sample(second, x, y, across, down, right)
        _blend(left, right, values[2], values[3], clamp, out[row])


CUBE, PLANE, PLACES, SHARES = "f4[:,:,::1]", "f4[:,::1]", "i4[::1]", "f4[::1]"
_compose = compiled(
    _compose,
    f"void({PLANE}, {PLANE}, {CUBE}, {PLACES}, {SHARES}, {PLACES}, {SHARES}, f4, f4, "
    f"{CUBE}, {CUBE}, b1, i8, {CUBE})",
)
