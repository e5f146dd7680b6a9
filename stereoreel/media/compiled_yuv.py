"""RGB to the planes of an encoder as loops over rows, compiled by numba: equal to swscale but for rounding.

Colours are rounded to 8 bits first, as they are for swscale. Imported only if numba is installed.
"""

from __future__ import annotations

import sys

import numpy as np
from numba import njit

from ..core import cancel
from ..image.compute import parallel_map
from ..image.native import compiled
from .yuv import LUMA, SHRINKING

BAND = 128  # rows that one core takes at a time
KEPT = 16  # rows of chroma in memory at a time, more than the filter has taps
ZERO, HALF, WHITE, MIDDLE = np.float32(0), np.float32(0.5), np.float32(255), np.float32(128.5)
TAPS = np.array(SHRINKING, np.float32)
ABOVE = len(SHRINKING) // 2 - 1  # taps before the two rows between which chroma lies

# Numba's cache on disk is keyed by the module's name, which differs in ComfyUI; one name shares the cache.
sys.modules["stereoreel_compiled_yuv"] = sys.modules[__name__]
__name__ = "stereoreel_compiled_yuv"


def planes_of(panes: list[np.ndarray], space: int) -> np.ndarray:
    """Return yuv420p of limited range, one plane after the other, of panes next to each other.

    Panes are ``[H, W, 3]``, float32 in 0..1, of even sizes. ``space`` is swscale's number of the colour
    space.
    """
    height, width = len(panes[0]), sum(pane.shape[1] for pane in panes)
    values = np.empty(height * width * 3 // 2, np.uint8)
    luma, *chroma = np.split(values, [height * width, height * width * 5 // 4])
    luma, (blue, red) = luma.reshape(height, width), (plane.reshape(-1, width // 2) for plane in chroma)
    weights, jobs, left = _weights(space), [], 0
    for pane in panes:
        columns, half = slice(left, left + pane.shape[1]), slice(left // 2, (left + pane.shape[1]) // 2)
        flat = np.ascontiguousarray(pane).reshape(height, -1)
        jobs += [(flat, start, columns, half) for start in range(0, height, BAND)]
        left += pane.shape[1]

    def work(job) -> None:
        cancel.check()
        flat, start, columns, half = job
        stop = min(start + BAND, height)
        _convert(flat, start, stop, weights, luma[:, columns], blue[:, half], red[:, half])

    parallel_map(work, jobs)
    return values


def _weights(space: int) -> np.ndarray:
    """Return the weights of red, green and blue in luma and both kinds of chroma, for colours in 0..255."""
    red, blue = LUMA[space]
    own = np.array([red, 1 - red - blue, blue])
    of_blue, of_red = ((np.eye(3)[place] - own) / (2 - 2 * own[place]) for place in (2, 0))
    return np.array([own * 219 / 255, of_blue * 224 / 255, of_red * 224 / 255], np.float32)


@njit(nogil=True, inline="always")
def _code(value):
    code = value * WHITE
    code = code if code > ZERO else ZERO  # also for NaN
    return np.rint(code if code < WHITE else WHITE)


@njit(nogil=True)
def _rounded(row, red, green, blue):
    """Set the colours of a row, rounded to 8 bits."""
    for x in range(len(red)):
        red[x], green[x], blue[x] = _code(row[3 * x]), _code(row[3 * x + 1]), _code(row[3 * x + 2])


@njit(nogil=True, fastmath={"contract"})
def _luma(red, green, blue, weights, out):
    first, second, third = weights
    for x in range(len(red)):
        out[x] = np.uint8(first * red[x] + second * green[x] + third * blue[x] + np.float32(16.5))


@njit(nogil=True, fastmath={"contract"})
def _chroma(red, green, blue, weights, out):
    """Set chroma of a row, in the middle between two columns."""
    first, second, third = weights * HALF
    for x in range(len(out)):
        out[x] = (
            first * (red[2 * x] + red[2 * x + 1])
            + second * (green[2 * x] + green[2 * x + 1])
            + third * (blue[2 * x] + blue[2 * x + 1])
        )


@njit(nogil=True, fastmath={"contract"})
def _between_rows(rows, taps, out):
    """Filter chroma of eight rows to the codes in their middle."""
    one, two, three, four = rows[taps[0]], rows[taps[1]], rows[taps[2]], rows[taps[3]]
    five, six, seven, eight = rows[taps[4]], rows[taps[5]], rows[taps[6]], rows[taps[7]]
    for x in range(len(out)):
        outer = TAPS[0] * (one[x] + eight[x]) + TAPS[1] * (two[x] + seven[x])
        inner = TAPS[2] * (three[x] + six[x]) + TAPS[3] * (four[x] + five[x])
        out[x] = np.uint8(min(max(outer + inner + MIDDLE, ZERO), WHITE))


def _convert(frame, start, stop, weights, luma, of_blue, of_red):
    """Write the planes of some rows."""
    height, width = luma.shape
    red, green, blue = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    kept = np.empty((2, KEPT, width // 2), np.float32)
    taps = np.empty(8, np.int64)
    made = max(start - ABOVE, 0)
    for row in range(start, stop, 2):
        last = min(row + 8 - ABOVE, height)
        while made < last:
            _rounded(frame[made], red, green, blue)
            if start <= made < stop:
                _luma(red, green, blue, weights[0], luma[made])
            for kind in range(2):
                _chroma(red, green, blue, weights[1 + kind], kept[kind, made % KEPT])
            made += 1
        for tap in range(8):
            taps[tap] = min(max(row - ABOVE + tap, 0), height - 1) % KEPT
        _between_rows(kept[0], taps, of_blue[row // 2])
        _between_rows(kept[1], taps, of_red[row // 2])


SIGNATURE = "void(f4[:,::1], i8, i8, f4[:,::1], u1[:,:], u1[:,:], u1[:,:])"
_convert = compiled(_convert, SIGNATURE)
