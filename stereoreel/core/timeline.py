"""Exact time: the output frames that a shot owns when the rate changes, and their source positions.

Everything is a ``Fraction``; a rate held in a float drifts by seconds within an hour. With r = fps_out /
fps_in a shot ``[a, b)`` owns the output frames ``floor(a*r + 1/2) .. floor(b*r + 1/2) - 1``, so that the
duration never changes and xM gives exactly N*M frames. If the source's rate varies, its true times replace
``a*r``.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from fractions import Fraction
from math import floor
from typing import NamedTuple

from .clip import ClipInfo, Shot
from .options import HUGE, shown

NTSC = tuple(Fraction(rate * 1000, 1001) for rate in (24, 30, 48, 60, 120, 240))
# a decimal this near to an NTSC rate, and nearer to it than to the whole number, means that rate
NEAR = Fraction(1, 1000)
HIGHEST = 1000  # frames a second


def parse_fps(rate: str | float | Fraction) -> Fraction:
    """Return ``"24000/1001"``, ``"25"`` or ``23.976`` (24000/1001) as an exact rate, or raise ValueError."""
    written = "" if isinstance(rate, int) and abs(rate) >= HUGE else str(rate).replace(" ", "")
    if not re.fullmatch(r"\d{1,9}(\.\d{1,20})?|\d{1,9}/0*[1-9]\d{0,8}", written):
        raise ValueError(f"A frame rate is a number such as 25, 23.976 or 24000/1001, not {shown(rate)}.")
    exact = Fraction(written)
    if not 0 < exact <= HIGHEST:
        raise ValueError(f"A frame rate must be above 0 and at most {HIGHEST}, not {written}.")
    return exact if "/" in written else _snapped(exact)


def _snapped(rate: Fraction) -> Fraction:
    nearest = min(NTSC, key=lambda standard: abs(standard - rate))
    error = abs(nearest - rate)
    return nearest if error < nearest * NEAR and error < abs(rate - round(rate)) else rate


def output_edge(frame: int, info: ClipInfo, fps_out: Fraction) -> int:
    """Return the first output frame of a shot that begins at source frame ``frame``.

    ``info.frames`` gives the number of output frames.
    """
    total = floor(info.duration * fps_out + Fraction(1, 2))
    if frame >= info.frames:
        return total
    return min(total, floor((info.time(frame) - info.time(0)) * fps_out + Fraction(1, 2)))


def output_range(start: int, stop: int, info: ClipInfo, fps_out: Fraction) -> range:
    """Return the output frames that the shot ``[start, stop)`` owns; may be empty if the rate is lowered."""
    return range(output_edge(start, info, fps_out), output_edge(stop, info, fps_out))


def output_count(info: ClipInfo, fps_out: Fraction) -> int:
    """Return how many frames the clip has at the new rate."""
    return output_edge(info.frames, info, fps_out)


def position(output: int, start: int, stop: int, info: ClipInfo, fps_out: Fraction) -> tuple[int, Fraction]:
    """Return the source frame of an output frame and the fraction of the way to the next, 0 <= t < 1.

    The position is clamped into the shot ``[start, stop)``.
    """
    if info.times is None:
        place = output / fps_out * info.fps
        left = floor(place)
        part = place - left
    else:
        when = info.times[0] + output / fps_out
        left = bisect_right(info.times, when, start, stop) - 1
        part = (
            (when - info.times[left]) / (info.times[left + 1] - info.times[left])
            if start <= left < stop - 1
            else Fraction(0)
        )
    if left < start:
        return start, Fraction(0)
    return (left, part) if left < stop - 1 else (stop - 1, Fraction(0))


class Gap(NamedTuple):
    """Two neighbouring frames and the times to render between them, 0 <= t < 1.

    ``right`` is None after a shot's last frame.
    """

    left: object
    right: object | None
    times: list[Fraction]


def gaps(shot: Shot, frames: Iterable, fps_out: Fraction) -> Iterator[Gap]:
    """Yield every output frame that a shot owns, in order, with the two source frames around it.

    If fps_out is less than half the source's rate, the shot that owns an output frame may be known only some
    frames later; the output frame then waits.
    """
    info, left, stop = shot.info, None, shot.start
    due = output_edge(shot.start, info, fps_out)
    waiting: list[tuple[int, Gap]] = []  # with the output frame that follows
    for stop, right in enumerate(frames, shot.start + 1):
        times: list[Fraction] = []
        while left is not None and due < output_count(info, fps_out):
            index, part = position(due, shot.start, stop, info, fps_out)
            if index == stop - 1:
                break
            times.append(part)
            due += 1
        if times:
            waiting.append((due, Gap(left, right, times)))
        left, owned = right, output_edge(stop, info, fps_out)
        while waiting and waiting[0][0] <= owned:
            yield waiting.pop(0)[1]
    yield from _last(waiting, left, due, output_edge(stop, info, fps_out))


def _last(waiting: list[tuple[int, Gap]], frame, due: int, stop: int) -> Iterator[Gap]:
    """Yield the rest of a shot's output when its end is known.

    These are its waiting gaps, and its last frame, repeated.
    """
    for after, gap in waiting:
        if times := gap.times[: max(0, stop - after + len(gap.times))]:
            yield gap._replace(times=times)
    if due < stop:
        yield Gap(frame, None, [Fraction(0)] * (stop - due))
