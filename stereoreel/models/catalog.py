"""The models available, as data: the files that an entry needs, its licence, and the module that runs it."""

from __future__ import annotations

import logging
from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

from ..core.clip import Stage
from ..core.host import Host
from ..core.options import ModelOptions, Option, one_line, options_of, resolve
from ..core.places import data, read_yaml
from . import forecast, policy
from .headless import Headless
from .machine import described, unmet
from .ncnn_files import GRAPH, WEIGHTS
from .weights import File, corrupt_file, find_file, is_weights, locate, safe_name

log = logging.getLogger(__name__)

KINDS: tuple[str, ...] = import_module("..stages", __package__).KINDS
CONFIG = data("models_config")
MAIN = "weights"  # the role of a model's only or most important file
PASSED_OVER = "passing over"
ANY = "*"  # the entry that says how a custom checkpoint runs


@dataclass(frozen=True)
class Entry:
    """One model: ``arch`` is the module ``stereoreel/<kind>/<arch>.py``, ``parts`` are its files by role.

    A model without weights has no parts. ``needs`` are conditions that a machine must meet, as
    ``machine.unmet`` takes them.
    """

    name: str
    kind: str
    arch: str
    text: str = ""
    title: str = ""  # its name as its authors write it; empty for ``name``
    brief: str = ""  # what it does without weights, in a few words; empty if it needs weights
    license: str = "Apache-2.0"
    parts: dict[str, File] = field(default_factory=dict)
    params: dict = field(default_factory=dict)
    needs: dict = field(default_factory=dict)
    work: float = 0.0  # TFLOP per megapixel of the source; 0 if unknown
    checked: bool = False  # whether ``auto`` reads its tensors first, because the file name says too little
    delay: str = ""  # how many frames it buffers in live use; empty for none

    @property
    def needed(self) -> list[File]:
        """The files without which it does not run."""
        return [part for part in self.parts.values() if not part.optional]

    @property
    def file(self) -> str | None:
        """The main file's name, or None if no weights are needed."""
        return next((part.file for part in self.parts.values()), None)

    @property
    def commercial(self) -> bool:
        return "NC" not in self.license.upper().replace("-", " ").split()


@lru_cache
def _catalogue(kind: str) -> dict[str, Entry]:
    if kind not in KINDS:
        raise ValueError(f"Unknown model type {kind}. Available: {', '.join(KINDS)}.")
    read = read_yaml(CONFIG / f"{kind}.yaml")
    return {name: _entry(name, kind, fields) for name, fields in read.items()}


def _entry(name: str, kind: str, fields: Mapping) -> Entry:
    """Return an entry from YAML: the main file's facts at the top, those of others under ``parts``."""
    of_file = File.__dataclass_fields__
    main = {key: value for key, value in fields.items() if key in of_file}
    parts = {**({MAIN: main} if main else {}), **fields.get("parts", {})}
    files = {role: File(**{**facts, "also": tuple(facts.get("also", ()))}) for role, facts in parts.items()}
    others = {key: value for key, value in fields.items() if key not in (*of_file, "parts")}
    return Entry(name=name, kind=kind, parts=files, **others)


def models(kind: str) -> dict[str, Entry]:
    """Return the entries of ``models_config/<kind>.yaml``, best first.

    Raise ValueError for an unknown kind.
    """
    return {name: entry for name, entry in _catalogue(kind).items() if name != ANY}


def names(kind: str) -> tuple[str, ...]:
    """Return the values of ``model``, except custom checkpoints."""
    return ("auto", *models(kind))


def own_files(kind: str, host: Host) -> list[str]:
    """Return the user's files that a kind can run and that no entry lists."""
    if ANY not in _catalogue(kind):
        return []
    known = {
        name
        for any_kind in KINDS
        for entry in models(any_kind).values()
        for part in entry.parts.values()
        for name in (part.file, *part.also)
    }
    return [name for name in host.files(kind, custom=True) if name not in known]


