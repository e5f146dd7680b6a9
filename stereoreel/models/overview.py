"""Which models this machine has, which one ``auto`` runs, and which weights are recommended."""

from __future__ import annotations

from urllib.parse import urlsplit

from ..core.host import Host
from . import catalog, policy
from .catalog import Entry
from .weights import File, total_size


def recommended(kind: str, host: Host, aim: str = policy.QUALITY) -> Entry:
    """The model that ``auto`` would run on this machine if all weights could be downloaded."""
    return catalog.pick(kind, "auto", host, download=True, aim=aim)[0]


def overview(host: Host) -> dict[str, dict]:
    """All models by kind, as plain values that the canvas reads: what runs now, and what can be fetched."""
    return {kind: _of_kind(kind, host) for kind in catalog.KINDS}


def _of_kind(kind: str, host: Host) -> dict:
    picked = {aim: catalog.pick(kind, "auto", host, aim=aim) for aim in policy.AIMS}
    return {
        "auto": {aim: entry.name for aim, (entry, _) in picked.items()},
        "why": {aim: reason for aim, (_, reason) in picked.items()},
        "recommended": {aim: recommended(kind, host, aim).name for aim in policy.AIMS},
        "own": catalog.own_arch(kind),
        "models": {name: _of_model(entry, host) for name, entry in catalog.models(kind).items()},
    }


def _of_model(entry: Entry, host: Host) -> dict:
    lacking = catalog.lacking(entry, host)
    faults = [f"{path} {wrong}" for path, wrong in catalog.faults(entry, host)]
    missing = catalog.missing(entry, host)
    return {
        "title": entry.title or entry.name,
        "brief": entry.brief,
        "arch": entry.arch,
        "license": entry.license if entry.parts else "",
        "commercial": entry.commercial,
        "lacking": " and ".join(lacking),
        "fault": " and ".join(faults),
        "missing": [part.file for part in missing],
        "offer": _offer(entry, missing, host) if missing and not faults else None,
    }


def _offer(entry: Entry, missing: list[File], host: Host) -> dict | None:
    """What fetching the missing files means; None if one of them has no address."""
    servers = [urlsplit(part.url).netloc for part in missing if part.url]
    if len(servers) < len(missing):
        return None
    return {
        "size": total_size(missing),
        "source": " and ".join(dict.fromkeys(servers)),
        "folder": str(host.folder(entry.kind)),
    }
