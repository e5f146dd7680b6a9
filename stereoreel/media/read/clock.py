"""When each frame of a file is shown, and which frames a preview takes."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

from ...core.clip import ClipInfo
from ..layouts.layout import TURNS
from ..write.options import EncodeOptions, preset
from ..write.presets import Limits

COARSE = 1000  # ticks a second for one with a picture that stands for half an hour
# frames an encoder may hold; MP4 has 32 bits for how much later than its packet a frame is shown
KEPT_BACK = 16
FURTHEST_TICK = 1 << 31
FINE = 90_000  # ticks a second for a varying rate whose own clock has no common unit near this


class Clock:
    """When each frame is shown: ``tick(frame)`` units of ``unit`` seconds, exact for every rational rate.

    ``ticks`` a second are all that some containers count; a time is then the nearest of them, and no error
    adds up.
    """

    def __init__(self, info: ClipInfo, ticks: int | None = None):
        self.rate = info.fps.limit_denominator(100_000)
        self.unit, self._ticks = Fraction(1, ticks) if ticks else 1 / self.rate, None
        if info.times:
            unit = math.lcm(*{Fraction(time).denominator for time in info.times})
            unit = unit if unit <= 10 * FINE else FINE
            longest = max(later - earlier for earlier, later in pairwise((*info.times, info.times[-1])))
            if unit * longest * KEPT_BACK >= FURTHEST_TICK:
                unit = COARSE
            self.unit = Fraction(1, ticks or unit)
            self._ticks, step = [], max(1, round(Fraction(1, 1000) / self.unit))
            # Two frames of one moment are put a millisecond apart: containers want steps, and Matroska has no
            # smaller ones.
            for time in info.times:
                tick = round((time - info.times[0]) / self.unit)
                self._ticks.append(max(tick, self._ticks[-1] + step) if self._ticks else tick)

    def tick(self, frame: int) -> int:
        if self._ticks is None:
            return round(frame / self.rate / self.unit)
        beyond = max(0, frame - len(self._ticks) + 1)
        return self._ticks[frame - beyond] + max(beyond, round(beyond / self.rate / self.unit))

    def seconds(self, tick: int) -> Fraction:
        return tick * self.unit


class Taken:
    """The frames that a file takes: ``next`` gives each one's number and the number at which it ends, or None for one that is left out.

    ``turn`` of them make about an eighth of a second, for which the layout wiggle shows an eye.
    """

    def __init__(self, info: ClipInfo, limits: Limits | None):
        self._seen, self._stop = 0, length(info, limits) if limits else math.inf
        self._every = max(1, math.ceil(info.fps / limits.fps)) if limits else 1
        self.turn = max(1, round(info.fps / self._every / TURNS))

    def __next__(self) -> tuple[int, int] | None:
        index = self._seen
        self._seen += 1
        if index >= self._stop or index % self._every:
            return None
        return index, min(index + self._every, self._stop)


def length(info: ClipInfo, limits: Limits | None) -> int:
    """How many frames of a clip lie within the limits of a preset."""
    if not limits or info.duration <= limits.seconds:
        return info.frames
    return max(1, sum(info.time(frame) - info.time(0) < limits.seconds for frame in range(info.frames)))


def frames_of(info: ClipInfo, settings: EncodeOptions) -> int:
    """How many frames of a clip are computed for a file with these settings."""
    return length(info, preset(settings).limits)
