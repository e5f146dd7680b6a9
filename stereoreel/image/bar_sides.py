"""Read from the frames of one shot where its picture begins on each side, and how large a bar can be.

A bar is dark, and flat but for noise and text; the picture begins at one row across its whole width. Both are
judged by how far each row and column ever leaves the level of the outermost ones, so a dark frame proves
nothing, and a bar seen in one lit frame holds for the shot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

LINES = 64  # parts into which a row or a column is averaged: noise shrinks, a tilt and text stay visible
DARKEST_LIT = 8.0  # grey levels (of 255) that tell a picture from its bar at least
DARK = 48.0  # brightest level of a bar
RESTLESS = 8.0  # by which a bar may vary, as the mean of one part
SHORTEST = 8  # rows of a frame in which bars can be told
SMALLEST_PICTURE = 0.25  # share of a side
NEAR, RINGING = 8, 24  # rows next to the picture where compression rings: much, and still
RIPPLE = 0.15  # share of the step to the picture that the latter may be
COHERENT = 0.35  # share of the lines that begin at one row
EMPTY = 0.06  # share of a side's rows that are dark next to an object that is no picture
LIT = 0.25  # share of the lines that must show a picture
# share of a bar at its level, and of lines that are so throughout: text may cover the rest
FLAT, CLEAN = 0.7, 0.15
GAPS = 0.1  # share of the lines within a picture that may be as dark as its bar
SPECKS = 0.05  # share of a line that noise may light
RISING = 1.4  # times as bright, a few rows further in, as a picture is that only fades to black
TILTED = 0.25  # share of the lines that begin a row further in


class Profile(NamedTuple):
    """Grey levels 0..255 of a frame: the means of parts of its rows ``[H, n]`` and columns ``[W, n]``."""

    rows: np.ndarray
    columns: np.ndarray


def profile(gray: np.ndarray, black: float = 0.0, white: float = 255.0) -> Profile:
    """Return the profile of a grey frame ``[H, W]``, whose black and white have these values."""
    import cv2

    height, width = gray.shape
    rows = cv2.resize(gray, (parts(width), height), interpolation=cv2.INTER_AREA)
    columns = cv2.resize(gray, (width, parts(height)), interpolation=cv2.INTER_AREA).T
    gain = np.float32(255 / (white - black))
    return Profile(*((one.astype(np.float32) - np.float32(black)) * gain for one in (rows, columns)))


def reaches_edges(strips: Sequence[np.ndarray]) -> bool:
    """Whether a frame shows a picture at all four edges, so that its shot has no bars.

    ``strips`` are the grey levels of its outermost rows and columns, of any shape, 0..255.
    """
    return all(float(np.median(strip)) > DARK for strip in strips)


def parts(side: int) -> int:
    return min(LINES, max(1, side // 4))


class Free(NamedTuple):
    """The largest bar that a shot does not contradict, and the edges across which it shows something."""

    most: int
    crossed: frozenset[int] = frozenset()

    def allows(self, bar: int) -> bool:
        return bar <= self.most + 1 and bar not in self.crossed


class Side(NamedTuple):
    """What a shot says of one side: its bar (None: unseen), the lines that agree, the largest possible.

    ``empty``: nothing is shown near it, at any time.
    """

    bar: int | None
    support: float
    free: Free
    empty: bool = False


@dataclass
class Shot:
    """The extremes of a shot's profiles, from which its bars are read."""

    count: int = 0
    low: Profile | None = None
    high: Profile | None = None

    def add(self, seen: Profile) -> None:
        self.count += 1
        if self.low is None or self.high is None:
            self.low, self.high = (Profile(*(one.copy() for one in seen)) for _ in range(2))
            return
        for low, high, one in zip(self.low, self.high, seen):
            np.minimum(low, one, out=low)
            np.maximum(high, one, out=high)

    def sides(self) -> tuple[Side, Side, Side, Side] | None:
        """Return what is known of top, bottom, left and right; None of a shot without frames."""
        if self.low is None or self.high is None:
            return None
        (top, bottom), (left, right) = (_ends(low, high) for low, high in zip(self.low, self.high))
        return top, bottom, left, right


def _ends(low: np.ndarray, high: np.ndarray) -> tuple[Side, Side]:
    return _side(low, high), _side(low[::-1], high[::-1])