def own_arch(kind: str) -> str:
    """The arch that runs a custom checkpoint; empty if the kind runs none."""
    entry = _catalogue(kind).get(ANY)
    return entry.arch if entry else ""


def module(kind: str) -> ModuleType:
    """Return the module of a kind. Raise ValueError for an unknown kind."""
    _catalogue(kind)
    return import_module(f"..stages.{kind}", __package__)


def options(kind: str) -> tuple[Option, ...]:
    """Return the kind's options, ``model`` with the models available and their licence limits."""
    model, *others = options_of(module(kind).OPTIONS)
    text = model.text
    any_file = ANY in _catalogue(kind)
    if kind in policy.kinds():
        text += (
            " It depends on the GPU and its memory; on a CPU, it takes no network that would need more than "
            "a night for a small film."
        )
    if any_file:
        text += " Your own files in the models folder can be chosen as well."
    if bound := [entry.name for entry in models(kind).values() if not entry.commercial]:
        text += f" Not for commercial use, and never selected by auto: {', '.join(bound)}."
    alone = len(models(kind)) == 1 and not any_file
    return (replace(model, text=text, choices=names(kind), open=any_file, advanced=alone), *others)


def settings_of(kind: str, given: Mapping) -> ModelOptions:
    """Return the kind's options with given or default values, or raise ValueError."""
    return resolve(module(kind).OPTIONS, given, options(kind))


def choose(
    kind: str,
    name: str,
    host: Host,
    download: bool = False,
    wanted: Container[str] = (),
    aim: str = policy.QUALITY,
) -> tuple[Entry, str]:
    """Return the entry that runs, with the files that the host found, and the reason in one line.

    Raise FileNotFoundError if weights are missing, optional ones if they are ``wanted``; with ``download``
    they are downloaded. Raise RuntimeError if the machine lacks what the model needs.
    """
    entry, reason = pick(kind, name, host, download, aim)
    if missing := lacking(entry, host):
        raise RuntimeError(f"{entry.name} needs {'; and '.join(missing)}. Or choose another model.")
    for role, part in entry.parts.items():
        if not part.optional or role in wanted:
            obtain(entry, role, host, download)
    parts = {
        role: replace(part, file=locate(part, kind, host) or part.file) for role, part in entry.parts.items()
    }
    return replace(entry, parts=parts), reason


def pick(
    kind: str, name: str, host: Host, download: bool = False, aim: str = policy.QUALITY
) -> tuple[Entry, str]:
    """Return the entry that would run, with or without its weights, and the reason; nothing is downloaded.

    ``auto`` follows the policy for this machine and ``aim``, then the catalogue's order.
    """
    if name != "auto":
        return models(kind).get(name) or _of_file(kind, name, host), f"{name}: requested"
    over: list[str] = []

    def able(kind: str, model: str) -> bool:
        entry = models(kind).get(model)
        over.extend(_passed_over(entry, host))
        if entry is None or not ready(entry, host, download):
            return False
        slow = too_slow(entry, host)
        over.extend([f"{model}: {slow}"] if slow else [])
        return not slow

    advised = policy.choice(described(host.device), aim, able, kind)
    if advised:
        row, model = advised
        return models(kind)[model], _with(f"{model}: {row.why}", over)
    for entry in models(kind).values():
        if able(kind, entry.name):
            return entry, _with(f"{entry.name}: {_why(entry, host)}", over)
    raise ValueError(
        f"No {kind} model can run on this machine, because its catalogue has no entry without weights."
    )


def _why(entry: Entry, host: Host) -> str:
    """Return why ``auto`` selects the first model that it may use."""
    if len(models(entry.kind)) == 1:
        return f"the only {entry.kind} model"
    if not entry.parts:
        does = entry.brief or "needs no weights"
        return f"{does}; no {entry.kind} weights with a licence that allows any use are present"
    weights = "with its weights present" if present(entry, host) else "with weights that can be downloaded"
    return f"the best {entry.kind} model {weights} and a licence ({entry.license}) that allows any use"


