"""Choose frames of a file: a window in seconds, then the counts that video loaders of ComfyUI have."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

import av

from ...core.transforms import every_nth_cut, frame_at
from .file_facts import FileFacts
from .frames import Damage, entry_before, read_frames

JUMP = 32  # frames that are decoded in vain before opening the file again at a key frame is faster


@dataclass(frozen=True)
class Selection:
    """Every ``every``-th of the frames ``first`` to ``stop`` - 1 of a file, beginning with ``first``."""

    first: int
    stop: int
    every: int = 1

    @property
    def count(self) -> int:
        return -(-(self.stop - self.first) // self.every)

    def part(self, start: int, stop: int) -> Selection:
        """Return the frames ``[start, stop)`` of these."""
        first = self.first + start * self.every
        return Selection(first, max(first, min(self.stop, self.first + stop * self.every)), self.every)

    def cuts(self, found: Iterable[int]) -> tuple[int, ...]:
        """Return the cuts among the chosen frames, from those of the window."""
        places = sorted({every_nth_cut(cut, self.every) for cut in found})
        return tuple(place for place in places if 0 < place < self.count)


def select(
    facts: FileFacts,
    start: Fraction,
    duration: Fraction,
    *,
    skip: int = 0,
    every: int = 1,
    most: int = 0,
) -> Selection:
    """Return the frames from ``start`` on, for ``duration`` seconds (0: to the end).

    The first ``skip`` are left out. Of the others every ``every``-th is taken, at most ``most`` (0: all).
    Raise ValueError if none is left.
    """
    if start < 0 or duration < 0:
        raise ValueError("Start and duration are in seconds and cannot be negative. Set both to 0 or more.")
    first = frame_at(facts, start)
    if first >= facts.frames:
        length, begin = float(facts.duration), float(start)
        raise ValueError(
            f"{facts.path.name} is {length:.2f} s long, so no frame is left after {begin:.2f} s. "
            "Set an earlier start."
        )
    stop = max(first + 1, frame_at(facts, start + duration) if duration else facts.frames)
    check_skip(facts.path.name, skip, stop - first)
    first += skip
    return Selection(first, min(stop, first + most * every) if most else stop, every)


def check_skip(name: str, skip: int, frames: int) -> None:
    """Raise ValueError if skipping leaves none of the frames."""
    if skip >= frames:
        raise ValueError(
            f"{name} has {frames} frames here, so none is left after the first {skip}. "
            f"Set skip_first_frames to {frames - 1} or less."
        )


def read_selected(
    facts: FileFacts, wanted: Selection, damage: Damage
) -> Generator[av.VideoFrame, None, None]:
    """Yield the chosen frames, fewer only if the file ends early.

    The others are decoded too, unless a key frame follows far enough behind the previous chosen one.
    """
    for first, stop in _runs(facts, wanted):
        missing = -(-(stop - first) // wanted.every)
        with closing(read_frames(facts, first, stop, damage)) as frames:
            for frame in islice(frames, 0, None, wanted.every):
                missing -= 1
                yield frame
        if missing:
            return


def _runs(facts: FileFacts, wanted: Selection) -> list[tuple[int, int]]:
    """Return the spans to decode without a break, ``[first, stop)``; each begins with a chosen frame."""
    if wanted.every <= JUMP:
        return [(wanted.first, wanted.stop)]
    runs: list[tuple[int, int]] = []
    for frame in range(wanted.first, wanted.stop, wanted.every):
        near = entry_before(facts, frame)
        if runs and (near < 0 or facts.entries[near].frame - runs[-1][1] < JUMP):
            runs[-1] = runs[-1][0], frame + 1
        else:
            runs.append((frame, frame + 1))
    return runs
