"""The models there are, as data: which file an entry needs, whose licence it bears, and which module runs it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

import yaml

from .clip import ClipInfo, Stage
from .host import Host
from .options import Option, resolve

log = logging.getLogger(__name__)

KINDS = ("upscale", "vsr", "interpolate", "depth", "stereo")
CONFIG = Path(__file__).parent.parent / "models_config"


@dataclass(frozen=True)
class Entry:
    """One model: ``arch`` is the module ``stereoreel/<kind>/<arch>.py``; ``file`` is None where no weights are needed."""

    name: str
    kind: str
    arch: str
    text: str = ""
    file: str | None = None
    url: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    license: str = "Apache-2.0"
    params: dict = field(default_factory=dict)
    needs: tuple[str, ...] = ()

    @property
    def commercial(self) -> bool:
        return "NC" not in self.license.upper().replace("-", " ").split()


@lru_cache
def models(kind: str) -> dict[str, Entry]:
    """The entries of ``models_config/<kind>.yaml``, best first; ValueError for a kind there is not."""
    if kind not in KINDS:
        raise ValueError(f"There is no kind of model named {kind}; the kinds are: {', '.join(KINDS)}.")
    read = yaml.safe_load((CONFIG / f"{kind}.yaml").read_text(encoding="utf-8"))
    return {name: Entry(name=name, kind=kind, **{**fields, "needs": tuple(fields.get("needs", ()))}) for name, fields in read.items()}


def names(kind: str) -> tuple[str, ...]:
    """What may be written for ``model``."""
    return ("auto", *models(kind))


def module(kind: str) -> ModuleType:
    return import_module(f".{kind}", __package__)


def options(kind: str) -> tuple[Option, ...]:
    """``model`` and the kind's own options."""
    text = "Which model does the work; auto takes the best one whose weights are present, builtin needs none."
    return (Option("model", "auto", text, choices=names(kind)), *module(kind).OPTIONS)


def choose(kind: str, name: str, host: Host) -> tuple[Entry, str]:
    """The entry that runs, and why in one line; FileNotFoundError where its weights are missing."""
    entries = models(kind)
    if name != "auto":
        entry = entries.get(name)
        if entry is None:
            raise ValueError(f"There is no {kind} model named {name}; choose one of: {', '.join(names(kind))}.")
        if entry.file:
            host.weights(kind, entry.file)
        return entry, f"{name}: asked for"
    for entry in entries.values():
        if entry.commercial and (not entry.file or present(entry, host)):
            return entry, f"{entry.name}: the best {kind} model whose weights are here and whose licence ({entry.license}) allows any use"
    raise ValueError(f"No {kind} model can run here; its catalogue has no entry without weights.")


def present(entry: Entry, host: Host) -> bool:
    """Whether a model's weights are on this machine."""
    try:
        return bool(host.weights(entry.kind, entry.file))
    except FileNotFoundError:
        return False


@dataclass(frozen=True)
class Plan:
    """A stage by name and options, not loaded: what a clip holds. Options are checked when it is made."""

    kind: str
    given: Mapping
    label: str

    def __post_init__(self):
        resolve(options(self.kind), self.given)

    @property
    def settings(self):
        return resolve(options(self.kind), self.given)

    def describe(self, *infos: ClipInfo) -> ClipInfo | dict[str, ClipInfo]:
        return module(self.kind).describe(self.settings, *infos)

    def choose(self, host: Host) -> tuple[Entry, str]:
        return choose(self.kind, self.settings.model, host)

    def load(self, host: Host) -> Stage:
        entry, reason = self.choose(host)
        log.info("%s runs %s", self.label, reason)
        arch = import_module(f".{self.kind}.{entry.arch}", __package__)
        return arch.load(entry, self.settings, host)


def load(kind: str, name: str, host: Host, **given) -> Stage:
    """A stage ready to run: ``load("depth", "builtin", host)``."""
    return Plan(kind, {**given, "model": name}, kind).load(host)
