"""Which upscaler suits which machine, as data: the rows of ``models_config/policy.yaml``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from ..core.places import data, read_yaml
from .machine import Machine, unmet

FILE = data("models_config") / "policy.yaml"
QUALITY, LIVE = "quality", "live"
AIMS = {QUALITY: "the best image, at any speed", LIVE: "for real time"}


def aim(session: str | None) -> str:
    """Return the aim of a stage: frames of a live session must not wait, others may."""
    return LIVE if session else QUALITY


@dataclass(frozen=True)
class Row:
    """A recommendation: one of ``models`` of ``kind`` for ``aims`` on machines that meet ``where``.

    ``why`` is one line.
    """

    kind: str
    models: tuple[str, ...]
    why: str
    aims: tuple[str, ...] = tuple(AIMS)
    where: Mapping = field(default_factory=dict)


@lru_cache
def rows() -> tuple[Row, ...]:
    """Return all recommendations, best first."""
    read = read_yaml(FILE)
    return tuple(
        Row(row["kind"], tuple(row["models"]), row["why"], tuple(row.get("aims", AIMS)), row.get("where", {}))
        for row in read
    )


def kinds() -> tuple[str, ...]:
    """Return the kinds between which the policy chooses."""
    return tuple(dict.fromkeys(row.kind for row in rows()))


def suited(machine: Machine, aim: str, kind: str | None = None) -> Iterator[Row]:
    """Yield the rows that apply to a machine and an aim, best first; only those of ``kind`` if given."""
    for row in rows():
        if aim in row.aims and kind in (None, row.kind) and not unmet(row.where, machine):
            yield row


def choice(
    machine: Machine, aim: str, able: Callable[[str, str], bool], kind: str | None = None
) -> tuple[Row, str] | None:
    """Return the first suited row with its model that is ``able`` to run, or None."""
    found = (
        (row, model) for row in suited(machine, aim, kind) for model in row.models if able(row.kind, model)
    )
    return next(found, None)
