"""Key frames: which strokes stay through them, and where the picture moves meanwhile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .strokes import Box

CONTRAST = 20  # levels between a stroke and both of its sides, at least, in every key frame
CLEAR = 26  # the same, of the strokes that are evidence
GRID = (9, 16)  # cells of the frame, by which motion is judged
MOVED = 0.5  # a cell moves if at most this share of its strokes stays
MOVING = 0.75  # of the cells with strokes move under a moving camera
FEWEST_CELLS = 6  # with strokes, for any judgement
CELL_STROKES = 0.01  # of a cell's pixels are strokes, at least


@dataclass(frozen=True, eq=False)
class KeyFrame:
    """A frame of the shot, its luma, uint8 ``[h, w]``, and the hats of that."""

    place: int
    luma: np.ndarray
    bright: np.ndarray  # by how much a pixel is brighter than both sides of a narrow stroke
    dark: np.ndarray


def persistent(keys: list[KeyFrame]) -> np.ndarray:
    """Return the least contrast ``[h, w]`` of strokes that stay through all key frames, else 0."""
    kept = np.maximum(least(keys, "bright"), least(keys, "dark"))
    return np.where(kept >= CONTRAST, kept, 0).astype(np.uint8)


def least(keys: list[KeyFrame], hat: str) -> np.ndarray:
    """Return the least contrast ``[h, w]`` of ``bright`` or ``dark`` strokes over key frames, else 0."""
    total = getattr(keys[0], hat)
    for key in keys[1:]:
        total = np.minimum(total, getattr(key, hat))
    return np.where(total >= CONTRAST, total, 0)


class Surroundings:
    """Whether the picture moves: the share of each cell's strokes that stays, without those of blocks."""

    def __init__(self, keys: list[KeyFrame], kept: np.ndarray, boxes: list[Box]):
        import cv2

        height, width = kept.shape
        outside = np.ones((height, width), np.uint8)
        for left, top, right, bottom in boxes:
            outside[top:bottom, left:right] = 0
        middle = keys[len(keys) // 2]
        strokes = ((np.maximum(middle.bright, middle.dark) >= CLEAR) & (outside > 0)).astype(np.float32)
        stays = strokes * (kept > 0)
        rows, columns = GRID
        self._strokes, self._stays = (
            cv2.resize(layer, (columns, rows), interpolation=cv2.INTER_AREA) for layer in (strokes, stays)
        )
        self._cell = height / rows, width / columns
        textured = self._strokes >= CELL_STROKES
        moves = textured & (self._stays <= MOVED * self._strokes)
        self.moving = np.count_nonzero(textured) >= FEWEST_CELLS and np.count_nonzero(
            moves
        ) >= MOVING * np.count_nonzero(textured)
        self._textured, self._moves = textured, moves

    def under(self, box: Box) -> bool:
        """Return whether the picture moves around a box, as under a moving camera."""
        if not self.moving:
            return False
        (tall, wide), (left, top, right, bottom) = self._cell, box
        near = (
            slice(max(0, int(top / tall) - 1), int(bottom / tall) + 2),
            slice(max(0, int(left / wide) - 1), int(right / wide) + 2),
        )
        textured = np.count_nonzero(self._textured[near])
        return bool(np.count_nonzero(self._moves[near]) >= MOVING * textured)