def _with(reason: str, over: list[str]) -> str:
    """Return why a model is selected, and which ones were skipped for it."""
    return "; ".join([reason, *dict.fromkeys(over)])


def _passed_over(entry: Entry | None, host: Host) -> list[str]:
    """Return the note of ``auto`` on a model that it would select if its files were complete."""
    if entry is None or not entry.commercial or lacking(entry, host):
        return []
    if entry.checked and present(entry, host) and (wrong := _unfit(entry, host)):
        return [f"{PASSED_OVER} {entry.name}: {wrong}"]
    faults = [corrupt_file(part, entry.kind, host) for part in missing(entry, host)]
    known = [found for found in faults if found]
    if not known or len(known) < len(faults):
        return []
    path, wrong = known[0]
    return [f"{PASSED_OVER} {entry.name}: {path} {wrong}"]


def ready(entry: Entry | None, host: Host, download: bool = False) -> bool:
    """Whether ``auto`` may select a model.

    Its licence must allow any use, the machine must suit it, and its weights must be present or ``download``
    on.
    """
    if entry is None or not entry.commercial:
        return False
    fetchable = download and all(part.url for part in entry.needed)
    broken = bool(faults(entry, host))  # replaced only on request
    if entry.checked and present(entry, host) and _unfit(entry, host):
        return False
    return present(entry, host) or (fetchable and not broken and not lacking(entry, host))


def too_slow(entry: Entry, host: Host) -> str:
    """Return why a model is too slow on this machine for ``auto``; empty if it is not."""
    half = getattr(module(entry.kind), "HALF_ON_CPU", True)
    speed = described(host.device).teraflops if half else forecast.teraflops(host.device, half)
    return forecast.too_slow(entry.work, speed)


def _unfit(entry: Entry, host: Host) -> str | None:
    """Return why the tensors of a model's file fit none of its networks, or None if they do."""
    path = host.weights(entry.kind, locate(entry.needed[0], entry.kind, host) or entry.needed[0].file)
    arch = import_module(f"..stages.{entry.kind}.{entry.arch}", __package__)
    return host.file_cache.get(path, ("unfit", entry.arch), lambda: arch.unfit(path))


def lacking(entry: Entry, host: Host) -> list[str]:
    """Return what a model needs besides weights and this machine lacks."""
    return unmet(entry.needs, described(host.device)) if entry.needs else []


def _of_file(kind: str, name: str, host: Host) -> Entry:
    """Return how a file runs: as the entry that lists it, else by the kind's ``*``."""
    for entry in models(kind).values():
        if any(name in (part.file, *part.also) for part in entry.parts.values()):
            return entry
    any_file = _catalogue(kind).get(ANY)
    if name.lower().endswith(GRAPH):
        name = _half(kind, name, host)
    if any_file and is_weights(name) and find_file(host, kind, name):
        return replace(any_file, name=name, parts={MAIN: File(safe_name(name))})
    known = ", ".join((*names(kind), *own_files(kind, host)))
    own = f", or a custom checkpoint in {host.folder(kind)}" if any_file else ""
    raise ValueError(f"Unknown {kind} model '{one_line(name)}'. Available: {known}{own}.")


def _half(kind: str, name: str, host: Host) -> str:
    """Return the weights' name of an ncnn model that is named by its graph."""
    weights = f"{name[: -len(GRAPH)]}{WEIGHTS}"
    if find_file(host, kind, name) and not find_file(host, kind, weights):
        raise ValueError(
            f"{one_line(name)} is one half of an ncnn model. Put its other half, {one_line(weights)}, into "
            "the same folder."
        )
    return weights


def present(entry: Entry, host: Host) -> bool:
    """Whether a model's required weights, and anything else it needs, are on this machine."""
    return not lacking(entry, host) and not missing(entry, host)


