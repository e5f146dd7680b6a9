"""Enlarging by whole factors as loops over rows, compiled by numba: equal to ``polyphase`` but for rounding.

Each row of the result is made of rows that are still in the cache, and clamped before it is written. Imported
only if numba is installed.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

import numpy as np
from numba import njit

from ..core import cancel
from .compute import parallel_map
from .native import compiled

KEPT = 16  # widened rows in memory at a time, more than a filter of three lobes has taps
BAND = 64  # rows of the source that one core takes at a time
ZERO, ONE = np.float32(0), np.float32(1)

# Numba's cache on disk is keyed by the module's name, which differs in ComfyUI; one name shares the cache.
sys.modules["stereoreel_compiled_enlarging"] = sys.modules[__name__]
__name__ = "stereoreel_compiled_enlarging"


class Axis(NamedTuple):
    """The ``first`` input and the ``weights`` of every output, as ``filter_weights`` returns them."""

    first: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, first: np.ndarray, weights: np.ndarray) -> Axis:
        return cls(first.astype(np.int32), weights.astype(np.float32))

    @classmethod
    def unchanged(cls, size: int) -> Axis:
        return cls(np.arange(size, dtype=np.int32), np.ones((size, 1), np.float32))


def enlarge(image: np.ndarray, down: Axis, across: Axis, clamp: bool, out: np.ndarray) -> None:
    """Write ``[source, source, C]`` enlarged to ``out`` ``[target, target, C]``, both float32."""
    flat, result = image.reshape(len(image), -1), out.reshape(len(out), -1)
    step = BAND * len(out) // len(image)

    def work(start: int) -> None:
        cancel.check()
        band = slice(start, start + step)
        _enlarge(flat, image.shape[2], *across, down.first[band], down.weights[band], clamp, result[band])

    parallel_map(work, range(0, len(out), step))


@njit(nogil=True, fastmath={"contract"})
def _scale(weight, row, out):
    for place in range(len(out)):
        out[place] = weight * row[place]


@njit(nogil=True, fastmath={"contract"})
def _add(weight, row, out):
    for place in range(len(out)):
        out[place] += weight * row[place]


@njit(nogil=True, fastmath={"contract"})
def _add_two(weights, one, other, out):
    first, second = weights[0], weights[1]
    for place in range(len(out)):
        out[place] += first * one[place] + second * other[place]


@njit(nogil=True)
def _weigh(rows, starts, weights, out):
    """Write the weighted sum of parts of ``rows``, at ``starts``; outer ones of weight 0 may be outside."""
    size, taps, tap = len(out), len(weights), 0
    while tap < taps and weights[tap] == ZERO:
        tap += 1
    while taps > tap and weights[taps - 1] == ZERO:
        taps -= 1
    _scale(weights[tap], rows[starts[tap] : starts[tap] + size], out)
    tap += 1
    while tap + 1 < taps:
        one, other = starts[tap], starts[tap + 1]
        _add_two(weights[tap : tap + 2], rows[one : one + size], rows[other : other + size], out)
        tap += 2
    if tap < taps:
        _add(weights[tap], rows[starts[tap] : starts[tap] + size], out)


@njit(nogil=True)
def _interleave(phases, begin, end, channels, out):
    factor = len(phases)
    for x in range(begin, end):
        for phase in range(factor):
            for channel in range(channels):
                out[(x * factor + phase) * channels + channel] = phases[phase, x * channels + channel]


@njit(nogil=True, fastmath={"contract"})
def _widen(row, channels, first, weights, phases, out):
    """Enlarge a row; outputs that reach beyond its ends have weights of their own."""
    count, taps = weights.shape
    width = len(row) // channels
    factor = count // width
    margin = taps
    begin, end = min(margin, width), max(width - margin, min(margin, width))
    middle = width // 2
    starts = np.empty(taps, np.int64)
    for phase in range(factor):
        typical = middle * factor + phase
        for tap in range(taps):
            starts[tap] = (begin + first[typical] - middle + tap) * channels
        _weigh(row, starts, weights[typical], phases[phase, begin * channels : end * channels])
    if channels == 3:
        _interleave(phases, begin, end, 3, out)  # a constant for the compiler
    else:
        _interleave(phases, begin, end, channels, out)
    for side in range(2):
        for output in range(*((0, begin * factor) if side == 0 else (end * factor, count))):
            for channel in range(channels):
                total = ZERO
                for tap in range(taps):
                    weight = weights[output, tap]
                    if weight != ZERO:
                        total += weight * row[(first[output] + tap) * channels + channel]
                out[output * channels + channel] = total


@njit(nogil=True)
def _clamp(out):
    for place in range(len(out)):
        value = out[place]
        value = ZERO if value < ZERO else value  # also keeps NaN
        out[place] = ONE if value > ONE else value


def _enlarge(image, channels, across, wide, tops, down, clamp, out):
    """Write rows of the result; ``tops`` are the first inputs of each, ``down`` their weights."""
    width, taps = out.shape[1], down.shape[1]
    kept, starts = np.empty(KEPT * width, np.float32), np.empty(taps, np.int64)
    phases = np.empty((width // image.shape[1], image.shape[1]), np.float32)
    made = tops[0]  # rows that were widened
    for row in range(len(out)):
        for tap in range(taps):
            source = tops[row] + tap
            starts[tap] = source % KEPT * width
            while made <= source and down[row, tap] != ZERO:
                if len(phases) == 1:
                    kept[made % KEPT * width :][:width] = image[made]
                else:
                    _widen(image[made], channels, across, wide, phases, kept[made % KEPT * width :][:width])
                made += 1
        _weigh(kept, starts, down[row], out[row])
        if clamp:
            _clamp(out[row])


SIGNATURE = "void(f4[:,::1], i8, i4[::1], f4[:,::1], i4[::1], f4[:,::1], b1, f4[:,::1])"
_enlarge = compiled(_enlarge, SIGNATURE)
