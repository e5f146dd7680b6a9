"""Find half transparent logos in the corners, which are fainter than what passes behind them.

A frame shows a logo's edges mixed with those of the picture. Over time the picture's cancel, and the logo's
stay: they point the same way in most frames, and their mean is sharp.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .strokes import Box, blocks, grown_window, hats, motions, over_time, spread, window_of

CORNER = 0.36  # of the width and height: logos lie within, from a corner
LEVELS = (8, 12, 18, 26, 36)  # least contrast of a logo's strokes in the mean over time, tried in turn
SLOPE = 2.0  # levels a pixel: slope of its edges in the mean
STEADY = 0.8  # part of the frames in which an edge points as in the mean
EDGED = 0.78  # part of a logo's outline that does so
SHINES = (0.12, 1.3)  # what is behind it varies by this part of what is around it, through it
LIVELY = 2.0  # levels by which the picture around it varies
SEEN = 0.35  # of its slopes are in a frame that shows it, over all its edges
STILL, DRIFT = 0.6, 0.8  # pixels by which a logo may seem to move in a frame, and over all frames
FEWEST = 60  # pixels of edges
Slopes = tuple[np.ndarray, np.ndarray]


def slopes(image: np.ndarray) -> Slopes:
    """Return the slopes across and down of an image ``[h, w]``, float32, in levels a pixel."""
    import cv2

    across, down = (cv2.Sobel(image, cv2.CV_32F, x, 1 - x, scale=1 / 8) for x in (1, 0))
    return across, down


def corners(height: int, width: int) -> list[tuple[slice, slice]]:
    """Return the windows of a frame in which logos are looked for."""
    rows, columns = round(CORNER * height), round(CORNER * width)
    return [
        (across_rows, across_columns)
        for across_rows in (slice(0, rows), slice(height - rows, height))
        for across_columns in (slice(0, columns), slice(width - columns, width))
    ]


def logos(lumas: Sequence[np.ndarray], free: np.ndarray, side: int) -> list[tuple[Box, np.ndarray]]:
    """Return boxes (left, top, right, bottom) of logos in lumas ``[h, w]`` of a shot, and their contrast.

    ``free`` ``[h, w]`` is where to look; ``side`` is that of the largest stroke. The picture must move.
    """
    height, width = free.shape
    kept = np.zeros((height, width), np.uint8)
    for window in corners(height, width):
        kept[window] = _steady([luma[window] for luma in lumas], side)
    kept[~free] = 0
    free = free.copy()
    found: list[tuple[float, Box, np.ndarray]] = []
    for least in LEVELS:  # what is fainter around a logo would join it
        kept[kept < least] = 0
        for window in corners(height, width):
            for box, part in blocks(kept, window):
                if score := _shining_through(lumas, box, part, side):
                    found.append((score, box, part))
    best: list[tuple[Box, np.ndarray]] = []
    for _, box, part in sorted(found, key=lambda one: -one[0]):
        if free[window_of(box)].all():
            best.append((box, part))
            free[grown_window(window_of(box), side, free.shape)] = False
    return best


def _steady(lumas: list[np.ndarray], side: int) -> np.ndarray:
    """Return the contrast of strokes, uint8 ``[h, w]``, whose edges point the same way in most frames."""
    mean = over_time(lumas)
    if mean.size < FEWEST:
        return np.zeros(mean.shape, np.uint8)
    contrast = np.maximum(*hats(mean, side))
    strokes = contrast >= LEVELS[0]
    if np.count_nonzero(strokes) < FEWEST:
        return np.zeros(mean.shape, np.uint8)
    across, down = slopes(mean)
    steep = np.square(across) + np.square(down)
    agree = np.zeros(mean.shape, np.float32)
    for luma in lumas:
        x, y = slopes(luma)
        agree += x * across + y * down >= 0.25 * steep
    edges = (agree >= STEADY * len(lumas)) & (steep >= SLOPE**2)
    near = spread(edges.astype(np.uint8), 2) > 0
    return np.where(strokes & near, np.minimum(contrast, 255), 0).astype(np.uint8)


def _shining_through(lumas: Sequence[np.ndarray], box: Box, part: np.ndarray, side: int) -> float:
    """Return how much of an outline strokes have, in pixels, if what is behind them shows through; else 0."""
    rows, columns = window_of(box)
    rows = slice(max(0, rows.start - side), rows.stop + side)
    columns = slice(max(0, columns.start - side), columns.stop + side)
    images = [luma[rows, columns].astype(np.float32) for luma in lumas]
    own = np.zeros(images[0].shape, np.uint8)
    top, left = box[1] - rows.start, box[0] - columns.start
    own[top : top + part.shape[0], left : left + part.shape[1]] = part > 0
    mean, varies = np.mean(images, 0), np.std(images, 0)
    across, down = slopes(mean)
    steep = np.square(across) + np.square(down)
    rim = (spread(own, 1) > 0) & (spread(1 - own, 1) > 0)
    if np.count_nonzero(rim) < FEWEST:
        return 0.0
    agree = np.mean([_agreeing(slopes(image), (across, down), steep) for image in images], 0)
    outline = rim & (agree >= STEADY) & (steep >= SLOPE**2 / 4)
    if np.count_nonzero(outline) < EDGED * np.count_nonzero(rim):
        return 0.0
    away = spread(own, 3) == 0
    around, inside = (float(np.median(varies[which])) if which.any() else 0.0 for which in (away, own > 0))
    if around < LIVELY or not SHINES[0] * around <= inside <= SHINES[1] * around:
        return 0.0
    if min(share_seen(image, mean, own) for image in images) < SEEN:  # text that comes or goes meanwhile
        return 0.0
    moves = motions(images, own)
    if moves is None or max(np.hypot(*moves.T)) > STILL or _drift(moves) > DRIFT:
        return 0.0
    return float(3 * np.count_nonzero(outline) - 2 * np.count_nonzero(rim))


def _drift(moves: np.ndarray) -> float:
    """Return how far motions ``[T, 2]`` lead from the first frame to the last, in pixels."""
    return float(np.hypot(*np.polyfit(np.arange(len(moves)), moves, 1)[0]) * len(moves))


def _agreeing(found: Slopes, mean: Slopes, steep: np.ndarray) -> np.ndarray:
    return found[0] * mean[0] + found[1] * mean[1] >= 0.25 * steep


def share_seen(luma: np.ndarray, mean: np.ndarray, strokes: np.ndarray) -> float:
    """Return how much of a logo's slopes a frame shows, about 1 if it is there and 0 if it is not.

    ``luma`` and ``mean``, that over time, are ``[h, w]`` around its ``strokes``.
    """
    near = spread((strokes > 0).astype(np.uint8), 2) > 0
    (x, y), (across, down) = slopes(luma), slopes(mean)
    steep = float((np.square(across) + np.square(down))[near].sum())
    return float((x * across + y * down)[near].sum()) / steep if steep > 0 else 0.0
