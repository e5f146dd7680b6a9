"""Find text that lies over the picture: subtitles, captions, titles, logos, and credits that scroll.

A stroke of it differs from both of its sides, and keeps its place to a fraction of a pixel, or its speed,
while the picture under it moves. What a camera sees moves with the camera, so a sign in the scene is not
text. In a shot without motion everything keeps its place: text is then found only if it appears suddenly, and
nothing else changes.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .host_copy import Download

LUMA = (0.299, 0.587, 0.114)
SIDE = 960  # largest side of the luma that is searched
KEYS = 5  # key frames that text must stay for
KEY_RATE = 6.5  # key frames a second, about
LONGEST_STEP = 9  # frames between two of them
THICK = 0.026  # of the height: strokes and outlines are narrower
CONTRAST = 20  # levels between a stroke and both of its sides, at least, in every key frame
CLEAR = 26  # the same, of the strokes that are evidence
GAP = 0.022  # of the width: letters of a line are closer
LOW, TALL = 0.012, 0.30  # of the height: blocks are between them
WIDE = 0.95  # of the width
FEWEST = 40  # pixels of strokes in a block
DENSE, SPARSE = 0.75, 0.08  # share of a block that is strokes
UPRIGHT = 0.18  # least share of a block's slopes across, and along
STILL = 0.12  # pixels by which a block may seem to move
GONE = 0.5  # a stroke is there as long as it keeps this part of its contrast
THERE = 0.7  # of its strokes are there while a block is shown
LIVELY = 6.0  # levels that the surroundings vary by, from which what hides them is seen
HIDES = 0.5  # what varies by this part of that is hidden
BOXED = 0.65  # the same, of a box, which may be half transparent
GRID = (9, 16)  # cells of the frame, by which motion is judged
MOVED = 0.5  # a cell moves if at most this share of its strokes stays
MOVING = 0.75  # of the cells with strokes move under a moving camera
FEWEST_CELLS = 6  # with strokes, for any judgement
CELL_STROKES = 0.01  # of a cell's pixels are strokes, at least
ARRIVED = 12  # levels by which text changes what it covers, at least
NOISY = 12.0  # levels by which a still shot changes from key frame to key frame, at most
LIKE = 1.3  # times the later change of its surroundings, at most, is that when text appears
SHARP = 32  # levels a pixel: slope of the edges of strokes, at least; a quarter of them may have less
PRINTED = 60  # levels: contrast of most strokes, at least
FAINT, SHINING = (
    26,
    3.0,
)  # levels: that of a half transparent logo, and how much what is beneath it changes it
LETTERS = 5  # least parts of a block that appears in a still shot


Box = tuple[int, int, int, int]  # left, top, right, bottom


def lookahead(fps: Fraction | float) -> int:
    """Return how many frames after one must be seen before its text is known; at most 45."""
    return KEYS * key_step(fps)


def key_step(fps: Fraction | float) -> int:
    """Return the frames from one key frame to the next."""
    return min(LONGEST_STEP, max(1, round(float(fps) / KEY_RATE)))


def reduced(luma: np.ndarray) -> np.ndarray:
    """Return luma ``[H, W]``, uint8 or float32, at the size that is searched."""
    import cv2

    size = reduced_size(*luma.shape)
    return luma if size == luma.shape else cv2.resize(luma, size[::-1], interpolation=cv2.INTER_AREA)


def reduced_size(height: int, width: int) -> tuple[int, int]:
    """Return the height and width that are searched in frames of this size."""
    scale = min(1.0, SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


class Lumas:
    """The lumas that are searched, uint8 ``[h, w]``, of the frames of a chunk ``[T, H, W, C]`` in 0..1.

    Those of a GPU arrive while it works on what is queued next.
    """

    def __init__(self, chunk: Tensor):
        self._frames = chunk[..., : 3 if chunk.shape[-1] >= 3 else 1]
        self._arriving = None if chunk.device.type == "cpu" else Download(_reduced_there(self._frames))

    def __iter__(self) -> Iterator[np.ndarray]:
        if self._arriving is not None:
            yield from self._arriving.wait().numpy()
        else:
            yield from map(_reduced_here, self._frames)  # one at a time, so that chunks cannot matter


def frame_luma(frame: Tensor) -> np.ndarray:
    """Return the luma that is searched, uint8 ``[h, w]``, of a frame ``[H, W, C]`` in 0..1 on any device."""
    return next(iter(Lumas(frame[None])))


def _reduced_here(frame: Tensor) -> np.ndarray:
    import cv2

    image = frame.float().contiguous().numpy()
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.shape[-1] == 3 else image[..., 0]
    small = np.nan_to_num(reduced(luma), posinf=1, neginf=0)  # rounded when it is small, which is faster
    return (small * 255 + 0.5).clip(0, 255).astype(np.uint8)


def _reduced_there(frames: Tensor) -> Tensor:
    luma = frames[..., 0].float()
    if frames.shape[-1] == 3:
        red, green, blue = frames.float().unbind(-1)
        luma = red * LUMA[0] + green * LUMA[1] + blue * LUMA[2]
    size = reduced_size(*luma.shape[1:])
    if size != luma.shape[1:]:
        luma = F.adaptive_avg_pool2d(luma[:, None], size)[:, 0]
    return (luma.nan_to_num(0, posinf=1, neginf=0) * 255 + 0.5).clamp(0, 255).to(torch.uint8)


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


class TextFinder:
    """Text of one shot, frame by frame, from its luma; knows a frame's ``lookahead`` frames later."""

    def __init__(self, fps: Fraction | float):
        self._step = key_step(fps)
        self._lumas: dict[int, np.ndarray] = {}
        self._keys: deque[_Key] = deque(maxlen=KEYS)
        self._before: _Key | None = None  # the key frame before those
        self._blocks: list[Block] = []
        self._count, self._given, self._number = 0, 0, 0

    def add(self, luma: np.ndarray) -> None:
        """Take the next frame, uint8 ``[h, w]``, ``reduced``."""
        self._lumas[self._count] = luma
        if self._count % self._step == 0:
            if len(self._keys) == KEYS:
                self._before = self._keys[0]
            self._keys.append(_Key(self._count, luma, *hats(luma)))
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
                if share >= GONE:
                    inside[spread(np.maximum(block.mask, own).astype(np.uint8), 4) > 0] = 0
                    if block.last < keys[-1].place and self._there(block, keys[-1].place):
                        self._refine(block, keys)
        found = blocks(fresh)
        moving = Surroundings(keys, kept, [box for box, _ in found])
        for box, part in found:
            if moving.under(box) and self._stays(box, part, keys):
                self._begin(box, part, keys)
                fresh[_window(box)] = 0
        if self._before is not None:
            before = np.maximum(self._before.bright, self._before.dark)
            for box, part in blocks(np.where(before < GONE * fresh, fresh, 0)):
                if self._appears(box, part, keys):
                    self._begin(box, part, keys, self._before.luma)

    def _frames(self, keys: list[_Key]) -> range:
        return range(keys[0].place, keys[-1].place + 1)

    def _stays(self, box: Box, part: np.ndarray, keys: list[_Key]) -> bool:
        """Return whether a block looks laid over a picture that moves under it."""
        lumas = [self._lumas[place][_window(box)] for place in self._frames(keys)]
        return still(lumas, part) and (printed(lumas, part) or transparent(lumas, part))

    def _appears(self, box: Box, part: np.ndarray, keys: list[_Key]) -> bool:
        """Return whether a block appears suddenly, while nothing else changes."""
        import cv2

        window, before, first = _window(box), self._before, keys[0]
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

    def _begin(self, box: Box, part: np.ndarray, keys: list[_Key], without: np.ndarray | None = None) -> None:
        """Keep a block; ``without`` is the luma of a frame that differs from these by the block alone."""
        margin = 3 * thickness(keys[0].luma)
        window = grown_window(_window(box), margin, keys[0].luma.shape)
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
        )
        first = keys[0].place
        while first > max(self._given, keys[0].place - 2 * self._step) and self._there(block, first - 1):
            first -= 1
        block.first = first
        before = first - 1
        block.sudden = before < 0 or (before in self._lumas and not self._there(block, before))
        self._blocks.append(block)

    def _refine(self, block: Block, keys: list[_Key]) -> None:
        """Add what the latest frames show of a block, so that less of what moves under it remains."""
        if block.fixed:
            block.last = keys[-1].place
            return
        fresh = range(max(block.last + 1, keys[0].place), keys[-1].place + 1)
        block.past.add([self._lumas[place][block.window] for place in fresh])
        block.last = keys[-1].place
        block.mask = cover(block.past.mean, block.past.spread, block.strokes, thickness(keys[0].luma))


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


