"""Find what stands still, or scrolls, over another motion: subtitles, logos, credits, a recording's timer.

A pixel of it is equal in both frames, although its surroundings move and the moved frames differ there. The
search for motion gives a neighbourhood one motion, so it drags such pixels along and prints them twice.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .scrolling import along, shifted, speeds

SIDE = 512  # largest side on which to compare
EQUAL, MOVED = 6, 24  # levels: difference of a still pixel at most; difference along the motion at least
EDGE = 160  # least Sobel slope, eight times the levels per pixel, of an edge whose rest is evidence
ALIKE = 0.25  # part of the slope by which it may change
BETTER, MUCH_BETTER = 0.9, 0.5  # part of the flow's error that may be left of what scrolls, and of what stays
ON, ASIDE = 0.5, 15  # of what scrolls: least part of its strokes, and pixels beside them
MOSTLY = 3.0  # times as much that stays as scrolls there shows that nothing scrolls
JOINED = 5  # least such pixels in a square of ``SQUARE``; chance makes single ones
SQUARE = 7
FEWEST = 40  # least such pixels in a frame
AROUND = 1 / 6  # of the height: side of the surroundings
FAST = 1.5  # pixels: less motion of the surroundings cannot print twice
SOFT = 0.05  # part of the slope by which a pixel that scrolls may differ, because it is sampled elsewhere
# least part of the surroundings that moves; a thin object that moves over a still wall is no wall
MOVING = 0.4


class Layer(NamedTuple):
    """What moves as one over the rest: the part of each pixel of the first frame, float32 ``[H, W]``.

    ``speed`` (x, y) is in pixels a frame; zero for what stands still.
    """

    part: np.ndarray
    speed: tuple[float, float]


def layers(first: np.ndarray, second: np.ndarray, motion: np.ndarray) -> list[Layer]:
    """Return what stands still over motion, and what scrolls over it; see ``still_pixels``."""
    scrolling: Layer | None = None
    for speed in speeds(first, second, motion):
        part = still_pixels(first, second, motion, speed)
        if part is not None and (scrolling is None or part.sum() > scrolling.part.sum()):
            scrolling = Layer(part, speed)
    part = still_pixels(first, second, motion)
    if scrolling is None:
        return [] if part is None else [Layer(part, (0.0, 0.0))]
    if part is not None:
        crossed = _crossed(scrolling)
        if part[crossed].sum() > MOSTLY * scrolling.part.sum():
            return [Layer(part, (0.0, 0.0))]  # what seems to scroll is the picture behind it
        part[crossed] = 0
    return [scrolling] if part is None or not part.any() else [Layer(part, (0.0, 0.0)), scrolling]


def _crossed(layer: Layer) -> tuple[slice, slice]:
    """Return the rows and columns that the layer scrolls through; letters of it are like each other there."""
    axis = 0 if layer.speed[1] else 1
    lines = np.flatnonzero((layer.part > ON).any(axis))
    band = slice(max(0, lines[0] - ASIDE), lines[-1] + 1 + ASIDE) if lines.size else slice(0)
    return (slice(None), band) if axis == 0 else (band, slice(None))


def still_pixels(
    first: np.ndarray, second: np.ndarray, motion: np.ndarray, speed: tuple[float, float] = (0.0, 0.0)
) -> np.ndarray | None:
    """Return the part of each pixel that stands still over motion, float32 ``[H, W]``; None if there is none.

    ``first`` and ``second`` are uint8 luma ``[H, W]``, ``motion`` ``[h, w, 2]`` is that of a coarser grid, in
    its cells. With a ``speed`` (x, y) in pixels, what moves at that speed counts as still.
    """
    import cv2

    height, width = first.shape
    relative = motion - np.array(speed, np.float32) * np.array(
        [motion.shape[1] / width, motion.shape[0] / height], np.float32
    )
    mean, moving = _surroundings(relative, width / motion.shape[1])
    if not moving.any():
        return None
    scale = min(1.0, SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size != (width, height):
        first, second = (cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (first, second))
    missed = along(first, second, motion)
    scrolls = any(speed)
    if scrolls:
        missed = cv2.min(missed, cv2.absdiff(first, second))  # what stands still needs no speed
        second = shifted(second, (-speed[0] * size[0] / width, -speed[1] * size[1] / height))
    by_flow = cv2.blur(missed.astype(np.float32), (SQUARE, SQUARE))
    apart = cv2.absdiff(first, second)
    equal = apart <= EQUAL
    if scrolls:
        equal |= apart <= SOFT * _slope(first)
    seeds = equal & (cv2.resize(moving.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0)
    if not scrolls:
        seeds &= by_flow > EQUAL  # what the flow explains needs no layer
    if not _evident(seeds, first, second, mean):
        return None
    grown = _letters(seeds, equal)
    better = BETTER if scrolls else MUCH_BETTER
    grown[cv2.blur(apart.astype(np.float32), (SQUARE, SQUARE)) >= better * by_flow] = 0
    if np.count_nonzero(grown) < FEWEST:
        return None
    # the soft edges of letters mix with what moves behind them
    part = cv2.blur(cv2.dilate(grown, np.ones((3, 3), np.uint8)).astype(np.float32), (3, 3))
    return (
        part if size == (width, height) else cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR)
    )


def _letters(seeds: np.ndarray, equal: np.ndarray) -> np.ndarray:
    """Return the seeds ``[H, W]``, grown into the inside of letters, where frames are equal; uint8."""
    import cv2

    grown = seeds.astype(np.uint8)
    for _ in range(3):
        grown = np.where(equal, cv2.dilate(grown, np.ones((3, 3), np.uint8)), 0).astype(np.uint8)
    return grown


def _evident(seeds: np.ndarray, first: np.ndarray, second: np.ndarray, mean: np.ndarray) -> bool:
    """Leave those of the pixels that show rest: strong edges, which motion would move; False if too few do.

    ``mean`` is the motion of the surroundings ``[h, w, 2]``, in cells of its grid.
    """
    import cv2

    seeds &= _same_edges(first, second)
    if np.count_nonzero(seeds) < FEWEST:
        return False
    seeds &= np.maximum(along(first, second, mean), along(second, first, -mean)) >= MOVED
    seeds &= cv2.blur(seeds.astype(np.float32), (SQUARE, SQUARE)) * SQUARE**2 >= JOINED
    return bool(np.count_nonzero(seeds) >= FEWEST)


def _surroundings(motion: np.ndarray, cell: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of moving cells around each of ``[h, w, 2]``, in cells, and whether most move."""
    import cv2

    side = max(3, round(AROUND * motion.shape[0]) | 1)
    moves = (np.hypot(*np.moveaxis(motion, -1, 0)) * cell >= FAST).astype(np.float32)
    part = cv2.blur(moves, (side, side))
    mean = cv2.blur(motion * moves[..., None], (side, side)) / np.maximum(part, 1e-3)[..., None]
    return mean, (part > MOVING) & (np.hypot(*np.moveaxis(mean, -1, 0)) * cell >= FAST)


def _slope(image: np.ndarray) -> np.ndarray:
    """Return the sum of both slopes ``[H, W]``, in Sobel's eighths of a level a pixel."""
    import cv2

    return np.add(*(np.abs(slope) for slope in cv2.spatialGradient(image)))


def _same_edges(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return where both images have the same strong edge."""
    import cv2

    (x, y), (x_later, y_later) = (cv2.spatialGradient(image) for image in (first, second))
    strong = np.abs(x) + np.abs(y)
    change = cv2.absdiff(x, x_later) + cv2.absdiff(y, y_later)
    return (strong >= EDGE) & (change <= (ALIKE * strong).astype(np.int16))
