"""Find text that lies half on a bar and half on the picture, and how far it reaches into the picture.

On the bar, which is flat, every stroke is seen in every frame. What continues it in the picture has its
colour, is as narrow, and stays.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from .finder import key_step, lookahead
from .key_frames import CONTRAST
from .strokes import GAP, TALL, Box, grown_window, hats

STANDS_OUT = 48  # levels by which strokes differ from their bar, at least
COLOUR = 45  # levels by which the strokes of a line differ from each other, at most
CLEARER = 12  # levels by which strokes that fade in become clearer
SAME = 0.7  # of the strokes of either frame are in both if they show one text
FEWEST = 2  # pixels of strokes next to the picture
WORDS = 3  # times the gap between letters is that between words, or letters that are not found
AROUND = 0.016  # of the width: the distance that a box keeps from its strokes
Window = tuple[slice, slice]


class Bar(NamedTuple):
    """Windows of a frame: a bar, its part next to the picture, and how far a line may reach into that.

    The row or column at the edge, which may be of both, is left out of the bar.
    """

    whole: Window
    outer: Window
    reach: Window


def bars_around(size: tuple[int, int], picture: tuple[int, int, int, int]) -> list[Bar]:
    """Return the bars in frames of a height and width around a picture (top, left, height, width).

    Those too narrow to show strokes are left out.
    """
    near, (top, left, height, width) = max(2, round(GAP * size[1])), picture
    inside = slice(top, top + height), slice(left, left + width)
    found = []
    for axis, (start, stop, end) in enumerate(((top, top + height, size[0]), (left, left + width, size[1]))):
        tall = stop - start if axis else min(stop - start, round(TALL * end))
        sides = (
            ((0, start - 1), (max(0, start - 1 - near), start - 1), (start, start + tall)),
            ((stop + 1, end), (stop + 1, min(end, stop + 1 + near)), (stop - tall, stop)),
        )
        for parts in sides:
            if parts[0][1] - parts[0][0] >= 2:
                windows = (slice(*part) for part in parts)
                found.append(Bar(*((inside[0], one) if axis else (one, inside[1]) for one in windows)))
    return found


def shortest(fps: Fraction | float) -> int:
    """Return how many frames show a line that stays, at least."""
    return 2 * key_step(fps)


class Line:
    """The same strokes on one bar over some frames, and what the picture shows meanwhile."""

    def __init__(self, bar: Bar, strokes: np.ndarray, luma: np.ndarray):
        self.bar, self.count = bar, 0
        self.boxes: tuple[Box, ...] | None = None  # None: not known yet
        self._begin(strokes, luma)

    def _begin(self, strokes: np.ndarray, luma: np.ndarray) -> None:
        self.strokes, self.level = strokes, float(np.median(luma[strokes]))
        self.low, self.high = luma.copy(), luma.copy()  # least and greatest over time
        self.contrast = np.maximum(*hats(luma))

    def goes_on(self, strokes: np.ndarray) -> bool:
        """Return whether these strokes, bool ``[h, w]``, are those of the line."""
        least = min(np.count_nonzero(self.strokes), np.count_nonzero(strokes))
        return bool(np.count_nonzero(self.strokes & strokes) >= SAME * least)

    def add(self, strokes: np.ndarray, luma: np.ndarray, step: int) -> None:
        """Take a frame; what was seen while the line faded in is forgotten."""
        if abs(float(np.median(luma[strokes])) - self.level) > CLEARER:
            self._begin(strokes, luma)
        self.strokes = self.strokes & strokes
        np.minimum(self.low, luma, out=self.low)
        np.maximum(self.high, luma, out=self.high)
        if self.count % step == 0:
            np.minimum(self.contrast, np.maximum(*hats(luma)), out=self.contrast)
        self.count += 1

    def found(self) -> Iterator[Box]:
        """Yield boxes around what continues the strokes in the picture."""
        import cv2

        size = self.strokes.shape
        ours = np.zeros(size, bool)
        ours[self.bar.reach] = (
            (self.low >= self.level - COLOUR)
            & (self.high <= self.level + COLOUR)
            & (self.contrast >= CONTRAST)
        )[self.bar.reach]
        gap, margin = max(3, round(GAP * size[1]) | 1), max(2, round(AROUND * size[1]))
        pad = WORDS * gap
        both = np.pad((self.strokes | ours).astype(np.uint8), pad)
        joined = cv2.morphologyEx(both, cv2.MORPH_CLOSE, np.ones((gap, WORDS * gap), np.uint8))
        count, labels = cv2.connectedComponents(joined[pad:-pad, pad:-pad], connectivity=8)
        for index in range(1, count):
            own = labels == index
            if (own & self.strokes).any() and (own & ours).any():
                rows, columns = (np.flatnonzero((own & ours).any(axis)) for axis in (1, 0))
                window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
                down, across = grown_window(window, margin, size)
                yield across.start, down.start, across.stop, down.stop


class BarTextFinder:
    """Boxes of such text in each frame of a shot, from luma, uint8 ``[h, w]``.

    Knows a frame's text ``lookahead`` frames later. ``picture`` lies in frames of this ``size``.
    """

    def __init__(self, size: tuple[int, int], picture: tuple[int, int, int, int], fps: Fraction | float):
        self._bars = bars_around(size, picture)
        self._lines: list[Line | None] = [None] * len(self._bars)
        self._shown: deque[list[Line]] = deque()
        self._ahead, self._step = lookahead(fps), key_step(fps)
        self._shortest = shortest(fps)

    def add(self, luma: np.ndarray | None) -> None:
        """Take the next frame; None if its bars show nothing next to the picture."""
        self._lines = [self._followed(line, bar, luma) for line, bar in zip(self._lines, self._bars)]
        self._shown.append([line for line in self._lines if line])

    def known(self, rest: bool = False) -> Iterator[tuple[Box, ...]]:
        """Yield the boxes in frames that are known by now, or with ``rest`` in all that were added."""
        while self._shown and (rest or len(self._shown) > self._ahead):
            lines = self._shown.popleft()
            for line in lines:
                if line.boxes is None:
                    # what passes faster scrolls
                    line.boxes = tuple(line.found()) if line.count >= self._shortest else ()
            yield tuple(box for line in lines for box in line.boxes or ())

    def _followed(self, line: Line | None, bar: Bar, luma: np.ndarray | None) -> Line | None:
        """Return the line that a bar shows in the next frame."""
        if luma is None:
            return None
        strokes, part = np.zeros(luma.shape, bool), luma[bar.whole].astype(np.int16)
        strokes[bar.whole] = np.abs(part - np.median(part)) >= STANDS_OUT
        if np.count_nonzero(strokes[bar.outer]) < FEWEST:
            return None
        if line is None or not line.goes_on(strokes):
            line = Line(bar, strokes, luma)
        if line.boxes is None:
            line.add(strokes, luma, self._step)
        return line