def missing(entry: Entry, host: Host) -> list[File]:
    """Return the required files of a model that are absent or incomplete."""
    return [part for part in entry.needed if not locate(part, entry.kind, host)]


def faults(entry: Entry, host: Host) -> list[tuple[Path, str]]:
    """Return the required files of a model that are corrupt, and what is wrong with each."""
    return [wrong for part in entry.needed if (wrong := corrupt_file(part, entry.kind, host))]


def obtain(entry: Entry, role: str, host: Host, download: bool = False) -> Path:
    """Return where a part of a model is, downloaded first if allowed.

    Raise FileNotFoundError, with the way to get it, otherwise.
    """
    part = entry.parts[role]
    if name := locate(part, entry.kind, host):
        return host.weights(entry.kind, name)
    if wrong := corrupt_file(part, entry.kind, host):
        raise ValueError(_corrupt(entry, part, *wrong, host))
    if not download or not part.url:
        raise FileNotFoundError(_missing(entry, part, host))
    from .download import fetch

    folder = host.folder(entry.kind)
    log.info(
        "downloading %s of %s (%s, licence %s) into %s",
        part.file,
        entry.name,
        part.size,
        entry.license,
        folder,
    )
    done = fetch(part, folder, host.tick)
    if not done.verified:
        log.warning("Cannot verify %s: no published SHA-256. The file's hash is %s.", done.path, done.sha256)
    return done.path


def _missing(entry: Entry, part: File, host: Host) -> str:
    folder = host.folder(entry.kind)
    typed = f"Turn download on, or run `{command(entry, part, host)}` in the pack's folder"
    get = typed if part.url else "Get it from its authors"
    return f"{entry.name} needs {part.file} ({part.size}, licence {entry.license}) in {folder}. {get}."


def _corrupt(entry: Entry, part: File, path: Path, wrong: str, host: Host) -> str:
    if not part.url:
        return f"{path} {wrong}. Replace or delete it."
    own = path.name == Path(part.file).name
    fetch = command(entry, part, host, path.parents[part.file.count("/")] if own else None)
    return f"{path} {wrong}. Delete it, or run `{fetch}{' --force' if own else ''}` in the pack's folder."


def command(entry: Entry, part: File, host: Host, folder: Path | None = None) -> str:
    """Return the command that downloads a file to where a host looks for it, or to ``folder``."""
    folder = folder or host.folder(entry.kind)
    words = ["python -m stereoreel fetch", entry.name, *(["--all-parts"] if part.optional else [])]
    # the terminal would store it elsewhere
    if not isinstance(host, Headless) or folder != Headless("cpu").folder(entry.kind):
        words.append(f'--folder "{folder}"')
    return " ".join(words)


def chosen(kind: str, settings: ModelOptions, host: Host) -> tuple[Entry, str]:
    """Return the entry that runs with these settings, and why; ``wanted_parts`` of a kind are optional."""
    wanted = getattr(module(kind), "wanted_parts", lambda options: ())(settings)
    return choose(
        kind,
        settings.model,
        host,
        getattr(settings, "download", False),
        wanted,
        policy.aim(getattr(settings, "live", "")),
    )


def stage(kind: str, settings: ModelOptions, host: Host, label: str) -> Stage:
    """Return the stage of these settings, ready to run; log which model was selected and why."""
    entry, reason = chosen(kind, settings, host)
    log.log(logging.WARNING if f"; {PASSED_OVER} " in reason else logging.INFO, "%s runs %s", label, reason)
    loaded = import_module(f"..stages.{kind}.{entry.arch}", __package__).load(entry, settings, host)
    complete = getattr(module(kind), "completed", None)
    return complete(loaded, settings) if complete else loaded


def load(kind: str, name: str, host: Host, **given) -> Stage:
    """Return a stage ready to run: ``load("depth", "builtin", host)``."""
    return stage(kind, settings_of(kind, {**given, "model": name}), host, kind)
