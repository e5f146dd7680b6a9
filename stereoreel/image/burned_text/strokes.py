"""Strokes of letters: where they are, how they are set, and whether they stay, are printed or shine through.

A stroke differs from both of its sides, which the hats of mathematical morphology measure.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

THICK = 0.026  # of the height: strokes and outlines are narrower
GAP = 0.022  # of the width: letters of a line are closer
LOW, TALL = 0.012, 0.30  # of the height: blocks are between them
WIDE = 0.95  # of the width
FEWEST = 40  # pixels of strokes in a block
DENSE, SPARSE = 0.75, 0.08  # share of a block that is strokes
UPRIGHT = 0.18  # least share of a block's slopes across, and along
STILL = 0.12  # pixels by which a block may seem to move
GONE = 0.5  # a stroke is there as long as it keeps this part of its contrast
SHARP = 32  # levels a pixel: slope of the edges of strokes, at least; a quarter of them may have less
PRINTED = 60  # levels: contrast of most strokes, at least
FAINT = 26  # levels: contrast of a half transparent logo, at least
SHINING = 3.0  # levels by which what is beneath it changes it, at least
Box = tuple[int, int, int, int]  # left, top, right, bottom
Window = tuple[slice, slice]  # rows and columns


def thickness(luma: np.ndarray) -> int:
    """Return the side of the square that finds strokes, in pixels, odd."""
    return side_at(luma.shape[0])


def side_at(height: int) -> int:
    """Return the side of that square in frames of a height."""
    return max(3, round(THICK * height) | 1)


def hats(luma: np.ndarray, side: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return by how much each pixel is brighter, and darker, than both sides of a stroke through it.

    ``side`` is that of the largest stroke; the default is that of a frame of this height.
    """
    import cv2

    side = side or thickness(luma)
    element = np.ones((side, side), np.uint8)
    return (
        cv2.morphologyEx(luma, cv2.MORPH_TOPHAT, element),
        cv2.morphologyEx(luma, cv2.MORPH_BLACKHAT, element),
    )


def spread(mask: np.ndarray, by: int) -> np.ndarray:
    """Return a mask, uint8 ``[h, w]``, grown by some pixels."""
    import cv2

    return cv2.dilate(mask, np.ones((2 * by + 1, 2 * by + 1), np.uint8))


