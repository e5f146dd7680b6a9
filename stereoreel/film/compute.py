"""Compute the missing units of a film, in this process or by workers on other machines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ..core.files import DISK_FULL
from ..core.host import Host
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


def compute_missing(job: Job, crew: Crew, observer: Observer) -> None:
    """Have every missing unit computed; report one that fails and continue. Raise Unfinished at the end."""
    failed: dict[int, Exception] = {}
    progress, in_a_row = Progress(job), 0
    for number, result in crew(job, job.missing()):
        if not isinstance(result, Exception):
            job.finished(number, result)
            progress.unit(result)
            observer.unit_done(progress.figures)
            in_a_row = 0
            continue
        failed[number], unit = result, job.units[number]
        in_a_row, progress.failed = in_a_row + 1, len(failed)
        job.report(f"Unit {number} (frames {unit.start} to {unit.stop - 1}) failed: {result}")
        if in_a_row == MOST_FAILURES:
            break
    if failed:
        first, reason = next(iter(failed.items()))
        raise Unfinished(
            f"{len(job.missing())} of {len(job.units)} units are missing, first unit {first}: {reason} "
            "Completed units are kept. Run it again to resume."
        ) from reason
