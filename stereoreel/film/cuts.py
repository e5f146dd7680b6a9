"""The cuts that were found in a film's source, kept beside the film, so that going on does not look for them again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from ..core.clip import Clip
from ..core.excerpt import makers_of
from ..core.file_cache import FileCache
from ..core.files import save_text
from ..media.read.cuts import fact
from ..media.read.decode import FileSource
from ..media.read.probe import fingerprint
from .job import CUTS, prepare, read_json


def found(clips: Iterable[Clip]) -> list[list]:
    """What is known of the cuts of every file that clips are made of: path, first and last frame, sensitivity, cuts."""
    files = [
        maker
        for maker in makers_of(list(clips))
        if isinstance(maker, FileSource) and maker.sensitivity is not None
    ]
    return [
        [*fingerprint(file.facts.path), file.first, file.stop, file.sensitivity, list(file.info.cuts)]
        for file in files
    ]


def recall(known: Iterable[list], files: FileCache) -> None:
    """Take cuts for found; of a file that has changed they are never looked up. Elsewhere the same file may be younger or older."""
    for path, size, changed, first, stop, sensitivity, places in known:
        try:
            here = fingerprint(path)
        except (OSError, ValueError):
            continue
        if here[1:] == (size, changed):
            files.put(path, fact((first, stop), sensitivity), tuple(places))


def read(job: Path, files: FileCache) -> None:
    """Recall what a film's job has written down; what is damaged is looked for again."""
    known = read_json(job / CUTS) if (job / CUTS).is_file() else None
    recall((one for one in (known if isinstance(known, list) else ()) if _plausible(one)), files)


def write(job: Path, clips: Iterable[Clip]) -> None:
    """Write down for the next time."""
    prepare(job)
    save_text(job / CUTS, json.dumps(found(clips)), replace=True)


def _plausible(one) -> bool:
    """Whether an entry that was read from a file is one of ``found``."""
    kinds = (str, int, int, int, int, (int, float), list)
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
        and "\0" not in one[0]
    )