def grown_window(window: tuple[slice, slice], by: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return a window grown by some pixels, within an image of this shape."""
    rows, columns = (
        slice(max(0, side.start - by), min(size, side.stop + by)) for side, size in zip(window, shape)
    )
    return rows, columns


def window_of(box: Box) -> tuple[slice, slice]:
    """Return the rows and columns of a box."""
    return slice(box[1], box[3]), slice(box[0], box[2])


def blocks(kept: np.ndarray, within: tuple[slice, slice] | None = None) -> list[tuple[Box, np.ndarray]]:
    """Return the boxes (left, top, right, bottom) of strokes that are set like text, and their contrast.

    ``within`` is a window that holds all strokes; the default is the frame.
    """
    import cv2

    height, width = kept.shape
    within = within or (slice(0, height), slice(0, width))
    x, y, across, down = cv2.boundingRect((kept[within] > 0).astype(np.uint8))
    if not across:
        return []
    gap = max(3, round(GAP * width) | 1)
    left, top = within[1].start + x, within[0].start + y
    near = grown_window(window_of((left, top, left + across, top + down)), gap, kept.shape)
    set_ = (kept[near] > 0).astype(np.uint8)
    joined = cv2.morphologyEx(set_, cv2.MORPH_CLOSE, np.ones((gap, gap), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    found = []
    for index in range(1, count):
        left, top, wide, tall, _ = (int(value) for value in stats[index])
        inside = slice(top, top + tall), slice(left, left + wide)
        left, top = left + near[1].start, top + near[0].start
        if not (LOW * height <= tall <= TALL * height and wide <= WIDE * width and wide >= LOW * height):
            continue
        if left == 0 or top == 0 or left + wide == width or top + tall == height:
            continue
        window = slice(top, top + tall), slice(left, left + wide)
        part = np.where(labels[inside] == index, kept[window], 0).astype(np.uint8)
        inked = np.count_nonzero(part)
        if inked < FEWEST or not SPARSE <= inked / (wide * tall) <= DENSE:
            continue
        found.append(((left, top, left + wide, top + tall), part))
    return found


def letters(part: np.ndarray) -> int:
    """Return the number of separate parts of strokes."""
    import cv2

    return cv2.connectedComponents((part > 0).astype(np.uint8), connectivity=8)[0] - 1


def share_there(luma: np.ndarray, window: tuple[slice, slice], strokes: np.ndarray) -> float:
    """Return the share of strokes, given by their contrast, that a frame shows."""
    margin = round(THICK * luma.shape[0]) + 1
    wide = grown_window(window, margin, luma.shape)
    contrast = np.maximum(*hats(np.ascontiguousarray(luma[wide]), thickness(luma)))
    top, left = window[0].start - wide[0].start, window[1].start - wide[1].start
    here = contrast[top : top + strokes.shape[0], left : left + strokes.shape[1]]
    own = strokes > 0
    return float(np.mean(here[own] >= GONE * strokes[own])) if own.any() else 0.0


def over_time(lumas: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean of images ``[h, w]``, float32."""
    return np.asarray(np.mean(lumas, 0, dtype=np.float32))


def still(lumas: list[np.ndarray], part: np.ndarray) -> bool:
    """Return whether strokes keep their place, and run in both directions."""
    moves = motions(lumas, part)
    return moves is not None and bool(np.all(np.hypot(*moves.T) <= STILL))


def motions(lumas: Sequence[np.ndarray], part: np.ndarray) -> np.ndarray | None:
    """Return the motion (x, y) of strokes in each frame ``[T, 2]``, in pixels; None if they run one way only.

    The motion of each frame against the mean of all is that of Lucas and Kanade, over all pixels of strokes.
    """
    mean = over_time(lumas)
    own = spread((part > 0).astype(np.uint8), 1) > 0
    across, along, slopes = _slopes(mean, own)
    if not _both_ways(slopes):
        return None
    inverse = np.linalg.inv(slopes)
    changes = [luma.astype(np.float32)[own] - mean[own] for luma in lumas]
    return np.array([inverse @ np.array([across @ one, along @ one], np.float64) for one in changes])


def _slopes(mean: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the slopes across and along of some pixels of an image, and the sums of their products."""
    import cv2

    across, along = (cv2.Sobel(mean, cv2.CV_32F, x, 1 - x, scale=1 / 8)[own] for x in (1, 0))
    products = [[across @ across, across @ along], [across @ along, along @ along]]
    return across, along, np.array(products, np.float64)


def _both_ways(slopes: np.ndarray) -> bool:
    total = slopes[0, 0] + slopes[1, 1]
    return bool(
        min(slopes[0, 0], slopes[1, 1]) >= UPRIGHT * total and np.linalg.det(slopes) >= 0.1 * (total / 2) ** 2
    )


def printed(lumas: list[np.ndarray], part: np.ndarray) -> bool:
    """Return whether most strokes stand out, and have sharp edges."""
    import cv2

    mean, own = over_time(lumas), part > 0
    around = spread(own.astype(np.uint8), 1) > 0
    slopes = np.hypot(*(cv2.Sobel(mean, cv2.CV_32F, x, 1 - x, scale=1 / 8) for x in (0, 1)))
    return bool(np.median(part[own]) >= PRINTED and np.percentile(slopes[around], 75) >= SHARP)


def transparent(lumas: list[np.ndarray], part: np.ndarray) -> bool:
    """Return whether strokes stay although their levels follow what moves beneath them."""
    own = part >= np.median(part[part > 0])
    changes = np.std([luma[own] for luma in lumas], 0)
    return bool(np.median(part[part > 0]) >= FAINT and np.median(changes) >= SHINING)
