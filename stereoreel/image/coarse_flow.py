"""Coarse flow by exhaustive block matching on thumbnails: motion too large for a pyramid's descent.

Dense inverse search follows gradients from no motion at its coarsest level, so it loses motion beyond a few
pixels there, and small things that move unlike their surroundings. Comparing every shift of a thumbnail of a
thousand pixels finds both, and costs a few milliseconds whatever the frame's size.
"""

from __future__ import annotations

import math

import numpy as np

PIXELS = 1400  # of the thumbnails
REACH = 0.2  # largest shift, as a part of the width and height
CAP = 30  # levels; larger differences count as this, because occlusions differ by any amount
BLOCK = 5  # side of the square compared
SPREAD = 0.1  # weight of the complete frame's difference by the same shift, relative to a pixel of the square
STRAY = 2.5  # levels per thumbnail pixel that a shift is away from no motion and from the frame's own


def coarse_flow(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return where each pixel of ``first`` went in ``second``, roughly: float32 ``[H, W, 2]``, in pixels.

    ``first`` and ``second`` are uint8 ``[H, W]``.
    """
    import cv2

    height, width = first.shape
    scale = min(1.0, math.sqrt(PIXELS / (height * width)))
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    shifts, costs = _costs(
        *(cv2.resize(image, small, interpolation=cv2.INTER_AREA) for image in (first, second))
    )
    best = shifts[costs.argmin(0)].astype(np.float32)
    steady = np.dstack([cv2.medianBlur(np.ascontiguousarray(best[..., axis]), 3) for axis in (0, 1)])
    grown = cv2.resize(steady, (width, height), interpolation=cv2.INTER_LINEAR)
    return grown * np.array([width / small[0], height / small[1]], np.float32)


def _costs(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return all shifts ``[N, 2]`` (x, y) in pixels, and each one's cost at each pixel ``[N, H, W]``."""
    reach = [int(REACH * side) for side in first.shape]
    rows, columns = (shift.reshape(-1) for shift in np.mgrid[tuple(slice(-far, far + 1) for far in reach)])
    seen = [_seen(side, far) for side, far in zip(first.shape, reach)]
    inside = _product(*seen)
    moved = np.lib.stride_tricks.sliding_window_view(
        np.pad(second, [(far, far) for far in reach]), first.shape
    )
    moved = moved.reshape(inside.shape)
    apart = np.maximum(moved, first) - np.minimum(moved, first)
    apart = np.minimum(apart, np.uint8(CAP)) * inside
    # over what both frames show; one level more, so that nothing is not the best match
    overall = (apart.mean((1, 2)) + 1) / inside.mean((1, 2))
    main = overall.argmin()
    stray = np.minimum(np.hypot(rows, columns), np.hypot(rows - rows[main], columns - columns[main]))
    costs = _boxes(apart)
    costs += (SPREAD * overall).astype(np.float32)[:, None, None]
    costs /= _product(*(_lines(part) for part in seen)) + np.float32(SPREAD)
    costs += (STRAY * stray).astype(np.float32)[:, None, None]
    return np.stack([columns, rows], 1), costs


def _seen(side: int, far: int) -> np.ndarray:
    """Return by shift along one axis, from ``-far`` on, which pixels it keeps inside, uint8 ``[N, side]``."""
    places = np.arange(side) + np.arange(-far, far + 1)[:, None]
    return ((places >= 0) & (places < side)).astype(np.uint8)


def _product(along: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Return ``[N, H, W]`` for all shifts, of the values of each axis."""
    return (along[:, None, :, None] * across[None, :, None, :]).reshape(-1, along.shape[1], across.shape[1])


def _lines(part: np.ndarray) -> np.ndarray:
    """Return the mean over each pixel's neighbours in its row."""
    import cv2

    return cv2.boxFilter(part, cv2.CV_32F, (BLOCK, 1), borderType=cv2.BORDER_CONSTANT)


def _boxes(stack: np.ndarray) -> np.ndarray:
    """Return the mean over squares of each image of uint8 ``[N, H, W]``, float32; outside counts as 0."""
    import cv2

    count, height, width = stack.shape
    rim = BLOCK // 2
    # one tall image, with rows of zeros that keep its parts separate
    tall = np.pad(stack, ((0, 0), (0, rim), (0, 0))).reshape(-1, width)
    boxes = cv2.boxFilter(tall, cv2.CV_32F, (BLOCK, BLOCK), borderType=cv2.BORDER_CONSTANT)
    return boxes.reshape(count, height + rim, width)[:, :height]
