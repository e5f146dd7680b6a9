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
FOLLOWS = 1.0  # pixels of motion that a pixel follows, if it is equal along it
ALIKE = 0.25  # part of the slope by which it may change
BETTER = 0.9  # part of the flow's error that the error at a speed may be, of what scrolls at that speed
JOINED = 5  # least such pixels in a square of ``SQUARE``; chance makes single ones
SQUARE = 7
FEWEST = 40  # least such pixels in a frame
AROUND = 1 / 6  # of the height: side of the surroundings
FAST = 1.5  # pixels: less motion of the surroundings cannot print twice
SOFT = 0.05  # part of the slope by which a pixel that scrolls may differ, because it is sampled elsewhere
MOVING = (
    0.4  # least part of the surroundings that moves; a thin object that moves over a still wall is no wall
)


class Layer(NamedTuple):
    """What moves as one over the rest: the part of each pixel of the first frame, float32 ``[H, W]``.

    ``speed`` (x, y) is in pixels a frame; zero for what stands still.
    """

    part: np.ndarray
    speed: tuple[float, float]


def layers(first: np.ndarray, second: np.ndarray, motion: np.ndarray) -> list[Layer]:
    """Return what stands still over motion, and what scrolls over it; see ``still_pixels``."""
    found: list[Layer] = []
    for speed in ((0.0, 0.0), *speeds(first, second, motion)):
        part = still_pixels(first, second, motion, speed)
        if part is not None and any(speed):
            for other in found:
                part = np.minimum(part, 1 - other.part)
        if part is not None:
            found.append(Layer(part, speed))
            if any(speed):
                break
    return found


def still_pixels(
    first: np.ndarray, second: np.ndarray, motion: np.ndarray, speed: tuple[float, float] = (0.0, 0.0)
) -> np.ndarray | None:
    """Return the part of each pixel that stands still over motion, float32 ``[H, W]``; None if there is none.

    ``first`` and ``second`` are uint8 luma ``[H, W]``, ``motion`` ``[h, w, 2]`` is that of a coarser grid, in
    its cells. With a ``speed`` (x, y) in pixels, what moves at that speed counts as still.
    """
    import cv2

    height, width = first.shape
    flow = motion
    if any(speed):
        motion = motion - np.array(
            [speed[0] * motion.shape[1] / width, speed[1] * motion.shape[0] / height], np.float32
        )
    mean, moving = _surroundings(motion, width / motion.shape[1])
    if not moving.any():
        return None
    scale = min(1.0, SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size != (width, height):
        first, second = (cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (first, second))
    by_flow = cv2.blur(along(first, second, flow).astype(np.float32), (SQUARE, SQUARE))
    if any(speed):
        second = shifted(second, (-speed[0] * size[0] / width, -speed[1] * size[1] / height))
    cells = np.array([size[0] / motion.shape[1], size[1] / motion.shape[0]], np.float32)
    apart = cv2.absdiff(first, second)
    equal = apart <= EQUAL
    if any(speed):
        equal |= apart <= SOFT * _slope(first)
    seeds = np.array(equal)
    seeds[cv2.resize(moving.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) == 0] = False
    seeds &= _same_edges(first, second)
    if not any(speed):
        # letters that scroll are like each other, so that some seem to stay
        pace = np.hypot(*np.moveaxis(flow, -1, 0)) * (width / flow.shape[1])
        follows = cv2.resize(pace, size, interpolation=cv2.INTER_LINEAR) >= FOLLOWS
        seeds &= ~(follows & (by_flow <= EQUAL))
    if np.count_nonzero(seeds) < FEWEST:
        return None
    shift = cv2.resize(mean * cells, size, interpolation=cv2.INTER_LINEAR)
    seeds &= np.maximum(_moved(first, second, shift), _moved(second, first, -shift)) >= MOVED
    seeds &= cv2.blur(seeds.astype(np.float32), (SQUARE, SQUARE)) * SQUARE**2 >= JOINED
    if np.count_nonzero(seeds) < FEWEST:
        return None
    grown = seeds.astype(np.uint8)
    for _ in range(3):  # into the inside of letters
        grown = np.where(equal, cv2.dilate(grown, np.ones((3, 3), np.uint8)), 0).astype(np.uint8)
    if any(speed):
        grown[cv2.blur(apart.astype(np.float32), (SQUARE, SQUARE)) >= BETTER * by_flow] = 0
        if np.count_nonzero(grown) < FEWEST:
            return None
    # the soft edges of letters mix with what moves behind them
    part = cv2.blur(cv2.dilate(grown, np.ones((3, 3), np.uint8)).astype(np.float32), (3, 3))
    return (
        part if size == (width, height) else cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR)
    )


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

    (across, along), (across_later, along_later) = (cv2.spatialGradient(image) for image in (first, second))
    strong = np.abs(across) + np.abs(along)
    change = cv2.absdiff(across, across_later) + cv2.absdiff(along, along_later)
    return (strong >= EDGE) & (change <= (ALIKE * strong).astype(np.int16))


def _moved(image: np.ndarray, other: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Return how much the other image differs where the shift leads."""
    import cv2

    rows, columns = np.indices(image.shape, dtype=np.float32)
    there = cv2.remap(
        other,
        columns + shift[..., 0],
        rows + shift[..., 1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return cv2.absdiff(image, there)
