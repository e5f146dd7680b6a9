"""List models in the terminal and download their weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..core.host import Host
from ..models import catalog, overview
from ..models.catalog import Entry
from ..models.intact import fault
from ..models.weights import File, corrupt_file, find_file, locate, megabytes, total_size
from .progress import ByteBar


def listed(host: Host) -> Iterator[str]:
    """Yield a line for every model and every custom checkpoint that can be run, with its purpose."""
    for kind in catalog.KINDS:
        chosen, _ = catalog.choose(kind, "auto", host)
        for name, entry in catalog.models(kind).items():
            auto = " (auto)" if name == chosen.name else ""
            facts = f"{entry.license:<20}{_sizes(entry):<14}{_state(entry, host)}"
            yield f"{_address(entry)}{facts}{auto}\n    {entry.text}"
        for file in catalog.own_files(kind, host):
            yield _own(kind, file, host)


def fetchable(host: Host) -> Iterator[str]:
    """Yield a line for every file that can be downloaded."""
    for entry in _entries():
        for role, part in entry.parts.items():
            absent = "corrupt" if corrupt_file(part, entry.kind, host) else "missing"
            place = "here" if locate(part, entry.kind, host) else absent
            optional = f" (optional part {role})" if part.optional else ""
            yield f"{entry.name:<40}{entry.license:<20}{part.size:<14}{place:<9}{part.file}{optional}"


def recommended(host: Host) -> list[Entry]:
    """Return the recommended model of each kind that has a choice, on the machine of ``host``."""
    return [overview.recommended(kind, host) for kind in catalog.KINDS if len(catalog.models(kind)) > 1]


def recommendations(entries: Sequence[Entry], host: Host) -> Iterator[str]:
    """Yield a line for each recommended model, with its size and licence, and one for what is to come."""
    pending = []
    for entry in entries:
        missing = catalog.missing(entry, host)
        pending += missing
        state = "to download" if missing else "here" if entry.parts else "needs no weights"
        facts = f"{entry.license:<20}{_sizes(entry):<14}" if entry.parts else " " * 34
        yield f"{entry.kind:<14}{entry.title or entry.name:<32}{facts}{state}"
    if pending:
        yield f"to download in all: {total_size(pending)}"


def _own(kind: str, file: str, host: Host) -> str:
    """Return the line of a custom checkpoint."""
    path = find_file(host, kind, file)
    if path is None:
        return f"{f'{kind}.model={file}':<51} {'':<34}corrupt: it is a broken link"
    entry, _ = catalog.pick(kind, file, host)
    state = f"corrupt: {path} {wrong}" if (wrong := fault(path)) else f"here: {path}"
    return f"{_address(entry)}{entry.license:<20}{megabytes(path.stat().st_size):<14}{state}"


def _address(entry: Entry) -> str:
    return f"{f'{entry.kind}.model={entry.name}':<51} "


def _sizes(entry: Entry) -> str:
    known = [part for part in entry.needed if part.bytes]
    return total_size(known) if known else ""


def _state(entry: Entry, host: Host) -> str:
    if lacking := catalog.lacking(entry, host):
        return f"needs {'; and '.join(lacking)}"
    if not entry.parts:
        return "no weights needed"
    if faults := catalog.faults(entry, host):
        named = " and ".join(f"{path} {wrong}" for path, wrong in faults)
        return f"corrupt: {named}. Delete it, or run `python -m stereoreel fetch {entry.name} --force`"
    if must := catalog.missing(entry, host):
        return f"missing: {', '.join(part.file for part in must)}"
    less = [part.file for part in entry.parts.values() if not locate(part, entry.kind, host)]
    return f"here, without the optional {', '.join(less)}" if less else "here"


def _entries() -> list[Entry]:
    return [entry for kind in catalog.KINDS for entry in catalog.models(kind).values() if entry.parts]


def fetch_all(
    names: Sequence[str], host: Host, folder: Path | None = None, all_parts: bool = False, force: bool = False
) -> None:
    """Download the weights of models by name; raise ValueError for an unknown name before any download."""
    chosen = [entry for name in dict.fromkeys(names) for entry in _named(name)]
    for entry in chosen:
        for part in entry.parts.values():
            if all_parts or not part.optional:
                print(f"{entry.name}: {_fetched(entry, part, host, folder, force)}")
            else:
                print(f"{entry.name}: {part.file} is optional and was skipped. --all-parts downloads it too")


def _named(name: str) -> list[Entry]:
    named = [entry for entry in _entries() if entry.name == name]
    if not named:
        available = ", ".join(entry.name for entry in _entries())
        raise ValueError(f"There are no weights to download for {name}. Available: {available}.")
    return named


def _fetched(entry: Entry, part: File, host: Host, folder: Path | None, force: bool) -> str:
    """Download one file; return a line with the result."""
    from ..models.download import fetch

    place = folder or host.folder(entry.kind)
    if not folder and (name := locate(part, entry.kind, host)):
        path = host.weights(entry.kind, name)
        same = path.name == Path(part.file).name
        if not same and not force:
            return f"{path} exists and holds the same weights"
        place = path.parents[part.file.count("/")] if same else place
    elif (
        not folder
        and (wrong := corrupt_file(part, entry.kind, host))
        and wrong[0].name == Path(part.file).name
    ):
        place = wrong[0].parents[part.file.count("/")]  # a copy in another folder would not be found first
    with ByteBar(part.file) as bar:
        done = fetch(part, place, bar.tick, force)
    was = "existed already" if done.found else "was downloaded"
    check = (
        "SHA-256 verified"
        if done.verified
        else f"not verified: no SHA-256 is on record; the file's hash is {done.sha256}"
    )
    return f"{done.path} {was} (licence {entry.license}), {check}"
