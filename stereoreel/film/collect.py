"""Move a worker's unit into the job's folder, from its message, a shared folder or an object store."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ..core.files import save
from .job import UnitRecord
from .store import Store


def receive(facts: dict, files: Sequence[bytes], place: str, target: Path) -> UnitRecord:
    """Put a unit's files into ``target``, each under its name when it is complete.

    ``place`` is the folder or URL that holds them; if it is empty, they are in ``files``.
    """
    result = UnitRecord(**facts)
    store = Store(place) if "://" in place else None
    for number, file in enumerate(result.files):
        name = file["name"]
        if store:
            save(target / name, partial(store.get, name), replace=True)
        elif place:
            os.replace(Path(place) / name, target / name)
        else:
            save(target / name, partial(_write, files[number]), replace=True)
    if store:
        store.forget()
    elif place:
        os.rmdir(place)
    return result


def _write(content: bytes, path: Path) -> None:
    path.write_bytes(content)