@dataclass(frozen=True, eq=False)
class _Key:
    place: int
    luma: np.ndarray
    bright: np.ndarray  # by how much a pixel is brighter than both sides of a narrow stroke
    dark: np.ndarray


def thickness(luma: np.ndarray) -> int:
    """Return the side of the square that finds strokes, in pixels, odd."""
    return max(3, round(THICK * luma.shape[0]) | 1)


def hats(luma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return by how much each pixel is brighter, and darker, than both sides of a stroke through it."""
    import cv2

    side = thickness(luma)
    element = np.ones((side, side), np.uint8)
    return (
        cv2.morphologyEx(luma, cv2.MORPH_TOPHAT, element),
        cv2.morphologyEx(luma, cv2.MORPH_BLACKHAT, element),
    )


def persistent(keys: list[_Key]) -> np.ndarray:
    """Return the least contrast ``[h, w]`` of strokes that stay through all key frames, else 0."""
    kept = np.maximum(least(keys, "bright"), least(keys, "dark"))
    return np.where(kept >= CONTRAST, kept, 0).astype(np.uint8)


def least(keys: list[_Key], hat: str) -> np.ndarray:
    """Return the least contrast ``[h, w]`` of ``bright`` or ``dark`` strokes over key frames, else 0."""
    total = getattr(keys[0], hat)
    for key in keys[1:]:
        total = np.minimum(total, getattr(key, hat))
    return np.where(total >= CONTRAST, total, 0)


def _window(box: Box) -> tuple[slice, slice]:
    return slice(box[1], box[3]), slice(box[0], box[2])


def spread(mask: np.ndarray, by: int) -> np.ndarray:
    import cv2

    return cv2.dilate(mask, np.ones((2 * by + 1, 2 * by + 1), np.uint8))


def blocks(kept: np.ndarray) -> list[tuple[Box, np.ndarray]]:
    """Return the boxes (left, top, right, bottom) of strokes that are set like text, and their contrast."""
    import cv2

    height, width = kept.shape
    set_ = (kept > 0).astype(np.uint8)
    gap = max(3, round(GAP * width) | 1)
    joined = cv2.morphologyEx(set_, cv2.MORPH_CLOSE, np.ones((gap, gap), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    found = []
    for index in range(1, count):
        left, top, wide, tall, _ = stats[index]
        if not (LOW * height <= tall <= TALL * height and wide <= WIDE * width and wide >= LOW * height):
            continue
        if left == 0 or top == 0 or left + wide == width or top + tall == height:
            continue
        window = slice(top, top + tall), slice(left, left + wide)
        part = np.where(labels[window] == index, kept[window], 0).astype(np.uint8)
        inked = np.count_nonzero(part)
        if inked < FEWEST or not SPARSE <= inked / (wide * tall) <= DENSE:
            continue
        found.append(((int(left), int(top), int(left + wide), int(top + tall)), part))
    return found


def letters(part: np.ndarray) -> int:
    """Return the number of separate parts of strokes."""
    import cv2

    return cv2.connectedComponents((part > 0).astype(np.uint8), connectivity=8)[0] - 1


def share_there(luma: np.ndarray, window: tuple[slice, slice], strokes: np.ndarray) -> float:
    """Return the share of strokes, given by their contrast, that a frame shows."""
    margin = round(THICK * luma.shape[0]) + 1
    wide = grown_window(window, margin, luma.shape)
    import cv2

    side = thickness(luma)
    element = np.ones((side, side), np.uint8)
    crop = np.ascontiguousarray(luma[wide])
    contrast = np.maximum(
        cv2.morphologyEx(crop, cv2.MORPH_TOPHAT, element), cv2.morphologyEx(crop, cv2.MORPH_BLACKHAT, element)
    )
    top, left = window[0].start - wide[0].start, window[1].start - wide[1].start
    here = contrast[top : top + strokes.shape[0], left : left + strokes.shape[1]]
    own = strokes > 0
    return float(np.mean(here[own] >= GONE * strokes[own])) if own.any() else 0.0


def grown_window(window: tuple[slice, slice], by: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    rows, columns = (
        slice(max(0, side.start - by), min(size, side.stop + by)) for side, size in zip(window, shape)
    )
    return rows, columns


def over_time(lumas: list[np.ndarray]) -> np.ndarray:
    """Return the mean of images ``[h, w]``, float32."""
    return np.asarray(np.mean(lumas, 0, dtype=np.float32))


def still(lumas: list[np.ndarray], part: np.ndarray) -> bool:
    """Return whether strokes keep their place, and run in both directions.

    The motion of each frame against the mean of all is that of Lucas and Kanade, over all pixels of strokes.
    """
    import cv2

    mean = over_time(lumas)
    own = spread((part > 0).astype(np.uint8), 1) > 0
    across = cv2.Sobel(mean, cv2.CV_32F, 1, 0, scale=1 / 8)[own]
    along = cv2.Sobel(mean, cv2.CV_32F, 0, 1, scale=1 / 8)[own]
    slopes = np.array([[across @ across, across @ along], [across @ along, along @ along]], np.float64)
    total = slopes[0, 0] + slopes[1, 1]
    if min(slopes[0, 0], slopes[1, 1]) < UPRIGHT * total or np.linalg.det(slopes) < 0.1 * (total / 2) ** 2:
        return False
    inverse = np.linalg.inv(slopes)
    for luma in lumas:
        change = luma.astype(np.float32)[own] - mean[own]
        move = inverse @ np.array([across @ change, along @ change], np.float64)
        if math.hypot(*move) > STILL:
            return False
    return True


def printed(lumas: list[np.ndarray], part: np.ndarray) -> bool:
    """Return whether most strokes stand out, and have sharp edges."""
    import cv2

    mean, own = over_time(lumas), part > 0
    around = spread(own.astype(np.uint8), 1) > 0
    slopes = np.hypot(*(cv2.Sobel(mean, cv2.CV_32F, x, 1 - x, scale=1 / 8) for x in (0, 1)))
    return bool(np.median(part[own]) >= PRINTED and np.percentile(slopes[around], 75) >= SHARP)


def transparent(lumas: list[np.ndarray], part: np.ndarray) -> bool:
    """Return whether strokes stay although their levels follow what moves beneath them."""
    own = part >= np.median(part[part > 0])
    changes = np.std([luma[own] for luma in lumas], 0)
    return bool(np.median(part[part > 0]) >= FAINT and np.median(changes) >= SHINING)


class Surroundings:
    """Whether the picture moves: the share of each cell's strokes that stays, without those of blocks."""

    def __init__(self, keys: list[_Key], kept: np.ndarray, boxes: list[Box]):
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


def cover(mean: np.ndarray, spreads: np.ndarray, strokes: np.ndarray, side: int) -> np.ndarray:
    """Return what the text covers, uint8 0 or 1 ``[h, w]``: strokes, outlines, and a box behind them.

    ``mean`` over time shows the text sharp and what moves under it blurred; ``spreads`` over time are small
    where the text hides it. ``side`` is that of the largest stroke.
    """
    import cv2

    seeds = strokes > 0
    element = np.ones((side, side), np.uint8)
    hat = {way: cv2.morphologyEx(mean, way, element) for way in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT)}
    bright, dark = hat.values()
    own = [seeds & (bright >= dark), seeds & (bright < dark)]
    far = spread(seeds.astype(np.uint8), 3 * side // 2) == 0
    beneath = float(np.median(spreads[far])) if np.count_nonzero(far) >= FEWEST else 0.0
    moves = beneath >= LIVELY
    if moves and all(np.count_nonzero(part) >= FEWEST for part in own):
        main = int(np.median(spreads[own[0]]) > np.median(spreads[own[1]]))
    else:
        main = int(bright[own[0]].sum() < dark[own[1]].sum())
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
    count, labels = cv2.connectedComponents(changed, connectivity=8)
    own = np.zeros(count, bool)
    own[np.unique(labels[strokes > 0])] = True
    own[0] = False
    return own[labels].astype(np.uint8)


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
