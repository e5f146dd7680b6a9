"""The cuts that were found in a film's source, kept beside the film, so that going on does not look for them again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from ..clip import Clip
from ..media import cuts
from ..media.decode import FileSource
from ..media.probe import fingerprint
from ..peek import makers_of
from .job import write_whole


def found(clips: Iterable[Clip]) -> list[list]:
    """What is known of the cuts of every file that clips are made of: path, first and last frame, sensitivity, cuts."""
    files = [maker for maker in makers_of(list(clips)) if isinstance(maker, FileSource) and maker.sensitivity is not None]
    return [[*fingerprint(file.facts.path), file.first, file.stop, file.sensitivity, list(file.info.cuts)] for file in files]


def recall(known: Iterable[list]) -> None:
    """Take cuts for found; of a file that has changed they are never looked up. Elsewhere the same file may be younger or older."""
    for path, size, changed, first, stop, sensitivity, places in known:
        try:
            here = fingerprint(path)
        except FileNotFoundError:
            continue
        if here[1:] == (size, changed):
            cuts.known[(*here, first, stop, sensitivity)] = tuple(places)


def read(path: Path) -> None:
    """Recall what a film's job has written down."""
    if path.is_file():
        recall(json.loads(path.read_text(encoding="utf-8")))


def write(path: Path, clips: Iterable[Clip]) -> None:
    """Write down for the next time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(found(clips)))
