"""A unit that a worker has made comes into the job's folder: from the worker's message, from a shared folder, or from an object store."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from .job import Made
from .store import Store


def arrived(facts: dict, files: Sequence[bytes], place: str, target: Path) -> Made:
    """Put a unit's files into ``target``, each under its name when it is whole. ``place`` is where they are: a folder, a URL, or in ``files``."""
    made = Made(**facts)
    store = Store(place) if "://" in place else None
    for number, file in enumerate(made.files):
        part = target / f"{file['name']}.part"
        if store:
            store.get(file["name"], part)
        elif place:
            part = Path(place) / file["name"]
        else:
            with open(part, "wb") as output:
                output.write(files[number])
                output.flush()
                os.fsync(output.fileno())
        os.replace(part, target / file["name"])
    if store:
        store.forget()
    elif place:
        os.rmdir(place)
    return made
