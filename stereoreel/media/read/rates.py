"""The frame rate that a list of timestamps means: one of the standard rates, another constant one, or a varying one."""

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
UNKNOWN = Fraction(25)  # a single picture has no rate
SNAP = Fraction(1, 1000)  # of the rate
ROUNDING = 0.001  # seconds: Matroska's clock, which its frames keep when they are copied into a finer one
LARGEST_DENOMINATOR = 90_000  # rates must fit FFmpeg's 32-bit fractions
# frames a second: MP4 shows none for much longer, no camera is faster
SLOWEST, FASTEST = Fraction(1, 7200), 100_000
# seconds, three centuries: a live stream may count from 1970; FFmpeg's microseconds end far beyond
FURTHEST = 10**10


def snap(rate: Fraction) -> Fraction:
    """The nearest standard rate if it lies within 0.1 %, else the rate itself."""
    nearest = min(STANDARD, key=lambda standard: abs(standard - rate))
    return nearest if abs(nearest - rate) <= SNAP * rate else rate


def believable(pts: Sequence[int], tick: Fraction) -> bool:
    """Whether frames can be meant to be shown at ``pts`` (rising, in ticks): near zero, and neither too far nor too near."""
    if not pts:
        return True
    longest = max((later - earlier for earlier, later in pairwise(pts)), default=0)
    if max(abs(pts[0]), abs(pts[-1])) * tick > FURTHEST or longest * tick * SLOWEST > 1:
        return False
    return len(pts) < 2 or len(pts) - 1 <= (pts[-1] - pts[0]) * tick * FASTEST


def read_rate(pts: Sequence[int], tick: Fraction, declared: Iterable[Fraction]) -> tuple[Fraction, bool]:
    """The rate of frames shown at ``pts`` (rising, in ticks), and whether it varies.

    It is constant when every frame lies on the grid of one rate up to the clock's rounding; ``declared`` are
    the container's claims.
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
