"""A machine that makes units of somebody else's film: told by a plan of plain values, checked before it may begin.

Nothing here knows of the cluster that carries the plan.
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
from ..models.headless import MODELS_VARIABLE, Headless
from ..workflow import graph as workflow
from .cuts import recall
from .identity import described, differences, digest, environment
from .segment import Maker
from .store import Store


class Worker:
    """Made from a plan: ``workflow`` (models named, not auto), ``input``, ``device``, ``identity``, ``environment`` (``mixed``: any),
    ``cuts``, ``models`` (folders, where this machine names none), ``place`` of the job with the ``token`` in
    it, ``kept``, below which Keep keeps where that is shared, and ``store``, a URL or "".

    ValueError tells in one sentence what does not match.
    """

    def __init__(self, plan: dict):
        os.environ.setdefault(MODELS_VARIABLE, plan["models"])
        host = Headless(plan["device"])
        recall(plan["cuts"], host.file_cache)
        self.name = f"{socket.gethostname()}/{os.getpid()}"
        _refuse(self.name, plan, host)
        assembly = workflow.Assembly(plan["workflow"], lambda _: Path(plan["input"]), files=host.file_cache)
        sink = assembly.sinks[0]
        clips = [clip for clip in (sink.clip, sink.depth) if clip]
        identity = described(clips, sink.settings, host)
        if digest(identity) != digest(plan["identity"]):
            what = ", ".join(dict.fromkeys(differences(plan["identity"], identity))) or "something"
            raise ValueError(
                f"{self.name} may not help: {what} is another one there; give it the same files and weights."
            )
        self._shared = Path(plan["place"]) if _sees(plan) else None
        self._maker = Maker(
            clips, sink.settings, host, Meter(), kept=Path(plan["kept"]) if self._shared else None
        )
        self._store = Store(plan["store"]) if plan["store"] and not self._shared else None

    def ready(self) -> str:
        """Its name, once it is loaded and found to match."""
        return self.name

    def make(self, number: int, unit: list[int]) -> tuple[dict, list[bytes], str]:
        """What is known of the unit, and its files; or where they are: a folder in the job's that is shared, or the URL of one in the store."""
        folder = tempfile.mkdtemp(prefix="unit-", dir=self._shared)
        try:
            made = self._maker.make(number, Unit(*unit), Path(folder), _no_tick)
            paths = [Path(folder) / file["name"] for file in made.files]
            place = (
                folder if self._shared else self._store.put(paths, Path(folder).name) if self._store else ""
            )
            files = [] if place else [path.read_bytes() for path in paths]
        finally:
            if not self._shared:
                shutil.rmtree(folder, ignore_errors=True)
        return {**made._asdict(), "worker": self.name}, files, place


def _no_tick(done: int) -> None:
    """A cluster ends its workers itself."""


def _sees(plan: dict) -> bool:
    """Whether the job's folder is there too: what the head put into it can be read."""
    token = Path(plan["place"]).parent / "token"
    return token.is_file() and token.read_text(encoding="utf-8") == plan["token"]


def _refuse(name: str, plan: dict, host: Headless) -> None:
    here = {**environment(host), "code": code()}
    if plan["mixed"]:
        here, wanted = {"code": here["code"]}, {"code": plan["environment"]["code"]}
    else:
        wanted = plan["environment"]
    wrong = [
        f"its {what} is {here[what]} and not {wanted[what]}" for what in wanted if here[what] != wanted[what]
    ]
    if wrong:
        raise ValueError(
            f"{name} may not help, because {', and '.join(wrong)}; make it alike, or allow --mixed."
        )


def code(engine: Path = PACKAGE, models: Path | None = None) -> str:
    """A hash of the engine and its models' descriptions in these folders."""
    state = hashlib.blake2b(digest_size=8)
    for folder, pattern in ((engine, "**/*.py"), (models or data("models_config"), "*.yaml")):
        for file in sorted(folder.glob(pattern)):
            state.update(file.relative_to(folder).as_posix().encode() + file.read_bytes())
    return state.hexdigest()
