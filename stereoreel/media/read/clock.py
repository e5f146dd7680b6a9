"""Presentation times of the frames of a file, and the frames that a preview contains."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

from ...core.clip import ClipInfo
from ..layouts.layout import TURNS
from ..write.options import EncodeOptions, preset
from ..write.presets import Limits

COARSE = 1000  # ticks a second for a clip with a frame that is shown for half an hour
# frames an encoder may buffer; MP4 has 32 bits for the delay between a packet and its frame's presentation
KEPT_BACK = 16
FURTHEST_TICK = 1 << 31
FINE = 90_000  # ticks a second for a varying rate without a common unit near this


class Clock:
    """Presentation times: ``tick(frame)`` units of ``unit`` seconds, exact for every rational rate.

    Some containers count a fixed number of ``ticks`` a second. Times are then rounded to the nearest tick,
    and errors do not accumulate.
    """

    def __init__(self, info: ClipInfo, ticks: int | None = None):
        self.rate = info.fps.limit_denominator(100_000)
        self.unit = Fraction(1, ticks) if ticks else 1 / self.rate
        self._ticks: list[int] | None = None
        if info.times:
            unit = math.lcm(*{Fraction(time).denominator for time in info.times})
            unit = unit if unit <= 10 * FINE else FINE
            longest = max(later - earlier for earlier, later in pairwise((*info.times, info.times[-1])))
            if unit * longest * KEPT_BACK >= FURTHEST_TICK:
                unit = COARSE
            self.unit = Fraction(1, ticks or unit)
            shown, step = [0], max(1, round(Fraction(1, 1000) / self.unit))
            # Two frames with the same time are put a millisecond apart, because containers need increasing
            # times and Matroska has no smaller unit.
            for time in info.times[1:]:
                shown.append(max(round((time - info.times[0]) / self.unit), shown[-1] + step))
            self._ticks = shown

    def tick(self, frame: int) -> int:
        if self._ticks is None:
            return round(frame / self.rate / self.unit)
        beyond = max(0, frame - len(self._ticks) + 1)
        return self._ticks[frame - beyond] + max(beyond, round(beyond / self.rate / self.unit))

    def seconds(self, tick: int) -> Fraction:
        return tick * self.unit


class Taken:
    """The frames that a file contains.

    ``next`` returns a frame's number and the number at which it ends, or None if the frame is left out.
    ``turn`` frames last about an eighth of a second, the time for which the layout wiggle shows one eye.
    """

    def __init__(self, info: ClipInfo, limits: Limits | None):
        self._seen, self._stop = 0, length(info, limits) if limits else None
        self._every = max(1, math.ceil(info.fps / limits.fps)) if limits else 1
        self.turn = max(1, round(info.fps / self._every / TURNS))

    def __next__(self) -> tuple[int, int] | None:
        index = self._seen
        self._seen += 1
        if (self._stop is not None and index >= self._stop) or index % self._every:
            return None
        end = index + self._every
        return index, end if self._stop is None else min(end, self._stop)


def length(info: ClipInfo, limits: Limits | None) -> int:
    """Return how many frames of a clip are within the limits of a preset."""
    if not limits or info.duration <= limits.seconds:
        return info.frames
    return max(1, sum(info.time(frame) - info.time(0) < limits.seconds for frame in range(info.frames)))


def frames_of(info: ClipInfo, settings: EncodeOptions) -> int:
    """Return how many frames of a clip are computed for a file with these settings."""
    return length(info, preset(settings).limits)
