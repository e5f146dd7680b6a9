"""Find text that lies over the picture: subtitles, captions, titles, logos, and credits that scroll.

A stroke of it differs from both of its sides, and keeps its place to a fraction of a pixel, or its speed,
while the picture under it moves. What a camera sees moves with the camera, so a sign in the scene is not
text. In a shot without motion everything keeps its place: text is then found only if it appears suddenly, and
nothing else changes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from .block import Block, Shown
from .cover import Past, arrived, cover
from .faint import SEEN, logos, share_seen
from .key_frames import KeyFrame, Surroundings, least, persistent
from .strokes import (
    GONE,
    Box,
    blocks,
    grown_window,
    hats,
    letters,
    printed,
    share_there,
    spread,
    still,
    thickness,
    transparent,
    window_of,
)

KEYS = 5  # key frames that text must stay for
KEY_RATE = 6.5  # key frames a second, about
LONGEST_STEP = 9  # frames between two of them
THERE = 0.7  # of its strokes are there while a block is shown
FAINT_EVERY = 2  # key frames: faint logos stay, and the search for them costs four times the rest
NOISY = 12.0  # levels by which a still shot changes from key frame to key frame, at most
LIKE = 1.3  # times the later change of its surroundings, at most, is that when text appears
LETTERS = 5  # least parts of a block that appears in a still shot


def lookahead(fps: Fraction | float) -> int:
    """Return how many frames after one must be seen before its text is known; at most 45."""
    return KEYS * key_step(fps)


def key_step(fps: Fraction | float) -> int:
    """Return the frames from one key frame to the next."""
    return min(LONGEST_STEP, max(1, round(float(fps) / KEY_RATE)))


class TextFinder:
    """Text of one shot, frame by frame, from its luma; knows a frame's ``lookahead`` frames later."""

    def __init__(self, fps: Fraction | float):
        self._step = key_step(fps)
        self._lumas: dict[int, np.ndarray] = {}
        self._keys: deque[KeyFrame] = deque(maxlen=KEYS)
        self._before: KeyFrame | None = None  # the key frame before those
        self._blocks: list[Block] = []
        self._count, self._given, self._number = 0, 0, 0

    def add(self, luma: np.ndarray) -> None:
        """Take the next frame, uint8 ``[h, w]``, ``reduced``."""
        self._lumas[self._count] = luma
        if self._count % self._step == 0:
            if len(self._keys) == KEYS:
                self._before = self._keys[0]
            self._keys.append(KeyFrame(self._count, luma, *hats(luma)))
            if len(self._keys) == KEYS:
                self._search()
        self._count += 1

    def known(self, rest: bool = False) -> Iterator[list[Shown]]:
        """Yield the text of the frames that are known by now, or with ``rest`` of all that were added."""
        ahead = 0 if rest else KEYS * self._step
        while self._given + ahead < self._count:
            place = self._given
            self._follow(place)
            size = self._lumas[place].shape
            yield [
                Shown(block.number, block.mask, block.corner, size, block.first, block.sudden)
                for block in self._blocks
                if block.first <= place <= block.last
            ]
            self._blocks = [block for block in self._blocks if not (block.over and block.last <= place)]
            self._given += 1
            self._lumas.pop(place - 1 - 2 * self._step, None)

    def _follow(self, place: int) -> None:
        """Extend the blocks to a frame, as far as they are there."""
        for block in self._blocks:
            while not block.over and block.last < place:
                if self._there(block, block.last + 1):
                    block.last += 1
                else:
                    block.over = True

    def _there(self, block: Block, place: int) -> bool:
        """Return whether a frame shows a block."""
        if block.faint:
            return share_seen(self._lumas[place][block.window], block.past.mean, block.strokes) >= SEEN
        return share_there(self._lumas[place], block.window, block.strokes) >= THERE

    def _search(self) -> None:
        """Look for text that stays through the latest key frames."""
        keys = list(self._keys)
        kept = persistent(keys)
        fresh = kept.copy()
        for block in self._blocks:
            if block.first <= keys[0].place and not block.over:
                inside = fresh[block.window]
                own = block.strokes > 0
                share = float(np.mean(inside[own] > 0)) if own.any() else 0.0
                if block.faint or share >= GONE:
                    inside[spread(np.maximum(block.mask, own).astype(np.uint8), 4) > 0] = 0
                    if block.last < keys[-1].place and self._there(block, keys[-1].place):
                        self._refine(block, keys)
        found = blocks(fresh)
        moving = Surroundings(keys, kept, [box for box, _ in found])
        for box, part in found:
            if moving.under(box) and self._stays(box, part, keys):
                self._begin(box, part, keys)
                fresh[window_of(box)] = 0
        if moving.moving and keys[0].place % (FAINT_EVERY * self._step) == 0:
            self._search_faint(keys, moving)
        if self._before is not None:
            before = np.maximum(self._before.bright, self._before.dark)
            for box, part in blocks(np.where(before < GONE * fresh, fresh, 0)):
                if self._appears(box, part, keys):
                    self._begin(box, part, keys, self._before.luma)

    def _search_faint(self, keys: list[KeyFrame], moving: Surroundings) -> None:
        """Look for half transparent logos in the corners of a picture that moves."""
        lumas = [self._lumas[place] for place in self._frames(keys)[:: max(1, self._step // 2)]]
        free = np.ones(keys[0].luma.shape, bool)
        side = thickness(keys[0].luma)
        for block in self._blocks:
            if not block.over:
                free[grown_window(block.window, side, free.shape)] = False
        for box, part in logos(lumas, free, side):
            if moving.under(box):
                self._begin(box, part, keys, faint=True)

    def _frames(self, keys: list[KeyFrame]) -> range:
        return range(keys[0].place, keys[-1].place + 1)

    def _stays(self, box: Box, part: np.ndarray, keys: list[KeyFrame]) -> bool:
        """Return whether a block looks laid over a picture that moves under it."""
        lumas = [self._lumas[place][window_of(box)] for place in self._frames(keys)]
        return still(lumas, part) and (printed(lumas, part) or transparent(lumas, part))

    def _appears(self, box: Box, part: np.ndarray, keys: list[KeyFrame]) -> bool:
        """Return whether a block appears suddenly, while nothing else changes."""
        import cv2

        window, before, first = window_of(box), self._before, keys[0]
        assert before is not None, "blocks appear after another key frame"
        lumas = [self._lumas[place][window] for place in self._frames(keys)]
        parts = (least(keys, "bright")[window], least(keys, "dark")[window])
        if max(letters(np.where(part > 0, contrast, 0)) for contrast in parts) < LETTERS:
            return False
        if not (printed(lumas, part) and still(lumas, part)):
            return False
        side = thickness(first.luma)
        outside = np.ones(first.luma.shape, bool)
        outside[grown_window(window, side, outside.shape)] = False
        views = grown_window(window, 3 * side, outside.shape), (slice(None, None, 4), slice(None, None, 4))
        if not all(outside[view].any() for view in views):
            return False
        come, gone = (
            [float(cv2.absdiff(other.luma[view], first.luma[view])[outside[view]].mean()) for view in views]
            for other in (before, keys[-1])
        )
        # grain is the same before and after
        return max(gone) <= NOISY and all(early <= LIKE * late + 1 for early, late in zip(come, gone))

    def _begin(
        self,
        box: Box,
        part: np.ndarray,
        keys: list[KeyFrame],
        without: np.ndarray | None = None,
        faint: bool = False,
    ) -> None:
        """Keep a block; ``without`` is the luma of a frame that differs from these by the block alone."""
        margin = 3 * thickness(keys[0].luma)
        window = grown_window(window_of(box), margin, keys[0].luma.shape)
        strokes = np.zeros([side.stop - side.start for side in window], np.uint8)
        strokes[
            box[1] - window[0].start : box[3] - window[0].start,
            box[0] - window[1].start : box[2] - window[1].start,
        ] = part
        past = Past()
        past.add([self._lumas[place][window] for place in self._frames(keys)])
        if without is None:
            mask = cover(past.mean, past.spread, strokes, thickness(keys[0].luma))
        else:
            mask = arrived(past.mean, without[window], strokes, margin)
        self._number += 1
        block = Block(
            self._number,
            mask,
            (window[1].start, window[0].start),
            keys[0].place,
            keys[-1].place,
            True,
            past,
            strokes,
            without is not None,
            faint,
        )
        first = keys[0].place
        while first > max(self._given, keys[0].place - 2 * self._step) and self._there(block, first - 1):
            first -= 1
        block.first = first
        before = first - 1
        block.sudden = before < 0 or (before in self._lumas and not self._there(block, before))
        self._blocks.append(block)

    def _refine(self, block: Block, keys: list[KeyFrame]) -> None:
        """Add what the latest frames show of a block, so that less of what moves under it remains."""
        if block.fixed:
            block.last = keys[-1].place
            return
        fresh = range(max(block.last + 1, keys[0].place), keys[-1].place + 1)
        block.past.add([self._lumas[place][block.window] for place in fresh])
        block.last = keys[-1].place
        block.mask = cover(block.past.mean, block.past.spread, block.strokes, thickness(keys[0].luma))
