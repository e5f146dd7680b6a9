"""Compute a film on several machines with Ray: each unit is a task of an actor that keeps the models.

The head decides everything: models, weights, units. Workers receive a plan of plain values, compare it with
their own state, and are rejected if it differs. Ray sends the code to them. They read frames from their own
path to the source; units come back as files, through an object store, or in the job's folder if it is shared.
If a worker dies, another one computes its unit. Workers outlive a film: the units of many share one queue.
"""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..core.clip import Clip
from ..media.write.options import EncodeOptions
from ..models.headless import Headless, models_folders
from ..workflow.graph import Graph
from . import cuts, plans
from .identity import environment
from .job import Job, UnitRecord
from .store import Store
from .worker import FilmWorker, Worker, code
from .worker_bundle import packed, pinned
from .worker_pool import WorkerPool

# Ray's variable for clusters beyond this machine
LOOPBACK, ONLY_HERE = "127.0.0.1", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


class Cluster:
    """A Ray connection. ``address``: ``local`` (only this machine), ``auto``, or a cluster head's address.

    With ``verify`` workers record the hash of every frame before it is encoded.
    """

    def __init__(
        self,
        address: str,
        workers: int = 0,
        gpus: float = -1,
        mixed: bool = False,
        store: str = "",
        worker: type = Worker,
        verify: bool = False,
    ):
        self.address, self.workers, self.gpus, self.mixed, self._worker = (
            address,
            workers,
            gpus,
            mixed,
            worker,
        )
        self._store, self._verify = store.rstrip("/"), verify
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
            plan = self.plan(graph, source, device, clips, kept)
            return lambda job, missing: self._work(job, missing, plan)

        return begin

    def plan(self, graph: Graph, source: Path, device: str | None, clips: Sequence[Clip], kept: Path) -> dict:
        """Return the plan by which workers compute a film, but for its job."""
        host = Headless(device)
        token = secrets.token_hex(8)
        return {
            "workflow": pinned(graph, clips, host), "input": str(Path(source).resolve()),
            "device": device, "verify": self._verify,
            "cuts": cuts.found(clips), "found": plans.found(clips),
            "environment": {**environment(host), "code": self.code}, "mixed": self.mixed, "token": token,
            "models": os.pathsep.join(map(str, models_folders())),
            "store": self._store and f"{self._store}/{token}",
            "kept": str(Path(kept).resolve()),
        }  # fmt: skip

    @contextmanager
    def pool(self, most: int = sys.maxsize) -> Iterator[WorkerPool]:
        """Return the workers, at most ``most``; they end with the context."""
        actor = self._ray.remote(**self._needs())(FilmWorker)
        pool = WorkerPool(self._ray, actor, self._worker, self._actors(most))
        try:
            yield pool
        finally:
            pool.close()

    def _work(self, job: Job, missing: list[int], plan: dict) -> Iterator[tuple[int, UnitRecord | Exception]]:
        if not missing:
            return
        with self.pool(len(missing)) as pool:
            pool.add(0, job, missing, plan)
            while pool.pending(0):
                _, number, result = pool.next_result()
                if number is not None:
                    yield number, result
                elif isinstance(result, Exception):
                    raise result

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


def _ray():
    try:
        import ray
    except ImportError:
        raise RuntimeError(
            f'--ray needs Ray. Install it with "{Path(sys.executable).name} -m pip install ray".'
        ) from None
    import ray.exceptions

    return ray
