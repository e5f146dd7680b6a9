"""A worker that computes units of another machine's film, by a plan of plain values that it checks first.

This module is independent of the cluster that sends the plan.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import tempfile
from pathlib import Path

from ..core.meter import Meter
from ..core.partition import Unit
from ..core.places import PACKAGE, data
from ..media.write.fit_to_file import fit_to_file
from ..media.write.request import with_subtitles
from ..models.headless import MODELS_VARIABLE, Headless
from ..workflow import graph as workflow
from . import plans
from .cuts import recall
from .identity import described, differences, digest, environment
from .segment import Maker
from .store import Store


class Worker:
    """Computes units by a plan.

    The plan has ``workflow`` (with models named instead of auto), ``input``, ``device``, ``identity``,
    ``environment`` (ignored if ``mixed``), ``cuts``, ``found`` by looking ahead, ``models`` (folders, if this
    machine names none), ``place`` of the job and the ``token`` in it, ``kept`` (the root of Keep's folders,
    if shared), and ``store``, a URL or "".

    Raise ValueError naming what does not match.
    """

    def __init__(self, plan: dict):
        os.environ.setdefault(MODELS_VARIABLE, plan["models"])
        host = Headless(plan["device"])
        recall(plan["cuts"], host.file_cache)
        self.name = f"{socket.gethostname()}/{os.getpid()}"
        _refuse(self.name, plan, host)
        assembly = workflow.Assembly(plan["workflow"], lambda _: Path(plan["input"]), files=host.file_cache)
        sink = assembly.sinks[0]
        clips = [fit_to_file(clip, sink.settings)[0] for clip in (sink.clip, sink.depth) if clip]
        clips[0] = with_subtitles(clips[0], sink.settings)
        plans.recall(clips, plan["found"])
        identity = described(clips, sink.settings, host)
        if digest(identity) != digest(plan["identity"]):
            what = ", ".join(dict.fromkeys(differences(plan["identity"], identity))) or "something"
            raise ValueError(
                f"Worker {self.name} rejected: {what} differs. Give it the same files and weights."
            )
        self._shared = Path(plan["place"]) if _sees(plan) else None
        kept = Path(plan["kept"]) if self._shared else None
        self._maker = Maker(clips, sink.settings, host, Meter(), kept=kept, verify=plan["verify"])
        self._store = Store(plan["store"]) if plan["store"] and not self._shared else None

    def ready(self) -> str:
        """Return the worker's name, once it is loaded and matches."""
        return self.name

    def make(self, number: int, unit: list[int]) -> tuple[dict, list[bytes], str]:
        """Compute a unit; return its record and its files, or the place of the files.

        The place is a folder in the shared job folder, or a URL in the store.
        """
        folder = tempfile.mkdtemp(prefix="unit-", dir=self._shared)
        try:
            result = self._maker.make(number, Unit(*unit), Path(folder), _no_tick)
            paths = [Path(folder) / file["name"] for file in result.files]
            place = (
                folder if self._shared else self._store.put(paths, Path(folder).name) if self._store else ""
            )
            files = [] if place else [path.read_bytes() for path in paths]
        finally:
            if not self._shared:
                shutil.rmtree(folder, ignore_errors=True)
        return {**result._asdict(), "worker": self.name}, files, place


class Rejected(ValueError):
    """A worker cannot compute a film: something differs on its machine."""


class FilmWorker:
    """A worker process for any number of films; it keeps what it has opened for the latest one.

    ``worker`` opens a film by its plan.
    """

    def __init__(self, worker: type[Worker] = Worker):
        self._open, self._token = worker, ""
        self._current: Worker | None = None

    def ready(self) -> str:
        """Return the worker's name."""
        return f"{socket.gethostname()}/{os.getpid()}"

    def make(self, plan: dict, number: int, unit: list[int]) -> tuple[dict, list[bytes], str]:
        """Compute a unit of a plan's film; raise Rejected if the plan does not match this machine."""
        if self._current is None or plan["token"] != self._token:
            self._current = None  # its models leave the memory first
            try:
                self._current = self._open(plan)
            except (ValueError, OSError, RuntimeError, ImportError) as error:
                text = str(error)
                known = text.startswith("Worker ")
                raise Rejected(text if known else f"Worker {self.ready()} rejected: {text}") from None
            self._token = plan["token"]
        return self._current.make(number, unit)


def _no_tick(done: int) -> None:
    """Do nothing; a cluster cancels by ending its workers."""


def _sees(plan: dict) -> bool:
    """Whether this machine sees the job's folder: the head's token in it can be read."""
    token = Path(plan["place"]).parent / "token"
    return token.is_file() and token.read_text(encoding="utf-8") == plan["token"]


def _refuse(name: str, plan: dict, host: Headless) -> None:
    here = {**environment(host), "code": code()}
    if plan["mixed"]:
        here, wanted = {"code": here["code"]}, {"code": plan["environment"]["code"]}
    else:
        wanted = plan["environment"]
    wrong = [
        f"its {what} is {here[what]}, expected {wanted[what]}"
        for what in wanted
        if here[what] != wanted[what]
    ]
    if wrong:
        raise ValueError(
            f"Worker {name} rejected: {', and '.join(wrong)}. Install the same versions, or use --mixed."
        )


def code(engine: Path = PACKAGE, models: Path | None = None) -> str:
    """Return a hash of the engine, its own weights and the model descriptions in these folders."""
    state = hashlib.blake2b(digest_size=8)
    models = models or data("models_config")
    for folder, pattern in ((engine, "**/*.py"), (engine, "**/*.safetensors"), (models, "*.yaml")):
        for file in sorted(folder.glob(pattern)):
            state.update(file.relative_to(folder).as_posix().encode() + file.read_bytes())
    return state.hexdigest()
