"""The files that a VIDEO was written into, from which later ones are copied and not computed again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ..stereoreel.core.clip import Color
from ..stereoreel.media.read.probe import fingerprint
from ..stereoreel.media.write.file_type import FileType


class SavedFile(NamedTuple):
    """A complete file, and what it was made with; ``facts`` show whether it is still that file."""

    path: Path
    facts: tuple[str, int, int]
    type: FileType
    color: Color
    tags: Mapping[str, str]

    @property
    def unchanged(self) -> bool:
        try:
            return fingerprint(self.path) == self.facts
        except OSError:
            return False


class SavedFiles:
    """What is known of the files of one VIDEO."""

    def __init__(self) -> None:
        self._files: list[SavedFile] = []

    def add(self, path: Path, type: FileType, color: Color, tags: Mapping[str, str]) -> None:
        self._files = [file for file in self._files if file.path != path and file.unchanged]
        self._files.append(SavedFile(path, fingerprint(path), type, color, dict(tags)))

    def find(self, wanted: FileType, color: Color, tags: Mapping[str, str] | None = None) -> SavedFile | None:
        """Return a file from which one of this type and colour may be copied, preferably with these tags.

        None if there is none.
        """
        fitting = [file for file in self._files if file.type.serves(wanted) and file.color == color]
        fitting.sort(key=lambda file: file.tags != tags)
        return next((file for file in fitting if file.unchanged), None)
