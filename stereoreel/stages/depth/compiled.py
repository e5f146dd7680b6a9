"""Parts of builtin depth as loops over pixels, compiled by numba: equal but for rounding.

Joint upsampling, flow moved along itself, and OpenCV's area filter and luma, which read a frame once.
Imported only if numba is installed.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from numba import njit
from torch import Tensor

from ...image.compute import parallel_map
from ...image.native import compiled
from .edges import EDGE, FLOOR, LUMA_STEP, between

ZERO, ONE, HALF, WHITE = np.float32(0), np.float32(1), np.float32(0.5), np.float32(255)
RED, GREEN, BLUE = np.float32(0.299), np.float32(0.587), np.float32(0.114)
LEAST = np.float32(FLOOR)
LOW, RANGE = np.float32(EDGE[0]), np.float32(EDGE[1] - EDGE[0])
BAND = 1 << 18  # pixels that one core takes at a time

# Numba's cache on disk is keyed by the module's name, which differs in ComfyUI; one name shares the cache.
sys.modules["stereoreel_depth_compiled"] = sys.modules[__name__]
__name__ = "stereoreel_depth_compiled"


def upsample(depth: Tensor, small: Tensor, large: Tensor) -> Tensor:
    """Return the same as ``edges.upsample``, for tensors on the CPU."""
    result = torch.empty(large.shape)
    (top, down), (left, across) = (
        [part.numpy() for part in between(*sizes, depth.device)] for sizes in zip(depth.shape, large.shape)
    )
    starts = np.searchsorted(left, np.arange(depth.shape[1] + 1))
    values, lumas, target = (np.ascontiguousarray(part.numpy()) for part in (depth, small, large))
    likeness = (1 / (np.square(np.arange(256) / (255 * LUMA_STEP)) + FLOOR)).astype(np.float32)

    def work(band: slice) -> None:
        lines = target[band], top[band], down[band]
        _upsample(values, lumas, *lines, starts, across, likeness, result.numpy()[band])

    parallel_map(work, _bands(*large.shape))
    return result


def reduce(frame: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return a frame ``[H, W, 3]``, float32, averaged down to ``size``, and its uint8 luma ``[H, W]``."""
    small, luma = np.empty((*size, 3), np.float32), np.empty(frame.shape[:2], np.uint8)

    def work(band: slice) -> None:
        _reduce(frame, band.start, band.stop, small, luma)

    parallel_map(work, _bands(size[0], frame.size // (3 * size[0])))
    return small, luma


def project(motion: np.ndarray, levels: np.ndarray, part: float) -> np.ndarray:
    """Return the same as ``builtin.projected``, by depth as uint16 ``levels``."""
    there = motion.copy()
    _project(np.ascontiguousarray(motion), levels, np.float32(part), there)
    return there


def _bands(height: int, width: int) -> list[slice]:
    step = max(1, BAND // width)
    return [slice(start, min(start + step, height)) for start in range(0, height, step)]


def _upsample(depth, small, large, tops, downs, starts, acrosses, likeness, result):
    """Write rows of the upsampled depth.

    ``tops`` are the first of two neighbours of each row; at ``starts`` the columns of each neighbour begin.
    """
    height, width = depth.shape
    line, step, before = np.empty(width + 1, np.float32), np.empty(width, np.float32), -1
    for row in range(len(large)):
        top, down = tops[row], downs[row]
        bottom = min(top + 1, height - 1)
        for x in range(width):
            line[x] = depth[top, x] + down * (depth[bottom, x] - depth[top, x])
        line[width] = line[width - 1]
        if top != before:
            _range(depth[top], depth[bottom], step)
            before = top
        for left in range(width):
            begin, end = starts[left], starts[left + 1]
            first, change = line[left], line[left + 1] - line[left]
            for column in range(begin, end):
                result[row, column] = first + acrosses[column] * change
            if step[left] > LOW:
                right = min(left + 1, width - 1)
                share = min((step[left] - LOW) / RANGE, ONE)
                a, b, c, d = depth[top, left], depth[top, right], depth[bottom, left], depth[bottom, right]
                by_a, by_b = np.int32(small[top, left]), np.int32(small[top, right])
                by_c, by_d = np.int32(small[bottom, left]), np.int32(small[bottom, right])
                for column in range(begin, end):
                    own, across = np.int32(large[row, column]), acrosses[column]
                    wa = ((ONE - down) * (ONE - across) + LEAST) * likeness[abs(own - by_a)]
                    wb = ((ONE - down) * across + LEAST) * likeness[abs(own - by_b)]
                    wc = (down * (ONE - across) + LEAST) * likeness[abs(own - by_c)]
                    wd = (down * across + LEAST) * likeness[abs(own - by_d)]
                    mean = (wa * a + wb * b + wc * c + wd * d) / (wa + wb + wc + wd)
                    result[row, column] += share * (mean - result[row, column])


@njit(nogil=True, error_model="numpy")
def _range(upper, lower, step):
    """Write how far the four pixels of each square of two lines are apart."""
    for x in range(len(step)):
        right = min(x + 1, len(step) - 1)
        most = max(max(upper[x], upper[right]), max(lower[x], lower[right]))
        step[x] = most - min(min(upper[x], upper[right]), min(lower[x], lower[right]))


def _reduce(frame, begin, end, small, luma):
    """Write rows ``begin`` to ``end`` of the small image, and luma of the rows that start there."""
    height, width = luma.shape
    rows, columns = small.shape[0], small.shape[1]
    tall, wide = height / rows, width / columns
    line = np.empty(3 * width, np.float32)
    for row in range(begin, end):
        line[:] = ZERO
        first = int(np.floor(row * tall))
        last = min(int(np.ceil((row + 1) * tall)), height)
        for y in range(first, last):
            source = frame[y].reshape(3 * width)
            share = np.float32((min(y + 1.0, (row + 1) * tall) - max(float(y), row * tall)) / tall)
            for at in range(3 * width):
                line[at] += share * source[at]
            if y >= row * tall:
                for x in range(width):
                    bright = RED * source[3 * x] + GREEN * source[3 * x + 1] + BLUE * source[3 * x + 2]
                    luma[y, x] = np.uint8(min(max(bright * WHITE + HALF, ZERO), WHITE))
        for column in range(columns):
            start = int(np.floor(column * wide))
            stop = min(int(np.ceil((column + 1) * wide)), width)
            for channel in range(3):
                small[row, column, channel] = ZERO
            for x in range(start, stop):
                share = np.float32((min(x + 1.0, (column + 1) * wide) - max(float(x), column * wide)) / wide)
                for channel in range(3):
                    small[row, column, channel] += share * line[3 * x + channel]


def _project(motion, levels, part, there):
    """Write the flow of each pixel where ``part`` of it leads; the nearest one stays."""
    height, width = levels.shape
    nearest = np.zeros((height, width), np.uint16)
    for y in range(height):
        for x in range(width):
            column = np.rint(np.float32(x) + part * motion[y, x, 0])
            row = np.rint(np.float32(y) + part * motion[y, x, 1])
            column = int(min(max(column, ZERO), np.float32(width - 1)))
            row = int(min(max(row, ZERO), np.float32(height - 1)))
            if levels[y, x] >= nearest[row, column]:
                nearest[row, column] = levels[y, x]
                there[row, column, 0], there[row, column, 1] = motion[y, x, 0], motion[y, x, 1]


CUBE, PLANE, BYTES = "f4[:,:,::1]", "f4[:,::1]", "u1[:,::1]"
_upsample = compiled(
    _upsample, f"void({PLANE}, {BYTES}, {BYTES}, i8[::1], f4[::1], i8[::1], f4[::1], f4[::1], {PLANE})"
)
_reduce = compiled(_reduce, f"void({CUBE}, i8, i8, {CUBE}, {BYTES})", fastmath={"contract"})
_project = compiled(_project, f"void({CUBE}, u2[:,::1], f4, {CUBE})")
