"""A block of text: a line, several close to each other, or a logo; and what of it one frame shows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from .cover import Past
from .strokes import THICK, Box, spread


@dataclass
class Block:
    """Text that appears, stays or moves, and goes as one.

    ``mask`` ``[h, w]``, uint8 0 or 1, is its strokes with their outlines or box, in a frame of the reduced
    size from ``corner`` (x, y) on. ``first`` and ``last`` are the frames of the shot that show it; ``sudden``
    if it appears in the first of them, and is not only found there.
    """

    number: int
    mask: np.ndarray
    corner: tuple[int, int]
    first: int
    last: int
    sudden: bool
    past: Past = field(repr=False)
    strokes: np.ndarray = field(repr=False)
    fixed: bool = False  # the mask is exact
    faint: bool = False  # a half transparent logo
    over: bool = False

    @property
    def box(self) -> Box:
        (x, y), (height, width) = self.corner, self.mask.shape
        return x, y, x + width, y + height

    @property
    def window(self) -> tuple[slice, slice]:
        left, top, right, bottom = self.box
        return slice(top, bottom), slice(left, right)


class Shown(NamedTuple):
    """A block in one frame.

    ``mask`` ``[h, w]``, uint8 0 or 1, lies at ``corner`` (x, y) in a reduced frame of ``size`` (height,
    width). ``number`` is that of the block in its shot, ``first`` and ``sudden`` see ``Block``.
    """

    number: int
    mask: np.ndarray
    corner: tuple[float, float]
    size: tuple[int, int]
    first: int
    sudden: bool

    def placed(self, height: int, width: int, grown: int = 0) -> tuple[np.ndarray, tuple[slice, slice]]:
        """Return its part of each pixel, float32 ``[h, w]``, and where that lies in a frame of a size.

        ``grown`` is by how many pixels of the reduced frame, beyond which it fades.
        """
        import cv2

        pad = grown + 2
        mask = np.pad(self.mask, pad)
        if grown:
            mask = cv2.blur(spread(mask, grown + 1).astype(np.float32), (3, 3))
            mask = np.minimum(1, mask * 1.0001)
        down, across = height / self.size[0], width / self.size[1]
        left, top = self.corner[0] - pad, self.corner[1] - pad
        columns, rows = (
            (max(0, math.floor(start * scale)), min(whole, math.ceil((start + count) * scale)))
            for start, count, scale, whole in (
                (left, mask.shape[1], across, width),
                (top, mask.shape[0], down, height),
            )
        )
        if rows[0] >= rows[1] or columns[0] >= columns[1]:
            return np.zeros((0, 0), np.float32), (slice(0, 0), slice(0, 0))
        move = np.array(
            [
                [across, 0, (left + 0.5) * across - 0.5 - columns[0]],
                [0, down, (top + 0.5) * down - 0.5 - rows[0]],
            ]
        )
        size = (columns[1] - columns[0], rows[1] - rows[0])
        part = cv2.warpAffine(mask.astype(np.float32), move, size, flags=cv2.INTER_LINEAR)
        return part, (slice(*rows), slice(*columns))

    def covered(self, height: int, width: int, most: int) -> np.ndarray:
        """Return indexes of at most ``most`` pixels under and between its strokes, in a frame of a size."""
        side = round(THICK * self.size[0])
        rows, columns = np.nonzero(spread(np.pad(self.mask, side), side))
        every = -(-len(rows) // most)
        y = (rows[::every] + 0.5 + self.corner[1] - side) * (height / self.size[0])
        x = (columns[::every] + 0.5 + self.corner[0] - side) * (width / self.size[1])
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        return y[inside].astype(np.int64) * width + x[inside].astype(np.int64)
