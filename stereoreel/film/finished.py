"""Find finished files of a film: complete, and tagged with their job and their place in it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ..core.files import in_use
from ..core.numbered import numbered
from ..media.layouts.atoms import scan
from ..media.read.clock import frames_of
from ..media.read.container import open_media
from ..media.read.picture_note import read_note
from ..media.read.probe import probe
from ..media.write.request import RenderRequest
from .identity import claim

CLAIM = "stereoreel_film"  # the tag of a finished file that identifies its job


def finished(request: RenderRequest, identity: dict) -> list[Path]:
    """Return the files of a request that exist already and belong to this identity."""
    frames = frames_of(request.clip.info, request.settings)
    places = enumerate(request.paths)
    return [path for place, path in places if _is_finished(path, mark(identity, place), frames)]


def mark(identity: dict, place: int) -> str:
    """Return the value of the tag ``CLAIM`` in one of the files of a film."""
    return f"{claim(identity)}-{place}"


def _is_finished(path: Path, wanted: str, frames: int) -> bool:
    if path.is_dir():
        note = read_note(path)
        return note is not None and note.tags.get(CLAIM) == wanted and _count(path) == note.frames == frames
    try:
        with open_media(path) as file:
            tags = {name.lower(): value for name, value in file.metadata.items()}
        if tags.get(CLAIM) != wanted:
            return False
        facts = probe(path)
        return facts.frames == frames and not facts.missing and _ends(path)
    except (OSError, ValueError):
        return False


def _count(folder: Path) -> int:
    """Return the number of pictures in a folder; 0 if it has none."""
    try:
        return len(numbered(folder).files)
    except (OSError, ValueError):
        return 0


def _ends(path: Path) -> bool:
    """Whether the boxes of an MP4 or MOV file are complete; True for other files."""
    if path.suffix.lower() not in (".mp4", ".mov"):
        return True
    with open(path, "rb") as file:
        found = scan(file)
    return bool(found) and found[-1].stop == path.stat().st_size


def already(paths: Sequence[Path], root: Path) -> str:
    """Return the message for a complete film; remove a lock and an empty folder left by a killed process."""
    with suppress(OSError):
        root.rmdir()
    for path in paths:
        in_use(path)
    return f"{paths[0]} is already complete."
