"""Compute a film on several machines with Ray: each unit is a task of an actor that keeps the models.

The head decides everything: models, weights, units. Workers receive a plan of plain values, compare it with
their own state, and are rejected if it differs. Ray sends the code to them. They read frames from their own
path to the source; units come back as files, through an object store, or in the job's folder if it is shared.
If a worker dies, another one computes its unit.
"""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..core.clip import Clip
from ..core.files import save_text
from ..media.write.options import EncodeOptions
from ..models.headless import Headless, models_folders
from ..workflow.graph import Graph
from . import cuts
from .collect import receive
from .identity import environment
from .job import Job, UnitRecord
from .store import Store
from .worker import Worker, code
from .worker_bundle import packed, pinned

MOST_DEATHS = 3  # workers that may die at one unit before the unit counts as failed
WAITING = 1  # units queued at each worker, so that it is never idle
# Ray's variable for clusters beyond this machine
LOOPBACK, ONLY_HERE = "127.0.0.1", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


class Cluster:
    """A Ray connection. ``address``: ``local`` (only this machine), ``auto``, or a cluster head's address."""

    def __init__(
        self,
        address: str,
        workers: int = 0,
        gpus: float = -1,
        mixed: bool = False,
        store: str = "",
        worker: type = Worker,
    ):
        self.address, self.workers, self.gpus, self.mixed, self._worker = (
            address,
            workers,
            gpus,
            mixed,
            worker,
        )
        self._store = store.rstrip("/")
        if store and "://" not in store:
            raise ValueError(
                f"--store {store} is not a URL. Use one such as s3://bucket/films or file:///mnt/films."
            )
        if store:
            Store(store)  # raises now if it cannot be opened

    def __enter__(self) -> Cluster:
        self._folder = tempfile.TemporaryDirectory(prefix="stereoreel-code-")
        sent = packed(Path(self._folder.name))
        self.code = code(sent / "stereoreel", sent / "models_config")
        own: dict[str, str | bool] = {"address": self.address}
        if self.address == "local":
            # except on Windows and macOS, Ray would listen on every interface
            os.environ.setdefault(ONLY_HERE, "0")
            own = {"include_dashboard": False, "_node_ip_address": LOOPBACK}
        self._ray = _ray()
        # set for workers too, as `cli.passive_waiting` does
        waiting = os.environ.get("OMP_WAIT_POLICY", "PASSIVE")
        needs = {"working_dir": str(sent), "env_vars": {"OMP_WAIT_POLICY": waiting}}
        self._ray.init(**own, runtime_env=needs, log_to_driver=False, logging_level="ERROR")
        return self

    def __exit__(self, *error) -> None:
        self._ray.shutdown()
        self._folder.cleanup()

    def crew(self, graph: Graph, source: Path, device: str | None):
        """Return the ``crew`` of ``FilmSettings`` for a workflow over a source."""

        def begin(clips: Sequence[Clip], settings: EncodeOptions, kept: Path):
            host = Headless(device)
            token = secrets.token_hex(8)
            plan = {
                "workflow": pinned(graph, clips, host), "input": str(Path(source).resolve()),
                "device": device,
                "cuts": cuts.found(clips),
                "environment": {**environment(host), "code": self.code}, "mixed": self.mixed, "token": token,
                "models": os.pathsep.join(map(str, models_folders())),
                "store": self._store and f"{self._store}/{token}",
                "kept": str(Path(kept).resolve()),
            }  # fmt: skip
            return lambda job, missing: self._work(job, missing, plan)

        return begin

    def _work(self, job: Job, missing: list[int], plan: dict) -> Iterator[tuple[int, UnitRecord | Exception]]:
        if not missing:
            return
        save_text(job.folder / "token", plan["token"], replace=True)
        actor = self._ray.remote(**self._needs())(self._worker)
        crew = _WorkerPool(
            self._ray,
            job,
            actor,
            {**plan, "identity": job.identity, "place": str(job.place.resolve())},
            self._actors(len(missing)),
        )
        try:
            yield from crew.work(missing)
        finally:
            crew.close()
            if plan["store"]:
                Store(plan["store"]).forget()

    def _actors(self, units: int) -> int:
        there = self._ray.cluster_resources()
        wanted = (
            self.workers
            or int(there.get("GPU", 0) / (self._needs()["num_gpus"] or 1))
            or len(self._ray.nodes())
        )
        return max(1, min(wanted, units))

    def _needs(self) -> dict:
        gpus = self.gpus if self.gpus >= 0 else min(1, self._ray.cluster_resources().get("GPU", 0))
        return {"num_gpus": gpus, "num_cpus": 1}


