"""What a block of text covers: strokes, their outlines and a box, by what hides the motion beneath it."""

from __future__ import annotations

import numpy as np

from .strokes import FEWEST, GONE, hats, spread

LIVELY = 6.0  # levels that the surroundings vary by, from which what hides them is seen
HIDES = 0.5  # what varies by this part of that is hidden
BOXED = 0.65  # the same, of a box, which may be half transparent
CALMER = 0.8  # strokes vary by at most this part of what their gaps do, if they hide anything
FULL = 0.65  # of its bounding rectangle is filled by a box that appears behind text
HIGHER, SPECK = 2.0, 6  # times the height of most letters: what is higher is none; pixels of a letter
ARRIVED = 12  # levels by which text changes what it covers, at least


class Past:
    """Mean and standard deviation over time of the pixels ``[h, w]`` of a block, float32."""

    def __init__(self) -> None:
        self._count, self._sum, self._squares = 0, np.zeros(()), np.zeros(())

    def add(self, lumas: list[np.ndarray]) -> None:
        for luma in lumas:
            levels = luma.astype(np.float32)
            self._sum, self._squares = self._sum + levels, self._squares + levels * levels
            self._count += 1

    @property
    def mean(self) -> np.ndarray:
        return (self._sum / self._count).astype(np.float32)

    @property
    def spread(self) -> np.ndarray:
        return np.sqrt(
            np.maximum(self._squares / self._count - np.square(self._sum / self._count), 0)
        ).astype(np.float32)


def cover(mean: np.ndarray, spreads: np.ndarray, strokes: np.ndarray, side: int) -> np.ndarray:
    """Return what the text covers, uint8 0 or 1 ``[h, w]``: strokes, outlines, and a box behind them.

    ``mean`` over time shows the text sharp and what moves under it blurred; ``spreads`` over time are small
    where the text hides it. ``side`` is that of the largest stroke.
    """
    import cv2

    seeds = strokes > 0
    bright, dark = hats(mean, side)
    own = [seeds & (bright >= dark), seeds & (bright < dark)]
    far = spread(seeds.astype(np.uint8), 3 * side // 2) == 0
    beneath = float(np.median(spreads[far])) if np.count_nonzero(far) >= FEWEST else 0.0
    moves = beneath >= LIVELY
    main = int(bright[own[0]].sum() < dark[own[1]].sum())
    if moves and all(np.count_nonzero(part) >= FEWEST for part in own):
        varied = [float(np.median(spreads[part])) for part in own]
        if min(varied) <= CALMER * max(varied):  # what is half transparent varies almost as its gaps do
            main = int(np.argmin(varied))
    contrast = (bright, dark)[main]
    typical = float(np.percentile(contrast[own[main]], 60)) if own[main].any() else np.inf
    near = spread(seeds.astype(np.uint8), 2) > 0
    mask = near & (contrast >= GONE * typical)
    if moves:
        # what moves varies from place to place
        wide = (6 * side + 1, 6 * side + 1)
        known = cv2.blur(far.astype(np.float32), wide)
        around = cv2.blur(np.where(far, spreads, 0).astype(np.float32), wide) / np.maximum(known, 1e-6)
        around = np.where(known > 0, around, beneath)
        seen = spreads / np.maximum(around, LIVELY)
        rim = (spread(mask.astype(np.uint8), 2) > 0) & ~mask
        if rim.any() and np.median(seen[rim]) <= HIDES:
            mask = (mask | rim) & (seen <= HIDES)  # what hides the picture is exact
        if (box := box_behind(seen, mask)) is not None:
            mask[box] = True
    return mask.astype(np.uint8)


def arrived(mean: np.ndarray, before: np.ndarray, strokes: np.ndarray, reach: int) -> np.ndarray:
    """Return what changed around strokes that appeared in a still picture, uint8 0 or 1 ``[h, w]``."""
    import cv2

    change = np.abs(mean - before)
    far = spread((strokes > 0).astype(np.uint8), reach - 1) == 0
    noise = float(np.percentile(change[far], 95)) if far.any() else 0.0
    changed = cv2.medianBlur((change >= max(ARRIVED, 1.5 * noise)).astype(np.uint8), 3)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(changed, connectivity=8)
    own = np.zeros(count, bool)
    own[np.unique(labels[strokes > 0])] = True
    own[0] = False
    # of what is no box, only what is next to letters: an edge that moves in that moment joins them
    full = stats[:, cv2.CC_STAT_AREA] >= FULL * stats[:, cv2.CC_STAT_WIDTH] * stats[:, cv2.CC_STAT_HEIGHT]
    near = spread(letters_in(mean - before, strokes), max(2, reach // 6)) > 0
    return (own[labels] & (full[labels] | near)).astype(np.uint8)


def letters_in(change: np.ndarray, strokes: np.ndarray) -> np.ndarray:
    """Return strokes that became brighter or darker and are about as high as the others; uint8 0 or 1.

    ``change`` is in levels, ``[h, w]``.
    """
    import cv2

    parts, heights, areas = [], [], []
    for side in (change > 0, change < 0):
        _, labels, stats, _ = cv2.connectedComponentsWithStats(
            ((strokes > 0) & side).astype(np.uint8), connectivity=8
        )
        parts.append(labels)
        heights.append(stats[1:, cv2.CC_STAT_HEIGHT])
        areas.append(stats[1:, cv2.CC_STAT_AREA])
    if not (sizable := np.concatenate(areas) >= SPECK).any():
        return np.zeros(strokes.shape, np.uint8)
    highest = HIGHER * float(np.percentile(np.concatenate(heights)[sizable], 75))
    kept = [np.append(False, tall <= highest)[labels] for labels, tall in zip(parts, heights)]
    return (kept[0] | kept[1]).astype(np.uint8)


def box_behind(seen: np.ndarray, mask: np.ndarray) -> tuple[slice, slice] | None:
    """Return the rectangle that hides what moves, partly or wholly, behind the strokes of a mask.

    ``seen`` is how much each pixel varies, relative to its surroundings.
    """
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not rows.size:
        return None
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    between = spread(mask.astype(np.uint8), 3) == 0
    inside = between[top:bottom, left:right]
    if np.count_nonzero(inside) < FEWEST:
        return None
    level = float(np.median(seen[top:bottom, left:right][inside]))
    if level > BOXED:
        return None
    edge = (level + 1) / 2
    across, along = np.median(seen[top:bottom], 0) <= edge, np.median(seen[:, left:right], 1) <= edge
    while left > 0 and across[left - 1]:
        left -= 1
    while right < len(across) and across[right]:
        right += 1
    while top > 0 and along[top - 1]:
        top -= 1
    while bottom < len(along) and along[bottom]:
        bottom += 1
    if left == 0 or top == 0 or right == len(across) or bottom == len(along):
        return None
    return slice(top, bottom), slice(left, right)
