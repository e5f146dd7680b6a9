"""Derive a frame rate from timestamps: a standard rate, another constant one, or a varying one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np

STANDARD = tuple(
    sorted(
        {Fraction(n) for n in (10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 72, 90, 96, 100, 120, 144, 200, 240)}
        | {Fraction(n * 1000, 1001) for n in (12, 15, 24, 30, 48, 60, 72, 90, 120, 240)}
        | {Fraction(25, 2)}
    )
)
UNKNOWN = Fraction(25)  # a single frame has no rate
SNAP = Fraction(1, 1000)  # of the rate
ROUNDING = 0.001  # seconds: Matroska's clock, whose rounding stays when frames are copied into a finer one
LARGEST_DENOMINATOR = 90_000  # rates must fit FFmpeg's 32-bit fractions
# frames a second: MP4 shows no frame for much longer, and no camera is faster
SLOWEST, FASTEST = Fraction(1, 7200), 100_000
# seconds, three centuries: live streams may count from 1970; FFmpeg's microseconds end far beyond
FURTHEST = 10**10


def snap(rate: Fraction) -> Fraction:
    """Return the nearest standard rate if it is within 0.1 %, otherwise the rate itself."""
    nearest = min(STANDARD, key=lambda standard: abs(standard - rate))
    return nearest if abs(nearest - rate) <= SNAP * rate else rate


def plausible(pts: Sequence[int], tick: Fraction) -> bool:
    """Whether frames may be shown at ``pts`` (increasing, in ticks): near zero, with plausible distances."""
    if not pts:
        return True
    longest = max((later - earlier for earlier, later in pairwise(pts)), default=0)
    if max(abs(pts[0]), abs(pts[-1])) * tick > FURTHEST or longest * tick * SLOWEST > 1:
        return False
    return len(pts) < 2 or len(pts) - 1 <= (pts[-1] - pts[0]) * tick * FASTEST


def read_rate(pts: Sequence[int], tick: Fraction, declared: Iterable[Fraction]) -> tuple[Fraction, bool]:
    """Return the rate of frames shown at ``pts`` (increasing, in ticks), and whether it varies.

    The rate is constant if every frame is on the grid of one rate up to the clock's rounding. ``declared``
    are the rates that the container states.
    """
    declared = [rate for rate in declared if SLOWEST <= rate <= 1000]
    if len(pts) < 2:
        return (snap(declared[0]) if declared else UNKNOWN), False
    mean = (len(pts) - 1) / ((pts[-1] - pts[0]) * tick)
    times = (np.asarray(pts, np.int64) - pts[0]) * float(tick)
    for rate in (*map(snap, declared), *declared, snap(mean), mean.limit_denominator(1001) or mean):
        if np.abs(times - np.arange(len(pts)) / float(rate)).max() <= 1.001 * max(float(tick), ROUNDING):
            return rate, False
    return snap(mean.limit_denominator(LARGEST_DENOMINATOR)), True