def _side(low: np.ndarray, high: np.ndarray) -> Side:
    """Return what the first rows are, of the extremes ``[length, lines]`` of a shot."""
    length = len(low)
    if length < SHORTEST:
        return Side(None, 0.0, Free(0))
    most = int(length * (1 - SMALLEST_PICTURE))
    outer = slice(0, 2)
    level = float(np.median((low[outer] + high[outer]) / 2))
    away = np.maximum(high - level, level - low)  # from the bar's level, at any time
    restless = float(np.quantile(away[outer], 0.8))
    # coarse coding carries a share of the picture into a thin bar
    most_restless = max(RESTLESS, RIPPLE * float(np.median(away[length // 3 : -(length // 3)])))
    if level > DARK or restless > most_restless:
        return Side(None, 0.0, Free(0))
    still = min(max(2.5, 1.6 * restless + 1), most_restless + 1)
    lit = max(2 * still, DARKEST_LIT)
    free = _free(away, still, lit, most)
    seen = away.max(0) >= lit
    empty = not bool((away[: max(1, round(EMPTY * length))] >= lit).any())
    if seen.mean() < LIT or _gaps(seen) > GAPS:
        return Side(None, 0.0, free, empty)
    away = away[:, seen]
    begins = _beginnings(away, still, lit)
    begins[most + 1 :] = False
    votes = begins.mean(1)
    near = votes.copy()
    near[1:] += votes[:-1]
    near[:-1] += votes[1:]
    enough = max(COHERENT, near.max(initial=0.0) / 2)
    for row in np.flatnonzero(near >= enough)[::-1]:
        best = int(row) + int(np.argmax(votes[max(0, row - 1) : row + 2])) - min(1, row)
        if best >= 1 and _is_bar(away, best, still) and _is_sharp(away, begins, best):
            bar = _safe(begins, _refined(away, begins, best))
            return Side(bar, float(near[best]), free, empty)
    return Side(None, 0.0, free, empty)


def _beginnings(away: np.ndarray, still: float, lit: float) -> np.ndarray:
    """Return where each line rises from the level of the bar to a picture ``[length, lines]``.

    The first row of the picture is the one beyond half of that step.
    """
    padded = np.pad(away, ((4, 3), (0, 0)), "edge")
    length = len(away)

    def shifted(by: int) -> np.ndarray:
        return padded[4 + by : 4 + by + length]

    picture = (shifted(1) + shifted(2) + shifted(3)) / 3
    before = (shifted(-2) + shifted(-3) + shifted(-4)) / 3
    half = picture / 2
    found = (
        (picture >= lit)
        & (away >= half)
        & (shifted(-1) < half)
        & (before <= np.maximum(still, 0.3 * picture))
    )
    found[0] = False
    return found


def _is_bar(away: np.ndarray, bar: int, still: float) -> bool:
    """Whether the first rows are at one level, except for text and for ringing next to the picture."""
    limits = np.full((bar, 1), 1.5 * still, np.float32)
    step = float(np.median(away[bar + 1 : bar + 4])) if bar + 1 < len(away) else 0.0
    limits[max(bar // 3, bar - RINGING) :] = max(1.5 * still, RIPPLE * step)
    at_level = (away[:bar] <= limits)[: max(1, bar - min(NEAR, bar // 3))]
    # titles and windows at night have gaps, a picture has none
    shown = (away[bar : max(bar + NEAR, len(away) // 2)] > 1.5 * still).mean(1) > SPECKS
    return bool(at_level.mean() >= FLAT and at_level.all(0).mean() >= CLEAN and _gaps(shown) <= GAPS)


def _is_sharp(away: np.ndarray, begins: np.ndarray, bar: int) -> bool:
    """Whether the picture begins at its own level; that of a vignette or a spotlight rises row by row."""
    ours = begins[max(0, bar - 1) : bar + 2].any(0)
    first, further = away[bar + 1 : bar + 4, ours], away[bar + 5 : bar + 9, ours]
    if not further.size:
        return True
    return bool(np.median(further.mean(0) / np.maximum(first.mean(0), 1)) <= RISING)


def _gaps(lit: np.ndarray) -> float:
    """Return the share of False between the first and the last True."""
    places = np.flatnonzero(lit)
    return 1 - len(places) / (places[-1] - places[0] + 1) if len(places) else 1.0


def _refined(away: np.ndarray, begins: np.ndarray, bar: int) -> int:
    """Return the row at half of the step of all lines together, which coding moves less than that of one."""
    ours = begins[max(0, bar - 2) : bar + 3].any(0)
    course = np.median(away[:, ours], 1)
    outside, inside = course[max(0, bar - 12) : max(1, bar - 3)], course[bar + 2 : bar + 6]
    if not len(inside):
        return bar
    half = (np.median(outside) + np.median(inside)) / 2
    first = max(1, bar - 2)
    beyond = np.flatnonzero(course[first : bar + 3] >= half)
    return first + int(beyond[0]) if len(beyond) else bar


def _safe(begins: np.ndarray, bar: int) -> int:
    """Return the row from which a picture with a tilted edge is complete."""
    if bar + 1 >= len(begins):
        return bar
    here, further = np.flatnonzero(begins[bar]), np.flatnonzero(begins[bar + 1])
    if not len(here) or len(further) < TILTED * (len(here) + len(further)):
        return bar
    # a tilt divides the edge in two, noise does not
    apart = abs(further.mean() - here.mean()) > begins.shape[1] / 4
    return bar + 1 if apart else bar


def _free(away: np.ndarray, still: float, lit: float, most: int) -> Free:
    at_level = away[:most] <= 1.5 * still
    share = np.cumsum(at_level.mean(1)) / np.arange(1, len(at_level) + 1)
    clean = np.logical_and.accumulate(at_level, 0).mean(1)
    wrong = np.flatnonzero((share < FLAT) | (clean < CLEAN))
    largest = int(wrong[0]) if len(wrong) else most
    shown = away[: largest + 4] >= lit
    across = np.flatnonzero((shown[:-3] & shown[3:]).any(1)) + 2  # two rows before an edge, and two beyond
    return Free(largest, frozenset(across.tolist()))
