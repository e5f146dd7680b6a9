"""Tables of a clip's shots as CSV: a line for each, which begins with the shot's first frame."""

from __future__ import annotations

import csv
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeVar

from .clip import ClipInfo
from .options import shown

FIRST = "shot"  # the title of the first column
DIGITS = 15  # of a frame number

T = TypeVar("T")


class Row(NamedTuple):
    """The cells of a line, whose ``number`` in the text errors name."""

    number: int
    cells: list[str]

    @property
    def start(self) -> int | None:
        """The first frame of the row's shot; None if the first cell is no frame number."""
        first = self.cells[0]
        return int(first) if first.isdecimal() and len(first) <= DIGITS else None


def shots_of(text: str, shot: Callable[[Row], T]) -> tuple[T, ...]:
    """Return what ``shot`` makes of each line of a table; a header and empty lines are skipped.

    Lines begin with frame 0 and are in order. Raise ValueError, with the line, for anything that is no such
    table; so does ``shot``, of a line without a frame number too.
    """
    rows = _rows(text)
    shots = tuple(shot(row) for row in rows)
    _check_order(rows)
    return shots


def _rows(text: str) -> list[Row]:
    """Return the lines of a table with their cells.

    Semicolons or tabs may separate the cells, with decimal commas, as spreadsheets of many countries write.
    """
    separator = next((one for one in ";\t" if one in text), ",")
    lines = enumerate(text.strip("\ufeff").splitlines(), 1)
    rows = [Row(number, _cells(number, line, separator)) for number, line in lines]
    rows = [row for row in rows if any(row.cells)]
    if rows and rows[0].cells[0].lower() == FIRST:
        return rows[1:]
    return rows if rows or not text.strip() else [Row(1, [text.strip()])]


def _cells(number: int, line: str, separator: str) -> list[str]:
    try:
        [row] = csv.reader([line], delimiter=separator) if line else [[]]
    except csv.Error:
        raise ValueError(f"Line {number} of the plan is not CSV: {shown(line)}. Correct it.") from None
    return [cell.strip().replace(",", ".") for cell in row]


def _check_order(rows: Sequence[Row]) -> None:
    starts = [row.start or 0 for row in rows]
    if starts and starts[0]:
        raise ValueError(
            f"The plan begins with frame {starts[0]}. Let its first line be the shot at frame 0."
        )
    for row, (before, after) in zip(rows[1:], pairwise(starts)):
        if after <= before:
            raise ValueError(
                f"Line {row.number} of the plan has frame {after} after frame {before}. Put its "
                "shots in order, each once."
            )


def check_starts(wanted: Sequence[int], info: ClipInfo) -> None:
    """Raise ValueError unless a shot of the clip begins at each of these frames."""
    starts = [0, *info.cuts]
    known = set(starts)
    for start in wanted:
        if start not in known:
            near = starts[max(0, bisect_left(starts, start) - 1)]
            raise ValueError(
                f"The plan has a shot at frame {start}, but no shot begins there; one begins at frame "
                f"{near}. Correct the plan, or leave it empty."
            )
