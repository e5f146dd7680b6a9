"""Decide for each shot whether it is noisy, from excerpts of the source."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.clip import Clip, ClipInfo
from ...core.excerpt import evenly_spaced
from ...core.host import Host, Polling
from ...core.shot_rows import check_starts
from .table import VERDICTS, Judged, parsed, written

if TYPE_CHECKING:
    from . import SwitchOptions

EVERY = 6.0  # seconds of a shot for which there is an excerpt
MOST = 5  # excerpts of a shot
FRAMES = 4  # of an excerpt
NAMED = 6  # shots in a sentence


class Verdicts:
    """The verdicts on the shots of ``source``, measured once, or those of the options' plan."""

    def __init__(self, source: Clip, options: SwitchOptions):
        self.source, self.options, self.found = source, options, ""
        self._branches: list[int] = []  # the input for each shot of the source; empty while not known

    def recall(self, text: str) -> None:
        """Take verdicts that were found before, unless they are corrupt or not of these shots."""
        with suppress(ValueError):
            self._branches = self._inputs(text)
            self.found = text if self._branches else ""

    def find(self, host: Host) -> str:
        """Measure the shots, if that has not been done; return a sentence about them, or nothing.

        Raise ValueError if the plan does not suit the source's shots.
        """
        if self._branches:
            return ""
        if self.options.plan.strip():
            self._branches = self._inputs(self.options.plan)
            return ""
        shots = list(self._judged(host))
        self.found = written(shots)
        self._branches = self._inputs(self.found)
        return described(shots)

    def branch(self, number: int) -> int | None:
        return self._branches[number] if self._branches else None

    def _inputs(self, text: str) -> list[int]:
        """Return the input for each shot of the source by a table; none by an empty one."""
        shots = parsed(text)
        starts = [shot.start for shot in shots]
        check_starts(starts, self.source.info)
        chosen = [VERDICTS.index(shot.verdict) for shot in shots]
        begins = (0, *self.source.info.cuts)
        return [chosen[bisect_right(starts, begin) - 1] for begin in begins] if shots else []

    def files(self, host: Host) -> list[Path]:
        from ...media.write.request import files_read

        return files_read([self.source], host)

    def _judged(self, host: Host) -> Iterator[Judged]:
        """Measure every shot that has frames."""
        from ..advisor.blocks import Blocks
        from ..advisor.noise import Noise
        from ..advisor.windows import windows

        info, limits = self.source.info, self.options
        shots = [(start, stop) for start, stop in info.shots if start < stop]
        spans = [excerpts(info, *shot) for shot in shots]
        with closing(windows(self.source, Polling(host), [span for shot in spans for span in shot])) as found:
            for (start, _), places in zip(shots, spans):
                noise, blocks = Noise(), Blocks()
                for _, window in zip(places, found):
                    noise.add(window)
                    blocks.add(window)
                blockiness = blocks.findings(info)["blockiness"].value
                dirty = noise.sigma >= limits.noise or blockiness >= limits.compression
                yield Judged(start, VERDICTS[not dirty], noise.sigma, blockiness)


def excerpts(info: ClipInfo, start: int, stop: int) -> list[tuple[int, int]]:
    """Return the spans of a shot that are measured: all of a very short one."""
    count = min(MOST, 1 + int((stop - start) / (EVERY * float(info.fps))))
    length = min(FRAMES, (stop - start) // count)
    return [
        (first, first + length)
        for place in evenly_spaced(stop - start, count)
        for first in [start + max(0, min(place - length // 2, stop - start - length))]
    ]


def described(shots: Sequence[Judged]) -> str:
    """Return the verdicts in a sentence."""
    noisy = [str(shot.start) for shot in shots if shot.verdict == VERDICTS[0]]
    many = f"{len(shots)} shots" if len(shots) > 1 else "one shot"
    if len(noisy) in (0, len(shots)):
        return f"{many}, {'noisy' if noisy else 'clean'}"
    named = ", ".join(noisy[:NAMED]) + ", …" * (len(noisy) > NAMED)
    count, frames = ("one", "frame") if len(noisy) == 1 else (len(noisy), "frames")
    return f"{many}, {count} of them noisy, at {frames} {named}"
