"""Cache of facts about files, valid while the files do not change."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from .numbered import names_pictures, numbered

Value = TypeVar("Value")


class FileCache:
    """Facts of files by name, such as a film's cuts or the hash of weights; a changed file is a new file.

    A folder or pattern of numbered pictures counts as one file, which changes with any of the pictures.
    It belongs to a host, or to the process that creates a host for every job, so that each file is read once.
    The last ``most`` files are remembered. Several threads may use it; two of them may compute the same fact
    concurrently.
    """

    def __init__(self, most: int = 128):
        self._most, self._lock = most, threading.Lock()
        self._files: OrderedDict[tuple, dict[Hashable, Any]] = OrderedDict()

    def get(self, path: str | os.PathLike, fact: Hashable, find: Callable[[], Value]) -> Value:
        """Return a fact of a file, computed if it is not known. Raise OSError if there is no file."""
        known = self._of(path)
        if fact not in known:
            known[fact] = find()
        return known[fact]

    def put(self, path: str | os.PathLike, fact: Hashable, value: object) -> None:
        """Store a fact that was found before."""
        self._of(path)[fact] = value

    def knows(self, path: str | os.PathLike, fact: Hashable) -> bool:
        return fact in self._of(path)

    def _of(self, path: str | os.PathLike) -> dict[Hashable, Any]:
        """Return all that is known of a file in its present state."""
        if names_pictures(path):
            file = numbered(path).state
        else:
            real = os.path.realpath(path)
            status = os.stat(real)
            file = real, status.st_size, status.st_mtime_ns, status.st_ino
        with self._lock:
            known = self._files.setdefault(file, {})
            self._files.move_to_end(file)
            while len(self._files) > self._most:
                self._files.popitem(last=False)
            return known
