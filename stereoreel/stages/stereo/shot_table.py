"""The plan of a clip's strength by shot: a small table, written and read as CSV.

A shot's parallax at depth d is ``strength * (d - convergence)`` percent of the width. At its first and last
frames a shot may have other values, from which and to which it eases, so that the eyes have less far to go
at the cut.
"""

from __future__ import annotations

import csv
import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import NamedTuple

import torch
from torch import Tensor

from ...core.clip import Shot
from ...core.options import shown
from ...core.shot_rows import FIRST, Row, shots_of

# percent of the width: more than the option divergence allows, because limits apply and flat shots need it
STRONGEST = 40.0
# a convergence outside 0..1 puts all of the scene on one side of the screen
PLANES = (-5.0, 6.0)
SECONDS = 1.0  # in which a shot eases, at most half of it
COLUMNS = (FIRST, "strength", "convergence")
ENDS = ("first_strength", "first_convergence", "last_strength", "last_convergence")


class Setting(NamedTuple):
    """Strength in percent of the width, and the depth at the screen."""

    strength: float
    convergence: float


class PlannedShot(NamedTuple):
    """A shot from frame ``start`` on; ``first`` and ``last`` are the settings of its end frames."""

    start: int
    body: Setting
    first: Setting
    last: Setting


def written(shots: Iterable[PlannedShot]) -> str:
    """Return the table as CSV; ends that equal the rest of their shot are left empty, or out if all do."""
    text, shots = StringIO(), tuple(shots)
    rows = csv.writer(text, lineterminator="\n")
    eased = any(end != shot.body for shot in shots for end in (shot.first, shot.last))
    rows.writerow((*COLUMNS, *ENDS) if eased else COLUMNS)
    for shot in shots:
        ends = [("", "") if end == shot.body else _numbers(end) for end in (shot.first, shot.last)]
        rows.writerow((shot.start, *_numbers(shot.body), *(ends[0] + ends[1] if eased else ())))
    return text.getvalue()


def _numbers(setting: Setting) -> tuple[str, str]:
    return f"{setting.strength:.2f}", f"{setting.convergence:.3f}"


def parsed(text: str) -> tuple[PlannedShot, ...]:
    """Return the shots of a table, as ``shots_of`` reads it, none of an empty one."""
    return shots_of(text, _shot)


def _shot(row: Row) -> PlannedShot:
    number, cells = row
    filled = cells + [""] * (len(COLUMNS) + len(ENDS) - len(cells))
    if len(cells) < len(COLUMNS) or len(filled) > len(COLUMNS) + len(ENDS) or (start := row.start) is None:
        raise ValueError(
            f"Line {number} of the plan is {shown(','.join(cells))}. Write the first frame of a shot, its "
            "strength and its convergence, such as 48,2.5,0.4."
        )
    body = Setting(_within(number, cells[1], 0, STRONGEST), _within(number, cells[2], *PLANES))
    first, last = (
        Setting(
            _within(number, strength or cells[1], 0, STRONGEST),
            _within(number, convergence or cells[2], *PLANES),
        )
        for strength, convergence in (filled[3:5], filled[5:7])
    )
    return PlannedShot(start, body, first, last)


def _within(number: int, cell: str, low: float, high: float) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise ValueError(
            f"Line {number} of the plan has {shown(cell)}. Write a number between {low:g} and {high:g} there."
        )
    return value


class Course:
    """The settings of one shot's frames, in order, from the plan of its clip."""

    def __init__(self, shots: Sequence[PlannedShot], shot: Shot):
        number = bisect_right(shots, shot.start, key=lambda one: one.start) - 1
        self.shot, self.place = shots[number], shot.start
        self.stop = shots[number + 1].start if number + 1 < len(shots) else shot.info.frames
        self.reach = min(SECONDS * float(shot.info.fps), (self.stop - self.shot.start) / 2)

    def strongest(self, limits: tuple[float, float] | None = None) -> float:
        """Return the largest strength of its frames that has an effect within limits, fractions of the width.

        That is the range of their parallax, from the farthest to the nearest point, in percent of the width.
        """
        most = max(setting.strength for setting in self.shot[1:])
        return min(most, 100 * sum(limits)) if limits else most

    def take(self, count: int) -> Tensor:
        """Return strength and offset ``[count, 2]`` of the next frames, in percent of the width.

        The parallax at depth d is ``strength * d - offset``.
        """
        frame = torch.arange(self.place, self.place + count, dtype=torch.float64)
        self.place += count
        body, first, last = (
            torch.tensor([one.strength, one.strength * one.convergence], dtype=torch.float64)
            for one in self.shot[1:]
        )
        begins, ends = (
            _eased(away / self.reach)[:, None] for away in (frame - self.shot.start, self.stop - 1 - frame)
        )
        return (body + (first - body) * begins + (last - body) * ends).float()


def _eased(away: Tensor) -> Tensor:
    """Return how much of an end's setting applies: 1 at the end, 0 from 1 on, smoothly between."""
    away = away.clamp(0, 1)
    return 1 - away * away * (3 - 2 * away)
