"""Store the cuts and bars of a film's sources with its job, so that resuming does not detect them again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from ..core.bars import Bars
from ..core.clip import Clip
from ..core.excerpt import makers_of
from ..core.file_cache import FileCache
from ..core.files import save_text
from ..media.read.cuts import Shots, fact
from ..media.read.decode import FileSource
from ..media.read.probe import fingerprint
from .job_root import CUTS, alone, prepare, read_json


def found(clips: Iterable[Clip]) -> list[list]:
    """Return the known shots of the clips' source files.

    Each is fingerprint, frame window, sensitivity, cuts, and bars as (start, top, bottom, left, right).
    """
    files = [maker for maker in makers_of(list(clips)) if isinstance(maker, FileSource) and maker.indexed]
    return [
        [*fingerprint(file.facts.path), *file.window, file.sensitivity, *map(list, file.window_shots)]
        for file in files
    ]


def recall(known: Iterable[list], files: FileCache) -> None:
    """Put known cuts into the cache, unless the file has changed.

    On another machine the same file may have another path or modification time; its cuts are then ignored.
    """
    for path, size, changed, first, stop, sensitivity, places, bars in known:
        try:
            here = fingerprint(path)
        except (OSError, ValueError):
            continue
        if here[1:] == (size, changed):
            shots = Shots(tuple(places), tuple(Bars(*one) for one in bars))
            files.put(path, fact((first, stop), sensitivity), shots)


def read(job: Path, files: FileCache) -> None:
    """Load the cuts that a job has stored; corrupt entries are ignored, and detected again."""
    known = read_json(job / CUTS) if (job / CUTS).is_file() else None
    recall((one for one in (known if isinstance(known, list) else ()) if _plausible(one)), files)


def write(job: Path, clips: Iterable[Clip]) -> None:
    """Store the cuts for the next run."""
    prepare(job)
    with alone(job):
        save_text(job / CUTS, json.dumps(found(clips)), replace=True)


def _plausible(one) -> bool:
    """Whether an entry read from a file has the form that ``found`` returns."""
    kinds: tuple[type | tuple[type, ...], ...] = (
        str,
        int,
        int,
        int,
        int,
        (int, float, type(None)),
        list,
        list,
    )
    if (
        not isinstance(one, list)
        or len(one) != len(kinds)
        or not all(isinstance(value, kind) for value, kind in zip(one, kinds))
    ):
        return False
    first, stop, places = one[3], one[4], one[6]
    edges = [0, *places, stop - first]
    return (
        all(type(edge) is int for edge in edges)
        and all(before < after for before, after in pairwise(edges))
        and all(
            isinstance(bars, list)
            and len(bars) == 5
            and all(type(side) is int and side >= 0 for side in bars)
            for bars in one[7]
        )
        and "\0" not in one[0]
    )
