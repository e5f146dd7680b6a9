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


@njit(nogil=True, error_model="numpy")
def _pixels_of_row(holes, parallax, source, left, depth, share):
    """Set nearness and weight ``[FIRST, cells]`` of a row's pixels, by their place in a cell."""
    last = len(holes) - 1
    for part in range(FIRST):
        for cell in range(depth.shape[1]):
            x = min(cell * FIRST + part, last)
            at = last - x if left else x
            depth[part, cell] = parallax[source[at]]
            share[part, cell] = LITTLE if holes[at] > ZERO else ONE


@njit(nogil=True, error_model="numpy")
def _shares_of_cells(depth, share, surface, near, weight):
    """Turn the weights of pixels into their shares of the cells, whose nearness and weight these are."""
    for cell in range(len(near)):
        one, two, three, four = depth[0, cell], depth[1, cell], depth[2, cell], depth[3, cell]
        farthest = min(min(min(one, two), three), four)
        first = share[0, cell] * _farness(one, farthest, surface)
        second = share[1, cell] * _farness(two, farthest, surface)
        third = share[2, cell] * _farness(three, farthest, surface)
        fourth = share[3, cell] * _farness(four, farthest, surface)
        total = first + second + third + fourth
        first, second, third, fourth = first / total, second / total, third / total, fourth / total
        share[0, cell], share[1, cell], share[2, cell], share[3, cell] = first, second, third, fourth
        near[cell] = one * first + two * second + three * third + four * fourth
        weight[cell] = min(total * (CERTAIN / np.float32(FIRST)), ONE)


@njit(nogil=True, error_model="numpy")
def _colors_of_cells(picture, left, share, color, channels):
    last = len(picture) - 1
    for cell in range(len(color)):
        x = cell * FIRST
        one, two, three, four = x, min(x + 1, last), min(x + 2, last), min(x + 3, last)
        if left:
            one, two, three, four = last - one, last - two, last - three, last - four
        for channel in range(channels):
            color[cell, channel] = (
                picture[one, channel] * share[0, cell]
                + picture[two, channel] * share[1, cell]
                + picture[three, channel] * share[2, cell]
                + picture[four, channel] * share[3, cell]
            )


def _begin(picture, holes, parallax, source, left, surface, color, weight, near):
    """Make the first level of a view's rows."""
    depth, share = [np.empty((FIRST, color.shape[1]), np.float32) for _ in range(2)]
    for row in range(len(picture)):
        _pixels_of_row(holes[row], parallax[row], source[row], left, depth, share)
        _shares_of_cells(depth, share, surface, near[row], weight[row])
        if picture.shape[2] == 3:
            _colors_of_cells(picture[row], left, share, color[row], 3)  # a constant for the compiler
        else:
            _colors_of_cells(picture[row], left, share, color[row], picture.shape[2])


@njit(nogil=True, error_model="numpy")
def _shares_of_four(upper, lower, high, deep, surface, share, near, weight):
    """Set the shares of two rows of cells in the larger ones, then their sum, nearness and weight."""
    last = len(high) - 1
    for column in range(len(near)):
        x, other = 2 * column, min(2 * column + 1, last)
        one, two, three, four = high[x], high[other], deep[x], deep[other]
        farthest = min(min(one, two), min(three, four))
        first = upper[x] * _farness(one, farthest, surface)
        second = upper[other] * _farness(two, farthest, surface)
        third = lower[x] * _farness(three, farthest, surface)
        fourth = lower[other] * _farness(four, farthest, surface)
        total = first + second + third + fourth
        share[0, column], share[1, column], share[2, column], share[3, column] = first, second, third, fourth
        share[4, column] = total
        near[column] = (one * first + two * second + three * third + four * fourth) / total
        weight[column] = min(total * (CERTAIN / np.float32(4)), ONE)


@njit(nogil=True, error_model="numpy")
def _colors_of_four(upper, lower, share, color, channels):
    last = len(upper) - 1
    for column in range(len(color)):
        x, other = 2 * column, min(2 * column + 1, last)
        for channel in range(channels):
            color[column, channel] = (
                upper[x, channel] * share[0, column]
                + upper[other, channel] * share[1, column]
                + lower[x, channel] * share[2, column]
                + lower[other, channel] * share[3, column]
            ) / share[4, column]


def _enlarge(fine, certain, deep, surface, color, weight, near):
    """Make a level of a finer one."""
    share = np.empty((5, color.shape[1]), np.float32)
    for row in range(color.shape[0]):
        one, other = 2 * row, min(2 * row + 1, len(fine) - 1)
        _shares_of_four(
            certain[one], certain[other], deep[one], deep[other], surface, share, near[row], weight[row]
        )
        if color.shape[2] == 3:
            _colors_of_four(fine[one], fine[other], share, color[row], 3)
        else:
            _colors_of_four(fine[one], fine[other], share, color[row], color.shape[2])


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
