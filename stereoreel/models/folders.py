"""The folders that hold weights, as data: ``models_config/folders.yaml``."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from ..core.places import CHECKOUT, data, read_yaml

FILE = data("models_config") / "folders.yaml"
ITSELF = "."  # the models folder: it may hold anything, so files are found by name and never listed


@lru_cache
def _known() -> dict[str, dict]:
    return read_yaml(FILE)


def folders(kind: str) -> tuple[str, ...]:
    """Return the names of the folders that may hold a kind's weights, in search order."""
    return tuple(dict.fromkeys((*_known()["weights"].get(kind, ()), kind)))


def listed(kind: str, custom: bool = False) -> tuple[str, ...]:
    """Return those of them that may be listed, or only those that hold custom checkpoints."""
    chosen = _known()["custom"].get(kind) if custom else None
    return tuple(folder for folder in folders(kind) if folder != ITSELF and folder in (chosen or [folder]))


def enclosing_models(pack: Path = CHECKOUT) -> Path | None:
    """Return the models folder of the program that contains the pack as a plug-in, or None."""
    models = _known()["plugins"].get(pack.parent.name)
    return pack.parent.with_name(models) if models else None
