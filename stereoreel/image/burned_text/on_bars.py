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
from .lumas import PartialLuma
from .strokes import GAP, TALL, Box, Window, grown_window, hats, side_at

STANDS_OUT = 48  # levels by which strokes differ from their bar, at least
COLOUR = 45  # levels by which the strokes of a line differ from each other, at most
CLEARER = 12  # levels by which strokes that fade in become clearer
SAME = 0.7  # of the strokes of either frame are in both if they show one text
FEWEST = 2  # pixels of strokes next to the picture
WORDS = 3  # times the gap between letters is that between words, or letters that are not found
AROUND = 0.016  # of the width: the distance that a box keeps from its strokes
Luma = np.ndarray | PartialLuma


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


def inside(window: Window, whole: Window) -> Window:
    """Return a window of a frame as one of a larger window."""
    rows, columns = (
        slice(part.start - around.start, part.stop - around.start) for part, around in zip(window, whole)
    )
    return rows, columns


def both(one: Window, other: Window) -> Window:
    """Return the smallest window that holds two."""
    rows, columns = (slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other))
    return rows, columns


class Line:
    """The same strokes on one bar over some frames, and what the picture within reach shows meanwhile.

    Strokes are bool, in the window of the bar.
    """

    def __init__(self, bar: Bar, size: tuple[int, int], strokes: np.ndarray):
        self.bar, self.size, self.strokes, self.count = bar, size, strokes, 0
        self.boxes: tuple[Box, ...] | None = None  # None: not known yet
        self._side = side_at(size[0])
        self._around = grown_window(bar.reach, self._side, size)  # decides about strokes within reach
        self._within = inside(bar.reach, self._around)

    def _begin(self, strokes: np.ndarray, level: float, around: np.ndarray) -> None:
        self.strokes, self.level = strokes, level
        self.low, self.high = (around[self._within].copy() for _ in range(2))  # over time
        self.contrast = self._contrast(around)

    def _contrast(self, around: np.ndarray) -> np.ndarray:
        return np.maximum(*hats(around, self._side))[self._within]

    def goes_on(self, strokes: np.ndarray) -> bool:
        """Return whether these strokes are those of the line."""
        least = min(np.count_nonzero(self.strokes), np.count_nonzero(strokes))
        return bool(np.count_nonzero(self.strokes & strokes) >= SAME * least)

    def add(self, strokes: np.ndarray, on_bar: np.ndarray, luma: Luma, step: int) -> None:
        """Take a frame and its luma on the bar; what was seen while the line faded in is forgotten."""
        around, level = luma[self._around], float(np.median(on_bar[strokes]))
        if not self.count or abs(level - self.level) > CLEARER:
            self._begin(strokes, level, around)
        self.strokes = self.strokes & strokes
        np.minimum(self.low, around[self._within], out=self.low)
        np.maximum(self.high, around[self._within], out=self.high)
        if self.count % step == 0:
            np.minimum(self.contrast, self._contrast(around), out=self.contrast)
        self.count += 1

    def found(self) -> Iterator[Box]:
        """Yield boxes around what continues the strokes in the picture."""
        import cv2

        all_ = both(self.bar.whole, self.bar.reach)
        shape = [side.stop - side.start for side in all_]
        strokes, ours = np.zeros(shape, bool), np.zeros(shape, bool)
        strokes[inside(self.bar.whole, all_)] = self.strokes
        ours[inside(self.bar.reach, all_)] = (
            (self.low >= self.level - COLOUR)
            & (self.high <= self.level + COLOUR)
            & (self.contrast >= CONTRAST)
        )
        width = self.size[1]
        gap, margin = max(3, round(GAP * width) | 1), max(2, round(AROUND * width))
        pad = WORDS * gap
        text = np.pad((strokes | ours).astype(np.uint8), pad)
        joined = cv2.morphologyEx(text, cv2.MORPH_CLOSE, np.ones((gap, WORDS * gap), np.uint8))
        _, labels = cv2.connectedComponents(joined[pad:-pad, pad:-pad], connectivity=8)
        crossing = np.intersect1d(labels[strokes], labels[ours])
        for index in crossing[crossing > 0]:
            own = (labels == index) & ours
            rows, columns = (np.flatnonzero(own.any(axis)) for axis in (1, 0))
            window = (
                slice(all_[0].start + rows[0], all_[0].start + rows[-1] + 1),
                slice(all_[1].start + columns[0], all_[1].start + columns[-1] + 1),
            )
            down, across = grown_window(window, margin, self.size)
            yield across.start, down.start, across.stop, down.stop


class BarTextFinder:
    """Boxes of such text in each frame of a shot, from luma, uint8 ``[h, w]``, near bars.

    Knows a frame's text ``lookahead`` frames later. ``picture`` lies in frames of this ``size``.
    """

    def __init__(self, size: tuple[int, int], picture: tuple[int, int, int, int], fps: Fraction | float):
        self._bars = bars_around(size, picture)
        self._lines: list[Line | None] = [None] * len(self._bars)
        self._shown: deque[list[Line]] = deque()
        self._ahead, self._step = lookahead(fps), key_step(fps)
        self._shortest = shortest(fps)

    def add(self, luma: Luma | None) -> None:
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

    def _followed(self, line: Line | None, bar: Bar, luma: Luma | None) -> Line | None:
        """Return the line that a bar shows in the next frame."""
        if luma is None:
            return None
        on_bar = luma[bar.whole]
        strokes = np.abs(on_bar.astype(np.float32) - np.float32(np.median(on_bar))) >= STANDS_OUT
        if np.count_nonzero(strokes[inside(bar.outer, bar.whole)]) < FEWEST:
            return None
        if line is None or not line.goes_on(strokes):
            line = Line(bar, luma.shape, strokes)
        if line.boxes is None:
            line.add(strokes, on_bar, luma, self._step)
        return line