class _WorkerPool:
    """The actors that compute a job's units."""

    def __init__(self, ray, job: Job, actor, plan: dict, size: int):
        self._ray, self._job, self._class, self._plan = ray, job, actor, ray.put(plan)
        self._idle: deque = deque()  # a worker appears once per unit that it can accept
        # pending results: the worker and the unit's number, None while the worker starts
        self._at: dict = {}
        self._deaths: dict[int, int] = {}
        self._refused: set[str] = set()
        for _ in range(size):
            self._hire()

    def work(self, missing: Sequence[int]) -> Iterator[tuple[int, UnitRecord | Exception]]:
        """Yield units as they are finished; the longest start first, so that none is late at the end."""
        waiting = deque(sorted(missing, key=lambda number: -self._job.units[number].frames))
        left = set(missing)
        while left:
            self._give(waiting, left)
            if not self._at:
                raise RuntimeError(
                    f"No worker is left: {' '.join(sorted(self._refused)) or 'all of them died'}"
                )
            [ready], _ = self._ray.wait(list(self._at), num_returns=1)
            worker, number = self._at.pop(ready)
            for found, result in self._result(ready, worker, number, waiting, left):
                left.discard(found)
                yield found, result

    def _result(
        self, ready, worker, number: int | None, waiting: deque, left: set[int]
    ) -> Iterator[tuple[int, UnitRecord | Exception]]:
        """Yield the units that one finished task produced."""
        try:
            result = self._ray.get(ready)
        except self._ray.exceptions.RayActorError as error:
            yield from self._dead(worker, number, error, waiting, left)
            return
        except self._ray.exceptions.RayTaskError as error:
            self._idle.append(worker)
            if number in left and not self._copies(number):
                yield number, error.cause if isinstance(error.cause, Exception) else RuntimeError(str(error))
            return
        self._idle.extend([worker] * (1 if number is not None else 1 + WAITING))
        if number in left:
            facts, files, place = result
            yield number, receive(facts, files, place, self._job.place)

    def _give(self, waiting: deque, left: set[int]) -> None:
        """Assign a unit to every worker that can accept one.

        When no unit is left, idle workers compute a running one again, and the first result is used.
        """
        for worker in list(self._idle):
            late = (
                number
                for other, number in self._at.values()
                if number in left and self._copies(number) == 1 and other != worker
            )
            if waiting:
                number = waiting.popleft()
            elif worker in [other for other, _ in self._at.values()] or (number := next(late, None)) is None:
                continue
            self._idle.remove(worker)
            self._at[worker.make.remote(number, list(self._job.units[number]))] = worker, number

    def _copies(self, number: int | None) -> int:
        return sum(other == number for _, other in self._at.values())

    def close(self) -> None:
        for worker in {worker for worker, _ in self._at.values()} | set(self._idle):
            self._ray.kill(worker)

    def _hire(self) -> None:
        worker = self._class.remote(self._plan)
        self._at[worker.ready.remote()] = worker, None

    def _dead(
        self, worker, number: int | None, error: Exception, waiting: deque, left: set[int]
    ) -> Iterator[tuple[int, Exception]]:
        """Reassign a dead worker's unit, and replace the worker unless it was rejected."""
        first = worker in self._idle or any(other == worker for other, _ in self._at.values())
        self._idle = deque(other for other in self._idle if other != worker)
        if number is None:
            self._refused.add(_reason(error))
            self._job.report(_reason(error))
            return
        if first:
            self._job.report(f"A worker was lost at unit {number}. Another one computes it.")
            self._hire()
        self._deaths[number] = self._deaths.get(number, 0) + 1
        if number not in left or self._copies(number):
            return
        if self._deaths[number] >= MOST_DEATHS * (1 + WAITING):
            yield number, RuntimeError("every worker that computed it died.")
        else:
            waiting.appendleft(number)


def _reason(error: Exception) -> str:
    """Return the message in Ray's report of an actor that could not start."""
    lines = [line for line in str(error).splitlines() if "ValueError: " in line or "Error: " in line]
    return lines[-1].split("Error: ", 1)[-1] if lines else str(error).splitlines()[0]


def _ray():
    try:
        import ray
    except ImportError:
        raise RuntimeError(
            f'--ray needs Ray. Install it with "{Path(sys.executable).name} -m pip install ray".'
        ) from None
    import ray.exceptions

    return ray
