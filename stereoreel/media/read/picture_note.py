"""The note that Encode Video leaves next to pictures: their rate, their number, and the film's tags."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

NOTE, SOUND = "stereoreel.json", "audio.wav"


class PictureNote(NamedTuple):
    """What a folder of pictures says of itself."""

    fps: Fraction
    frames: int
    tags: dict[str, str]


def read_note(folder: Path) -> PictureNote | None:
    """Return a folder's note; None if it has none, or a corrupt one."""
    try:
        facts = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        note = PictureNote(Fraction(facts["fps"]), int(facts["frames"]), dict(facts["tags"]))
    except (OSError, ValueError, TypeError, KeyError, ZeroDivisionError, RecursionError):
        return None
    return note if Fraction(1, 7200) <= note.fps <= 1000 else None


def sound_of(folder: Path) -> Path | None:
    """Return the audio file next to pictures that have a note; no link, because it may lead anywhere."""
    path = folder / SOUND
    return path if path.is_file() and not path.is_symlink() else None
