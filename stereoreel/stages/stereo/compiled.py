"""The warp of ``warp.py`` as a loop over rows and pixels, compiled by numba: bit-identical results.

Imported only if numba is installed. Numba's own threads are not used; the loop holds no lock, and torch's
cores share the rows.
"""

from __future__ import annotations

import sys

import numpy as np
from numba import njit

from ...core import cancel
from ...image import native
from .warp import JOIN, Eye

SURFACE, HALF, ONE, ZERO = np.float32(JOIN), np.float32(0.5), np.float32(1), np.float32(0)

SIGNATURE = "void(f4[:,:,::1], f4[:,::1], f4, b1, f4[:,:,::1], f4[:,::1], i4[:,::1])"

# Numba's cache on disk is keyed by the module's name, which differs in ComfyUI; one name shares the cache.
sys.modules["stereoreel_stereo_compiled"] = sys.modules[__name__]
__name__ = "stereoreel_stereo_compiled"


def move_rows(bands: list[Eye]) -> None:
    """Warp the bands in order; float32 on the CPU."""
    nothing = np.empty((0, 0), np.int32)
    for eye in bands:
        cancel.check()
        image, parallax = (np.ascontiguousarray(tensor.numpy()) for tensor in (eye.image, eye.parallax))
        source = nothing if eye.source is None else eye.source.numpy()
        _warp(image, parallax, eye.share, eye.left, eye.picture.numpy(), eye.holes.numpy(), source)


@njit(nogil=True, error_model="numpy")
def _land(parallax, share, left, position, begin, end):
    """Compute each pixel's new ``position`` in a row, and its targets: ``begin`` to before ``end``."""
    last = len(parallax) - 1
    for x in range(last + 1):
        position[x] = np.float32(x) - parallax[last - x if left else x] * share
    begin[0], end[last] = np.ceil(position[0] - HALF), np.ceil(position[last] + HALF)
    for x in range(last):
        stretch = position[x + 1] - position[x] - ONE
        joined = abs(stretch) <= SURFACE
        end[x] = np.ceil(position[x] + HALF + HALF * (stretch if joined else ZERO))
        begin[x + 1] = end[x] if joined else np.ceil(position[x + 1] - HALF)


@njit(nogil=True, error_model="numpy")
def _show(begin, end, key, shown):
    """Set the source column visible at each target, or -1; a later one is nearer."""
    width = len(begin)
    key[:] = -1
    for x in range(width):
        # also false for NaN
        if end[x] - begin[x] >= ONE and end[x] >= ONE and end[x] <= np.float32(width + 1):
            key[int(end[x]) - 1] = 2 * x + int(end[x] - begin[x]) - 1
    for x in range(width):
        shown[x] = max(key[x], key[x + 1] | ((key[x + 1] & 1) - 1)) >> 1


@njit(nogil=True, error_model="numpy")
def _fill(shown, position, hole):
    """Assign to every hole the pixel at its farther end."""
    width, stop = len(shown), 0
    hole[:] = ZERO
    while stop < width:
        if shown[stop] >= 0:
            stop += 1
            continue
        start = stop
        while stop < width and shown[stop] < 0:
            stop += 1
        left, right = shown[max(start - 1, 0)], shown[min(stop, width - 1)]
        if start > 0 and (
            stop == width or np.float32(left) - position[left] < np.float32(right) - position[right]
        ):
            right = left
        for x in range(start, stop):
            shown[x] = right if right >= 0 else x  # less than 0 if the row is empty
            hole[x] = ONE


@njit(nogil=True, error_model="numpy")
def _read(values, places, out):
    for x in range(len(out)):
        out[x] = values[places[x]]


@njit(nogil=True, error_model="numpy")
def _aside(shown, landed, other):
    """Set the second pixel of each target's blend: across the target from where the first one ``landed``."""
    for x in range(len(shown)):
        side = 1 if np.float32(x) - landed[x] >= ZERO else -1
        other[x] = min(max(shown[x] + side, 0), len(shown) - 1)


@njit(nogil=True, error_model="numpy")
def _weigh(landed, beside, hole, weight):
    """Set the weight of the second pixel, which landed ``beside``, in each target's blend."""
    for x in range(len(weight)):
        rest = np.float32(x) - landed[x]
        side = ONE if rest >= ZERO else -ONE
        stretch = beside[x] - landed[x] - side
        share = min(max(rest / (stretch + side), ZERO), ONE)
        weight[x] = share if abs(stretch) <= SURFACE and hole[x] == ZERO else ZERO


@njit(nogil=True, fastmath={"contract"})  # a product and its sum rounded once, as torch's lerp does
def _mix(image, shown, other, weight, left, picture, channels):
    last = len(shown) - 1
    for x in range(last + 1):
        first, second, at = (last - shown[x], last - other[x], last - x) if left else (shown[x], other[x], x)
        near, share = (first, weight[x]) if weight[x] < HALF else (second, weight[x] - ONE)
        for channel in range(channels):
            picture[at, channel] = image[near, channel] + share * (
                image[second, channel] - image[first, channel]
            )


def _warp(image, parallax, share, left, picture, holes, source):
    width = parallax.shape[1]
    position, begin, end, weight, hole = [np.empty(width, np.float32) for _ in range(5)]
    landed, beside = begin, end  # which have served
    shown, other, key = np.empty(width, np.int32), np.empty(width, np.int32), np.empty(width + 1, np.int32)
    for row in range(len(parallax)):
        _land(parallax[row], share, left, position, begin, end)
        _show(begin, end, key, shown)
        _fill(shown, position, hole)
        _read(position, shown, landed)
        _aside(shown, landed, other)
        _read(position, other, beside)
        _weigh(landed, beside, hole, weight)
        if image.shape[2] == 3:
            _mix(image[row], shown, other, weight, left, picture[row], 3)  # a constant for the compiler
        else:
            _mix(image[row], shown, other, weight, left, picture[row], image.shape[2])
        holes[row] = hole[::-1] if left else hole
        if len(source):
            for x in range(width):
                source[row, width - 1 - x if left else x] = width - 1 - shown[x] if left else shown[x]


_warp = native.compiled(_warp, SIGNATURE)
