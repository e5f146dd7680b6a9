"""Workers of a Ray cluster that compute the units of several films from one queue.

If a worker dies, another one computes its unit; one that does not fit a film is not asked for it again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from ..core.files import save_text
from ..core.system_errors import DISK_FULL
from .collect import receive
from .job import Job, UnitRecord
from .store import Store
from .worker import Rejected, Worker

Task = tuple[int, int]  # a film and its unit
Result = tuple[int, int | None, UnitRecord | Exception]

LAST_UPLOAD = 10  # seconds until a worker that was ended has stopped writing into the store
MOST_DEATHS = 3  # workers that may die at one unit before the unit counts as failed
WAITING = 1  # units queued at each worker, so that it is never idle


class _FilmUnits:
    """The units of one film that are not there yet: ``waiting`` for a worker, or ``left`` to arrive."""

    def __init__(self, ray, job: Job, missing: Sequence[int], plan: dict):
        self.job = job
        whole = {**plan, "identity": job.identity, "place": str(job.place.resolve())}
        self.store, self.plan = plan["store"], ray.put(whole)
        # the longest first, so that none is late at the end
        self.waiting = deque(sorted(missing, key=lambda number: -job.units[number].frames))
        self.left = set(missing)
        self.deaths: dict[int, int] = {}
        self.refused: dict = {}  # workers that cannot compute this film, and why


class WorkerPool:
    """Actors that compute the units of several films, whose numbers the caller chooses.

    A film's units are begun when all of the films before it have been.
    """

    def __init__(self, ray, actor, worker: type[Worker], size: int):
        self._ray, self._class, self._worker, self._size = ray, actor, worker, size
        self._films: dict[int, _FilmUnits] = {}
        self._stores: set[str] = set()
        self._idle: deque = deque()  # a worker appears once per unit that it can accept
        # pending results: the worker, and the film and the unit's number, None while the worker starts
        self._at: dict = {}
        self._results: deque[Result] = deque()
        self._faults: set[str] = set()
        for _ in range(size):
            self._hire()

    @property
    def hungry(self) -> bool:
        """Whether fewer units wait than there are workers, so that another film should be added."""
        return sum(len(film.waiting) for film in self._films.values()) < self._size

    def add(self, film: int, job: Job, missing: Sequence[int], plan: dict) -> None:
        """Queue the missing units of a film."""
        save_text(job.folder / "token", plan["token"], replace=True)
        self._films[film] = _FilmUnits(self._ray, job, missing, plan)
        self._stores |= {plan["store"]} - {""}

    def pending(self, film: int) -> bool:
        """Whether units of a film have yet to be returned by ``next_result``."""
        return bool(film in self._films and self._films[film].left) or any(
            one == film for one, _, _ in self._results
        )

    def drop(self, film: int) -> None:
        """Forget a film; what its units have left in the store is deleted."""
        if (units := self._films.pop(film, None)) and units.store:
            Store(units.store).forget()
        self._results = deque(result for result in self._results if result[0] != film)

    def next_result(self) -> Result:
        """Wait for the next unit; return its film, its number, and its record or why it failed.

        Without a number the film is given up, because every worker refuses it. Raise RuntimeError if no
        worker is left.
        """
        while not self._results:
            self._give()
            self._give_up()
            if self._results:
                break
            if not self._at:
                raise RuntimeError(
                    f"No worker is left: {' '.join(sorted(self._faults)) or 'all of them died'}"
                )
            [ready], _ = self._ray.wait(list(self._at), num_returns=1)
            worker, task = self._at.pop(ready)
            self._results.extend(self._result(ready, worker, task))
        return self._results.popleft()

    def _result(self, ready, worker, task: Task | None) -> Iterator[Result]:
        """Yield the units that one finished task produced."""
        film = self._films.get(task[0]) if task else None
        try:
            result = self._ray.get(ready)
        except self._ray.exceptions.RayActorError as error:
            yield from self._dead(worker, task, error)
            return
        except self._ray.exceptions.RayTaskError as error:
            self._idle.append(worker)
            if task and film and task[1] in film.left and not self._copies(task):
                cause = error.cause if isinstance(error.cause, Exception) else RuntimeError(str(error))
                if isinstance(cause, Rejected):
                    self._refuse(film, worker, task[1], str(cause))
                else:
                    film.left.discard(task[1])
                    yield *task, cause
            return
        self._idle.extend([worker] * (1 if task else 1 + WAITING))
        if task and film and task[1] in film.left:
            film.left.discard(task[1])
            facts, files, place = result
            try:
                yield *task, receive(facts, files, place, film.job.place)
            except OSError as fault:
                if fault.errno in DISK_FULL:
                    raise
                yield *task, fault

    def _refuse(self, film: _FilmUnits, worker, number: int, why: str) -> None:
        film.waiting.appendleft(number)
        if worker not in film.refused:
            film.refused[worker] = why
            film.job.report(why)

    def _give_up(self) -> None:
        """End the films that every worker refuses."""
        there = {*self._idle, *(worker for worker, _ in self._at.values())}
        for key, film in self._films.items():
            if there and film.left and there <= set(film.refused):
                film.left.clear()
                film.waiting.clear()
                why = " ".join(sorted(set(film.refused.values())))
                self._results.append((key, None, RuntimeError(f"No worker is left: {why}")))

    def _give(self) -> None:
        """Assign a unit to every worker that can accept one.

        When no unit is left, idle workers compute a running one again, and the first result is used.
        """
        for worker in list(self._idle):
            if (task := self._task_for(worker)) is None:
                continue
            self._idle.remove(worker)
            film = self._films[task[0]]
            ready = worker.make.remote(film.plan, task[1], list(film.job.units[task[1]]))
            self._at[ready] = worker, task

    def _task_for(self, worker) -> Task | None:
        for key, film in self._films.items():
            if film.waiting and worker not in film.refused:
                return key, film.waiting.popleft()
        running = [(other, task) for other, task in self._at.values() if task and task[0] in self._films]
        if worker in [other for other, _ in self._at.values()]:
            return None
        late = (
            task
            for _, task in running
            if task[1] in self._films[task[0]].left
            and self._copies(task) == 1
            and worker not in self._films[task[0]].refused
        )
        return next(late, None)

    def _copies(self, task: Task) -> int:
        return sum(other == task for _, other in self._at.values())

    def close(self) -> None:
        """End the workers and delete what they have left in the store."""
        for worker in {worker for worker, _ in self._at.values()} | set(self._idle):
            self._ray.kill(worker)
        if self._stores and self._at:  # a worker may be uploading
            self._ray.wait(list(self._at), num_returns=len(self._at), timeout=LAST_UPLOAD)
        for store in self._stores:
            Store(store).forget()

    def _hire(self) -> None:
        worker = self._class.remote(self._worker)
        self._at[worker.ready.remote()] = worker, None

    def _dead(self, worker, task: Task | None, error: Exception) -> Iterator[Result]:
        """Reassign a dead worker's unit, and replace the worker unless it could not start."""
        first = worker in self._idle or any(other == worker for other, _ in self._at.values())
        self._idle = deque(other for other in self._idle if other != worker)
        if task is None:
            self._faults.add(_reason(error))
            for units in self._films.values():
                units.job.report(_reason(error))
            return
        film, number = self._films.get(task[0]), task[1]
        if first:
            if film:
                film.job.report(f"A worker was lost at unit {number}. Another one computes it.")
            self._hire()
        if film is None:
            return
        film.deaths[number] = film.deaths.get(number, 0) + 1
        if number not in film.left or self._copies(task):
            return
        if film.deaths[number] >= MOST_DEATHS * (1 + WAITING):
            film.left.discard(number)
            yield *task, RuntimeError("every worker that computed it died.")
        else:
            film.waiting.appendleft(number)


def _reason(error: Exception) -> str:
    """Return the message in Ray's report of an actor that could not start."""
    lines = [line for line in str(error).splitlines() if "ValueError: " in line or "Error: " in line]
    return lines[-1].split("Error: ", 1)[-1] if lines else str(error).splitlines()[0]
