"""The folders where users keep weights, as data: ``models_config/folders.yaml``."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import yaml

from ..core.places import CHECKOUT, data

FILE = data("models_config") / "folders.yaml"
ITSELF = "."  # the models folder: its files may be anything, so it is looked into by name, never listed


@lru_cache
def _known() -> dict[str, dict]:
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


def folders(kind: str) -> tuple[str, ...]:
    """Names of the folders that may hold a kind's weights, in the order of looking."""
    return tuple(dict.fromkeys((*_known()["weights"].get(kind, ()), kind)))


def listed(kind: str) -> tuple[str, ...]:
    """Those of them whose files may all be looked at."""
    return tuple(folder for folder in folders(kind) if folder != ITSELF)


def enclosing_models(pack: Path = CHECKOUT) -> Path | None:
    """The models folder of the program that the pack is a plug-in of; None if there is none."""
    models = _known()["plugins"].get(pack.parent.name)
    return pack.parent.with_name(models) if models else None
