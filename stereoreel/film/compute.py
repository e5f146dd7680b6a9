"""Compute the missing units of a film, in this process or by workers on other machines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ..core.host import Host
from ..core.system_errors import DISK_FULL
from ..media.write.observer import Observer
from .job import Job, UnitRecord
from .progress import Progress
from .segment import Maker

MOST_FAILURES = 3  # units in a row that fail before the film is given up

# Errors of one unit after which the others can still be computed.
FAILURES = (ValueError, OSError, RuntimeError, TypeError, ArithmeticError, LookupError, AssertionError)

Crew = Callable[[Job, list[int]], Iterable[tuple[int, UnitRecord | Exception]]]


class Unfinished(RuntimeError):
    """Some units of a film failed; the others are kept."""


def in_process(maker: Maker, host: Host) -> Crew:
    """Return a crew that computes the units in this process, one after the other."""

    def work(job: Job, missing: list[int]) -> Iterator[tuple[int, UnitRecord | Exception]]:
        total, done = job.units[-1].stop, sum(result.unit.frames for result in job.records.values())

        def tick(part: int) -> None:
            host.tick(done + part, total)

        for number in missing:
            unit = job.units[number]
            try:
                result = maker.make(number, unit, job.place, tick)
            except FAILURES as error:
                if getattr(error, "errno", None) in DISK_FULL:
                    raise
                yield number, error
                continue
            done += unit.frames
            yield number, result

    return work


class Tally:
    """Takes the results of a film's units, and reports those that failed."""

    def __init__(self, job: Job, observer: Observer):
        self._job, self._observer = job, observer
        self._failed: dict[int, Exception] = {}
        self._progress, self._in_a_row = Progress(job), 0

    def take(self, number: int, result: UnitRecord | Exception) -> bool:
        """Record a unit; return False if too many have failed in a row for the film to be continued."""
        if not isinstance(result, Exception):
            self._job.finished(number, result)
            self._progress.unit(result)
            self._observer.unit_done(self._progress.figures)
            self._in_a_row = 0
            return True
        self._failed[number], unit = result, self._job.units[number]
        self._in_a_row, self._progress.failed = self._in_a_row + 1, len(self._failed)
        self._job.report(f"Unit {number} (frames {unit.start} to {unit.stop - 1}) failed: {result}")
        return self._in_a_row < MOST_FAILURES

    def check(self) -> None:
        """Raise Unfinished if a unit failed."""
        if not self._failed:
            return
        first, reason = next(iter(self._failed.items()))
        raise Unfinished(
            f"{len(self._job.missing())} of {len(self._job.units)} units are missing, first unit {first}: "
            f"{reason} Completed units are kept. Run it again to resume."
        ) from reason


def compute_missing(job: Job, crew: Crew, observer: Observer) -> None:
    """Have every missing unit computed; report one that fails and continue. Raise Unfinished at the end."""
    tally = Tally(job, observer)
    for number, result in crew(job, job.missing()):
        if not tally.take(number, result):
            break
    tally.check()
