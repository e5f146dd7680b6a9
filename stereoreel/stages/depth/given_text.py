"""Text whose mask is given: its blocks frame by frame, and which of them go on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...core.clip import ClipInfo
from ...image.burned_text.block import Shown
from ...image.burned_text.strokes import GAP

WHITE = 64  # least level of text in the reduced mask, where thin strokes are grey
STAYS = 0.5  # of the smaller box: a block that overlaps one of the frame before so much is the same
SHAPE = 0.02  # by which the mask's ratio of width to height may differ from the frames'
Box = tuple[int, int, int, int]


def check_mask(frames: ClipInfo, text: ClipInfo) -> None:
    """Raise ValueError for a mask of another shape, or of two views for frames of one."""
    ratio = text.width * frames.height / (text.height * frames.width)
    if abs(ratio - 1) > SHAPE:
        raise ValueError(
            f"text has {text.width}x{text.height} pixels, which is not the shape of the "
            f"{frames.width}x{frames.height} frames. Connect a mask of the same clip, of any size."
        )
    if text.views > frames.views:
        raise ValueError("text has two views, but clip has one. Connect a mask of the same clip.")


class GivenText:
    """Blocks of text by their masks, frame by frame; each has a number as long as it stays or moves on."""

    def __init__(self) -> None:
        self._place, self._number = -1, 0
        self._mask: np.ndarray | None = None
        self._blocks: list[Shown] = []

    def add(self, mask: np.ndarray) -> list[Shown]:
        """Return the blocks of the next frame by its mask, uint8 ``[h, w]``, reduced as lumas are."""
        self._place += 1
        if self._mask is None or not np.array_equal(mask, self._mask):
            before = list(self._blocks)
            self._blocks = [
                self._numbered(strokes, box, mask.shape, before) for strokes, box in connected(mask)
            ]
            self._mask = mask
        return self._blocks

    def _numbered(self, strokes: np.ndarray, box: Box, size: tuple[int, ...], before: list[Shown]) -> Shown:
        same = max(before, key=lambda block: _overlap(box, _box(block)), default=None)
        if same is not None and _overlap(box, _box(same)) >= STAYS:
            before.remove(same)
            number, first = same.number, same.first
        else:
            self._number += 1
            number, first = self._number, self._place
        return Shown(number, strokes, (box[0], box[1]), (size[0], size[1]), first, True)


def connected(mask: np.ndarray) -> Iterator[tuple[np.ndarray, Box]]:
    """Yield strokes, uint8 0 or 1 ``[h, w]``, and boxes (left, top, right, bottom) of blocks of a mask.

    Letters, words and lines as close as in text are one block.
    """
    import cv2

    strokes = (mask >= WHITE).astype(np.uint8)
    if not strokes.any():
        return
    gap = max(3, round(GAP * mask.shape[1]) | 1)
    joined = cv2.morphologyEx(np.pad(strokes, gap), cv2.MORPH_CLOSE, np.ones((gap, gap), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined[gap:-gap, gap:-gap], connectivity=8)
    for index in range(1, count):
        left, top, width, height = (int(value) for value in stats[index][:4])
        window = slice(top, top + height), slice(left, left + width)
        part = strokes[window] * (labels[window] == index)
        yield part.astype(np.uint8), (left, top, left + width, top + height)


def _box(block: Shown) -> Box:
    left, top = (int(place) for place in block.corner)
    return left, top, left + block.mask.shape[1], top + block.mask.shape[0]


def _overlap(one: Box, other: Box) -> float:
    """Return which share of the smaller box the two have in common."""
    width, height = (min(one[axis + 2], other[axis + 2]) - max(one[axis], other[axis]) for axis in (0, 1))
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in (one, other)]
    return max(0, width) * max(0, height) / max(1, min(areas))
