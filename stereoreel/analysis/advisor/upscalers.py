"""The upscaler for this machine for each aim: why, what is missing, and the command to download it."""

from __future__ import annotations

from collections.abc import Iterator

from ...core.host import Host
from ...models import catalog, policy
from ...models.catalog import Entry
from ...models.machine import described
from ...models.weights import corrupt_file, megabytes
from ...workflow.orders import BY_KIND


def advice(host: Host) -> Iterator[str]:
    """Yield the machine, the selection and better options for each aim, and each node's ``auto``."""
    yield f"This machine: {described(host.device)}"
    for aim, meaning in policy.AIMS.items():
        yield f"\n{aim}: {meaning}"
        yield from _table(aim, host)
    yield "\nmodel: auto selects"
    for kind in policy.kinds():
        _, reason = catalog.pick(kind, "auto", host)
        yield f"  {BY_KIND[kind].name:<24}{reason}"


def best(aim: str, host: Host) -> tuple[Entry, str]:
    """Return the upscaler of either kind selected for an aim, and why in one line."""
    machine = described(host.device)

    def able(kind: str, model: str) -> bool:
        entry = catalog.models(kind).get(model)
        return entry is not None and catalog.ready(entry, host) and not catalog.too_slow(entry, host)

    found = policy.choice(machine, aim, able)
    if found is None:
        return catalog.pick(policy.kinds()[0], "auto", host, aim=aim)
    row, model = found
    return catalog.models(row.kind)[model], f"{model}: {row.why}"


def _table(aim: str, host: Host) -> Iterator[str]:
    """Yield the selection; before it the better models that are missing, and what they need."""
    taken, reason = best(aim, host)
    listed = set()
    for row in policy.suited(described(host.device), aim):
        entry = catalog.models(row.kind)[row.models[0]]
        if catalog.too_slow(entry, host):
            continue
        if taken.name in row.models and taken.kind == row.kind:
            break
        if _address(entry) not in listed:
            listed.add(_address(entry))
            yield f"  {_address(entry):<36}better: {row.why}"
            yield from (
                f"  {'':<36}missing: {need}"
                for need in (*catalog.lacking(entry, host), *_weights(entry, host))
            )
    yield f"  {_address(taken):<36}selected: {reason.partition(': ')[2]}"


def _address(entry: Entry) -> str:
    return f"{entry.kind}.model={entry.name}"


def _weights(entry: Entry, host: Host) -> Iterator[str]:
    """Yield which weights of a model are missing, and how to download them."""
    if parts := catalog.missing(entry, host):
        size = (
            f", {megabytes(sum(part.bytes or 0 for part in parts))}"
            if any(part.bytes for part in parts)
            else ""
        )
        files = parts[0].file if len(parts) == 1 else f"{len(parts)} files"
        force = " --force" if any(corrupt_file(part, entry.kind, host) for part in parts) else ""
        yield f"{files} ({entry.license}{size}). Run `python -m stereoreel fetch {entry.name}{force}`"
