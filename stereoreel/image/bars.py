"""Find the black bars around a picture, exact to a row, from the frames of a film shot by shot.

``bar_sides`` says what each shot shows on its four sides. Shots that are too dark to tell take the bars of
most other shots, unless their own frames contradict.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .bar_sides import COHERENT, SMALLEST_PICTURE, Free, Profile, Shot, Side

ALONE = 0.9  # share of the lines that begin at one row, of a bar without an opposite one
CERTAIN = 2  # frames that must show a picture at all edges
LOPSIDED = 0.25  # difference of opposite bars, as a share of the larger, that one shot proves
DOUBLING = tuple(1 << power for power in range(32))  # later frames add little
EARLY = 2, 4  # frames after which a picture at all edges ends the search for bars
OFTEN = 3  # shots that prove bars of very different size


class Margins(NamedTuple):
    """Bars of a picture, in pixels."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0


NO_BARS = Margins()


class Axis(NamedTuple):
    """The two bars of an axis that a shot proves, and how large they may be at most.

    ``guess`` holds bars that need the support of other shots, or of none that say otherwise.
    """

    bars: tuple[int, int] | None
    free: tuple[Free, Free]
    guess: tuple[int, int] | None = None
    odd: tuple[int, int] | None = None


def _axis(first: Side, last: Side, length: int) -> Axis:
    free = first.free, last.free
    one, other = first.bar, last.bar
    if one is not None and other is not None:
        if one + other > (1 - SMALLEST_PICTURE) * length:
            return Axis(None, free)
        apart = abs(one - other)
        if apart <= 2 + 0.02 * length or (
            apart <= LOPSIDED * max(one, other) and min(first.support, last.support) >= 2 * COHERENT
        ):
            return Axis((one, other), free)
        return Axis(None, free, odd=(one, other))
    for bar, side, opposite in ((one, first, last), (other, last, first)):
        if bar is None:
            continue
        if opposite.free.allows(bar):
            sure = side.support >= ALONE and 2 * bar <= (1 - SMALLEST_PICTURE) * length
            return Axis(None, free, guess=(bar, bar) if sure else None)
        if side.support >= ALONE:
            return Axis(None, free, odd=(bar, 0) if side is first else (0, bar))
    # a picture that reaches an edge has no bar there
    return Axis((0, 0) if max(first.free.most, last.free.most) < 2 else None, free)


def _alone(axis: Axis, other: Axis, sides: Sequence[Side]) -> bool:
    """Whether bars are the dark around an object, which is at the ``sides`` of the other axis, too."""
    return bool(axis.bars and any(axis.bars)) and other.bars is None and all(side.empty for side in sides)


def scaled_picture(margins: Margins, size: tuple[int, int], small: tuple[int, int]) -> tuple[slice, slice]:
    """Return the rows and columns of a picture in a frame of ``size`` that is reduced to ``small``."""
    (width, height), (narrow, low) = size, small
    top, bottom = (-(-edge * low // height) for edge in margins[:2])
    left, right = (-(-edge * narrow // width) for edge in margins[2:])
    return slice(top, low - bottom), slice(left, narrow - right)


@dataclass
class BarFinder:
    """Take profiles shot by shot; ``margins`` are then those of every shot.

    ``now`` are the bars of the current shot as far as it is known, or else of the shot before.
    """

    size: tuple[int, int]  # width and height
    looks: tuple[int, ...] = DOUBLING  # frames of a shot after which what they show is judged
    now: Margins = NO_BARS
    _shot: Shot = field(default_factory=Shot)
    _shots: list[tuple[int, tuple[Axis, Axis] | None]] = field(default_factory=list)
    _known: tuple[Axis, Axis] | None = None  # of the current shot
    _seen: int = 0  # frames of which that was known
    _full: int = 0  # frames that need no search

    def add(self, seen: Profile) -> None:
        """Take a frame of the current shot."""
        self._shot.add(seen)
        if self._shot.count in self.looks:
            self._known, self._seen = self._look(self._shot), self._shot.count

    def add_full(self, frames: int) -> None:
        """Take frames of a shot whose picture reaches all edges, without searching them."""
        self._full, self.now = frames, NO_BARS

    @property
    def none_proven(self) -> bool:
        """Whether the current shot has shown picture at all edges, so that later frames change nothing."""
        return (
            self._shot.count >= CERTAIN
            and self._known is not None
            and all(axis.bars == (0, 0) for axis in self._known)
        )

    def cut(self) -> None:
        """End the shot."""
        known = self._known if self._known and self._shot.count == self._seen else self._look(self._shot)
        if self._full:
            known = (Axis((0, 0), (Free(0), Free(0))),) * 2
        self._shots.append((self._shot.count + self._full, known))
        self._shot, self._known, self._full = Shot(), None, 0

    def margins(self) -> list[Margins]:
        """End the last shot, and return the bars of all."""
        self.cut()
        return settle([axes for _, axes in self._shots], [count for count, _ in self._shots])

    def _look(self, shot: Shot) -> tuple[Axis, Axis] | None:
        sides = shot.sides()
        if sides is None:
            return None
        width, height = self.size
        down, across = _axis(*sides[:2], height), _axis(*sides[2:], width)
        if _alone(down, across, sides[2:]):
            down = Axis(None, down.free)
        elif _alone(across, down, sides[:2]):
            across = Axis(None, across.free)
        if down.bars is not None and across.bars is not None:
            self.now = Margins(*down.bars, *across.bars)
        return down, across


def settle(shots: Sequence[tuple[Axis, Axis] | None], weights: Sequence[int]) -> list[Margins]:
    """Return the bars of shots; those that do not tell take the most frequent ones that they allow."""
    usual = [_usual([axes and axes[place] for axes in shots], weights) for place in (0, 1)]
    found = []
    for axes in shots:
        down, across = (_settled(axes and axes[place], common) for place, common in zip((0, 1), usual))
        found.append(Margins(*down, *across))
    return found


def _usual(axes: Sequence[Axis | None], weights: Sequence[int]) -> tuple[int, int]:
    proven: Counter[tuple[int, int]] = Counter()
    for axis, weight in zip(axes, weights):
        if axis and axis.bars is not None:
            proven[axis.bars] += weight
    odd = Counter(axis.odd for axis in axes if axis and axis.odd)
    for bars, times in odd.items():
        if times >= OFTEN:
            proven[bars] += sum(weight for axis, weight in zip(axes, weights) if axis and axis.odd == bars)
    return max(proven, key=lambda bars: (proven[bars], bars)) if proven else (0, 0)


def _settled(axis: Axis | None, usual: tuple[int, int]) -> tuple[int, int]:
    if axis is None:
        return usual
    if axis.bars is not None:
        near = all(abs(one - other) <= 1 for one, other in zip(axis.bars, usual))
        return usual if near and min(axis.bars) else axis.bars
    if any(usual) and all(free.allows(bar) for bar, free in zip(usual, axis.free)):
        return usual
    return usual if axis.odd == usual else axis.guess or (0, 0)
