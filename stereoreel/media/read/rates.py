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
BIN, MOST_BINS = 0.00025, 16  # seconds; how many steps are tried as the usual one
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

    The rate is constant if every frame is on the grid of one rate up to the clock's rounding. A rate that
    varies is that of most frames, or else the mean. ``declared`` are the rates that the container states.
    """
    declared = [rate for rate in declared if SLOWEST <= rate <= 1000]
    if len(pts) < 2:
        return (snap(declared[0]) if declared else UNKNOWN), False
    mean = (len(pts) - 1) / ((pts[-1] - pts[0]) * tick)
    times = (np.asarray(pts, np.int64) - pts[0]) * float(tick)
    rates = [*map(snap, declared), *declared, snap(mean), mean.limit_denominator(1001) or mean]
    if tick > ROUNDING:  # rounding to a coarse clock looks like any rate that is close to the true one
        rates = [rate for rate in rates if rate in STANDARD or (1 / rate) % tick == 0]
    for rate in rates:
        exact = tick > ROUNDING and (1 / rate) % tick == 0  # nothing is rounded
        rounding = ROUNDING if exact else 1.001 * max(float(tick), ROUNDING)
        if np.abs(times - np.arange(len(pts)) / float(rate)).max() <= rounding:
            return rate, False
    rate = _rate_of_most(pts, tick, declared) or snap(mean)
    return rate.limit_denominator(LARGEST_DENOMINATOR), True


def _rate_of_most(pts: Sequence[int], tick: Fraction, declared: Sequence[Fraction]) -> Fraction | None:
    """Return the rate at which more than half of the frames follow each other, None if there is none."""
    ticks = np.asarray([later - earlier for earlier, later in pairwise(pts)], np.float64)
    steps = ticks * float(tick)
    values, counts = np.unique(np.round(steps / BIN), return_counts=True)
    alike = max(
        (_alike(steps, value * BIN, tick) for value in values[np.argsort(-counts)[:MOST_BINS]]),
        key=np.count_nonzero,
    )
    count = int(np.count_nonzero(alike))
    if 2 * count <= len(steps):
        return None
    period = Fraction(int(ticks[alike].sum()), count) * tick
    # the rounding of times cancels out within a run of such frames
    runs = int(np.count_nonzero(np.diff(alike.astype(np.int8), prepend=0) == 1))
    rounding = max(SNAP * period, runs * max(tick, Fraction(ROUNDING)) / count if tick < period else 0)
    known = [*map(snap, declared), *declared, min(STANDARD, key=lambda rate: abs(1 / rate - period))]
    return next((rate for rate in known if abs(1 / rate - period) <= rounding), 1 / period)


def _alike(steps: np.ndarray, period: float, tick: Fraction) -> np.ndarray:
    """Return which steps are one period, up to the clock's rounding."""
    return np.abs(steps - period) <= 1.001 * min(max(float(tick), ROUNDING), period / 3)
