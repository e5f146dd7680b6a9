"""The table of a shot switch: a verdict for each shot, written and read as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from io import StringIO
from typing import NamedTuple

from ...core.options import shown
from ...core.shot_rows import FIRST, Row, shots_of

VERDICTS = ("noisy", "clean")  # in the order of the inputs
COLUMNS = (FIRST, "verdict", "noise", "blockiness")


class Judged(NamedTuple):
    """A shot from frame ``start`` of the source on, its verdict, and what was measured, if it was."""

    start: int
    verdict: str
    noise: float = 0.0
    blockiness: float = 0.0


def written(shots: Iterable[Judged]) -> str:
    """Return the table as CSV; what was measured is there to be read, and has no effect."""
    text = StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(COLUMNS)
    rows.writerows(
        (shot.start, shot.verdict, f"{shot.noise:.1f}", f"{shot.blockiness:.2f}") for shot in shots
    )
    return text.getvalue()


def parsed(text: str) -> tuple[Judged, ...]:
    """Return the shots of a table, as ``shots_of`` reads it, without what was measured."""
    return shots_of(text, _shot)


def _shot(row: Row) -> Judged:
    verdict = row.cells[1].lower() if len(row.cells) > 1 else ""
    if verdict not in VERDICTS or (start := row.start) is None:
        raise ValueError(
            f"Line {row.number} of the plan is {shown(','.join(row.cells))}. Write the first frame of a "
            "shot, and noisy or clean, such as 48,noisy."
        )
    return Judged(start, verdict)
