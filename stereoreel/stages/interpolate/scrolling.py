"""Find the speed of text that scrolls over the picture: credits, and lines of news.

All of it moves as one along one axis, so its strokes correlate sharply at its speed, whatever moves beneath.
"""

from __future__ import annotations

import numpy as np

from ...image.burned_text.strokes import hats

SIDE = 480  # largest side on which to search
HIGH = np.uint8(80)  # levels; more contrast counts as this
CANDIDATES = 3  # most likely motions that are examined
APART = 3  # pixels between two of them
BANDS = 3  # of rows, searched separately, so that one line of news is found
SMALLEST = 16  # pixels of their height
FEWEST = 60  # pixels of strokes that match a speed
PARTS, WIDE = 40, 5
MOST = 0.5  # of the strokes that the flow misses, and that do not stand still, must match a speed
CLEARLY = 24  # levels by which they match it better
FASTEST = 0.12  # of the height or width
ASIDE = 0.35  # pixels of motion across the direction of scrolling, at most
STEPS = 4  # of refinement
AGREE = 0.5  # pixels by which a stroke may seem to move otherwise


def speeds(first: np.ndarray, second: np.ndarray, motion: np.ndarray) -> list[tuple[float, float]]:
    """Return speeds (x, y) of text that may scroll over the picture, in pixels a frame; most likely first.

    ``first`` and ``second`` are uint8 luma ``[H, W]``, ``motion`` ``[h, w, 2]`` is that of a coarser grid, in
    its cells, which text at these speeds does not follow.
    """
    import cv2

    height, width = first.shape
    scale = min(1.0, SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if min(size) < BANDS * SMALLEST:
        return []
    if size != (width, height):
        first, second = (cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (first, second))
    strokes = [np.minimum(np.maximum(*hats(image)), HIGH) for image in (first, second)]
    near = strokes[0] >= HIGH // 2
    if np.count_nonzero(near) < FEWEST:
        return []
    likely = [motion for motion in _peaks(*strokes) if _scrolls(motion, size)]
    if not likely:
        return []
    # what stands still repeats itself often enough to seem to scroll
    missed = cv2.min(along(first, second, motion), cv2.absdiff(first, second))
    lost = np.count_nonzero(near & (missed >= 2 * CLEARLY))
    found = []
    for x, y in likely:
        moved = np.roll(second, (-y, -x), (0, 1))
        better = near & (cv2.subtract(missed, cv2.absdiff(first, moved)) >= CLEARLY)
        if np.count_nonzero(better) < max(FEWEST, MOST * lost) or _parts(better) < WIDE:
            continue
        grown = cv2.dilate(better.astype(np.uint8), np.ones((3, 3), np.uint8))
        if (speed := _along_one_axis(_refined(first, second, grown, (x, y)))) is not None:
            found.append((speed[0] * (width / size[0]), speed[1] * (height / size[1])))
    return found


def _along_one_axis(speed: np.ndarray | None) -> tuple[float, float] | None:
    """Return a speed without the little that it has across; None if it has more, or is None."""
    if speed is None:
        return None
    x, y = map(float, speed)
    if min(abs(x), abs(y)) > ASIDE:
        return None
    return (0.0, y) if abs(x) < abs(y) else (x, 0.0)


def _scrolls(motion: tuple[int, int], size: tuple[int, int]) -> bool:
    """Return whether a motion is along one axis, and neither none nor too fast."""
    x, y = (abs(part) for part in motion)
    return min(x, y) == 0 < max(x, y) and x <= FASTEST * size[0] and y <= FASTEST * size[1]


def _parts(pixels: np.ndarray) -> int:
    """Return how many of ``PARTS`` of the width have some of the pixels; text is wide, a pole is not."""
    columns = np.flatnonzero(pixels.sum(0) >= 2)
    return len(np.unique(columns * PARTS // pixels.shape[1]))


def along(first: np.ndarray, second: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """Return how much two frames ``[H, W]`` differ along the motion ``[h, w, 2]`` of a grid, in levels."""
    import cv2

    size = first.shape[1::-1]
    cells = np.array([size[0] / motion.shape[1], size[1] / motion.shape[0]], np.float32)
    there: np.ndarray = cv2.resize(motion * cells, size, interpolation=cv2.INTER_LINEAR)
    there[..., 0] += np.arange(size[0], dtype=np.float32)
    there[..., 1] += np.arange(size[1], dtype=np.float32)[:, None]
    moved = cv2.remap(second, there[..., 0], there[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return cv2.absdiff(first, moved)


def _peaks(first: np.ndarray, second: np.ndarray) -> list[tuple[int, int]]:
    """Return the motions (x, y) of the highest peaks of phase correlation in each of ``BANDS``, in pixels."""
    edges = np.linspace(0, len(first), BANDS + 1).round().astype(int)
    bands = [slice(*edge) for edge in zip(edges, edges[1:])]
    return list(dict.fromkeys(peak for band in bands for peak in _peaks_of(first[band], second[band])))


def _peaks_of(first: np.ndarray, second: np.ndarray) -> list[tuple[int, int]]:
    height, width = first.shape
    window = (np.outer(np.hanning(height), np.hanning(width)) ** 0.25).astype(np.float32)
    one, other = (np.fft.rfft2(strokes * window) for strokes in (first, second))
    cross = np.conj(one) * other
    size = np.abs(cross)
    surface = np.fft.irfft2(cross / (size + 1e-3 * size.max() + 1e-9), first.shape)
    found, near = [], np.arange(-APART, APART + 1)
    for _ in range(CANDIDATES):
        row, column = (int(place) for place in np.unravel_index(surface.argmax(), surface.shape))
        found.append((column - width * (column > width // 2), row - height * (row > height // 2)))
        surface[np.ix_((row + near) % height, (column + near) % width)] = -np.inf
    return found


def _refined(
    first: np.ndarray, second: np.ndarray, near: np.ndarray, speed: tuple[int, int]
) -> np.ndarray | None:
    """Return a speed to a small fraction of a pixel, by the method of Lucas and Kanade over some pixels."""
    import cv2

    rows, columns = (np.flatnonzero(near.any(axis)) for axis in (1, 0))
    margin = 4 + max(abs(speed[0]), abs(speed[1]))
    window = tuple(slice(max(0, places[0] - margin), places[-1] + 1 + margin) for places in (rows, columns))
    image, other, own = first[window].astype(np.float32), second[window].astype(np.float32), near[window] > 0
    across, down = (cv2.Sobel(image, cv2.CV_32F, x, 1 - x, scale=1 / 8)[own] for x in (1, 0))
    found = np.array(speed, np.float64)
    for _ in range(STEPS):
        change = (shifted(other, -found) - image)[own]
        # where the picture beneath changes, or shows through, motion does not explain the change
        agree = np.abs(change) <= AGREE * (np.abs(across) + np.abs(down))
        x, y, rest = across[agree], down[agree], change[agree]
        slopes = np.array([[x @ x, x @ y], [x @ y, y @ y]], np.float64)
        if np.count_nonzero(agree) < FEWEST or np.linalg.det(slopes) < 1e-3 * np.trace(slopes) ** 2:
            return None
        found = found - np.clip(np.linalg.solve(slopes, np.array([x @ rest, y @ rest])), -0.6, 0.6)
    return found


def shifted(image: np.ndarray, by, method: int | None = None) -> np.ndarray:
    """Return an image ``[H, W]`` or ``[H, W, C]`` moved by (x, y) pixels; its border is repeated."""
    import cv2

    move = np.array([[1, 0, by[0]], [0, 1, by[1]]], np.float64)
    moved = cv2.warpAffine(
        image,
        move,
        image.shape[1::-1],
        flags=cv2.INTER_CUBIC if method is None else method,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return moved.reshape(image.shape)
