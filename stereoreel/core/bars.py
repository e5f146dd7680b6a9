"""Bars around the picture of a clip, and where the picture is in frames of any size."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .clip import ClipInfo


class Bars(NamedTuple):
    """Bars in pixels, from the frame ``start`` on."""

    start: int
    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    @property
    def margins(self) -> tuple[int, int, int, int]:
        return self[1:]


class Picture(NamedTuple):
    """The rectangle of a frame within its bars, in pixels."""

    top: int
    left: int
    height: int
    width: int


def joined(bars: Iterable[Bars]) -> tuple[Bars, ...]:
    """Return bars in order without those that change nothing; none if there are no bars at all."""
    found: list[Bars] = []
    for one in sorted(bars, key=lambda one: one.start):
        if found and found[-1].start == one.start:
            found.pop()
        if not found or found[-1].margins != one.margins:
            found.append(one)
    return tuple(found) if any(any(one.margins) for one in found) else ()


def of_shots(starts: Sequence[int], margins: Iterable[Sequence[int]]) -> tuple[Bars, ...]:
    """Return the bars of shots that begin at these frames; the first is 0."""
    return joined(Bars(start, *map(int, one)) for start, one in zip(starts, margins))


def between(bars: Sequence[Bars], start: int, stop: int) -> tuple[Bars, ...]:
    """Return the bars of the frames ``[start, stop)``, counted from the first of them."""
    before = [one for one in bars if one.start <= start][-1:]
    after = [one for one in bars if start < one.start < stop]
    return joined(
        [
            *(one._replace(start=0) for one in before),
            *(one._replace(start=one.start - start) for one in after),
        ]
    )


def every_nth(bars: Iterable[Bars], every: int) -> tuple[Bars, ...]:
    return joined(one._replace(start=-(-one.start // every)) for one in bars)


def cropped(bars: Iterable[Bars], sides: Sequence[int]) -> tuple[Bars, ...]:
    """Return what is left of bars when rows and columns are cut off at the top, bottom, left and right."""
    return joined(
        Bars(one.start, *(max(0, bar - side) for bar, side in zip(one.margins, sides))) for one in bars
    )


def resized(bars: Iterable[Bars], old: tuple[int, int], new: tuple[int, int]) -> tuple[Bars, ...]:
    """Return the bars of frames whose width and height were changed; rows of both belong to the bars."""
    across, down = (Fraction(one, other) for one, other in zip(new, old))
    return joined(
        Bars(
            one.start,
            *(math.ceil(edge * down) for edge in (one.top, one.bottom)),
            *(math.ceil(edge * across) for edge in (one.left, one.right)),
        )
        for one in bars
    )


def shot_picture(info: ClipInfo, start: int, stop: int) -> Picture:
    """Return the picture of a shot; all that is picture in any of its frames."""
    inside = [one.margins for one in between(info.bars, start, stop)] or [(0, 0, 0, 0)]
    top, bottom, left, right = (min(edges) for edges in zip(*inside))
    height, width = info.height - top - bottom, info.width - left - right
    if min(height, width) < 1:
        return Picture(0, 0, info.height, info.width)
    return Picture(top, left, height, width)


def scaled(picture: Picture, old: tuple[int, int], new: tuple[int, int]) -> Picture:
    """Return the picture in a frame of another width and height, at the size that a stage gives it."""
    (width, height), (wide, tall) = old, new
    rows, columns = (
        max(1, _nearest(size, end, full))
        for size, end, full in ((picture.height, tall, height), (picture.width, wide, width))
    )
    top = min(_nearest(picture.top, tall, height), tall - rows)
    left = min(_nearest(picture.left, wide, width), wide - columns)
    return Picture(top, left, rows, columns)


def _nearest(size: int, new: int, old: int) -> int:
    return max(0, math.floor(Fraction(size * new, old) + Fraction(1, 2)))
