"""Many films on one pool of workers: the next film is begun while the last units of another are computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..media.write.observer import Observer
from .compute import FAILURES, Tally
from .job import Job, UnitRecord
from .run import OpenFilm


class Pool(Protocol):
    """Workers that compute the units of the films that were added to them; see ``worker_pool.WorkerPool``."""

    @property
    def hungry(self) -> bool: ...

    def add(self, film: int, job: Job, missing: Sequence[int], plan: dict) -> None: ...

    def pending(self, film: int) -> bool: ...

    def drop(self, film: int) -> None: ...

    def next_result(self) -> tuple[int, int | None, UnitRecord | Exception]: ...


@dataclass(frozen=True)
class QueuedFilm:
    """An open film, the plan for its workers, and who hears of its units.

    Its files are joined within ``around()``, such as a context that collects its warnings.
    """

    work: OpenFilm
    plan: dict = field(default_factory=dict)
    observer: Observer = field(default_factory=Observer)
    around: Callable[[], AbstractContextManager] = nullcontext


class FilmQueue:
    """Makes films in their order, and begins the next ones as soon as workers would be idle.

    Each film in ``films`` is a function that returns the context of an open film. Used as a context, which
    closes the films that were begun.
    """

    def __init__(self, pool: Pool, films: Sequence[Callable[[], AbstractContextManager[QueuedFilm]]]):
        self._pool, self._films, self._begun = pool, films, 0
        self._open: dict[int, tuple[QueuedFilm, Tally, ExitStack]] = {}
        self._ended: dict[int, list[Path] | Exception] = {}

    def __enter__(self) -> FilmQueue:
        return self

    def __exit__(self, *error) -> None:
        for _, _, locks in self._open.values():
            locks.__exit__(*error)

    def make(self, film: int) -> list[Path]:
        """Return a film's files when it is complete; raise what ``film.film`` does."""
        while film not in self._ended:
            while self._begun < len(self._films) and (self._pool.hungry or self._begun <= film):
                self._begun += 1
                self._begin(self._begun - 1)
            if film not in self._ended:
                self._take(*self._pool.next_result())
        result = self._ended.pop(film)
        if isinstance(result, Exception):
            raise result
        return result

    def _begin(self, film: int) -> None:
        with ExitStack() as locks:
            try:
                queued = locks.enter_context(self._films[film]())
            except FAILURES as error:
                self._ended[film] = error
                return
            job = queued.work.job
            missing = [] if job is None or queued.work.complete else job.missing()
            if job is not None and missing:
                self._open[film] = queued, Tally(job, queued.observer), locks.pop_all()
                self._pool.add(film, job, missing, queued.plan)
            else:
                self._finish(film, queued)

    def _take(self, film: int, number: int | None, result: UnitRecord | Exception) -> None:
        queued, tally, locks = self._open[film]
        if number is not None and tally.take(number, result) and self._pool.pending(film):
            return
        self._pool.drop(film)
        del self._open[film]
        with locks:
            if number is None and isinstance(result, Exception):
                self._ended[film] = result
            else:
                self._finish(film, queued, tally)

    def _finish(self, film: int, queued: QueuedFilm, tally: Tally | None = None) -> None:
        try:
            if tally:
                tally.check()
            with queued.around():
                self._ended[film] = queued.work.finish()
        except FAILURES as error:
            self._ended[film] = error
