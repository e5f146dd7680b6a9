"""Files that appear complete under their name or not at all, and never replace another's file.

While a file is written it has a name of its own next to the final one (``film.mp4.3f9a01c2.part``), created
exclusively, so that two processes never share it and no link is followed. ``OutputFile`` also holds a lock
while it is entered.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import secrets
import shutil
from collections.abc import Callable
from contextlib import suppress
from itertools import chain, count
from pathlib import Path

from . import cancel
from .lock import NO_LOCKS, SAFELY, Lock
from .system_errors import plain_errors

log = logging.getLogger(__name__)

# FAT, some network disks
NO_HARD_LINKS = (errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK)
PART = r"\.[0-9a-f]{8}\.part"  # suffix of the part file
BLOCK = 1 << 22  # bytes hashed at a time


class PartFile:
    """A file that is being written: ``create`` it, fill ``part``, then ``publish`` or ``discard`` it."""

    def __init__(self, path: Path, replace: bool = True):
        self.path, self.replace = Path(path), replace
        self.part: Path | None = None

    def create(self, folder: bool = False) -> Path:
        """Create an empty file, or folder, under a name that was free."""
        with plain_errors(self.path.parent):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_name(f"{self.path.name}.{secrets.token_hex(4)}.part")
        self._announce(part)
        self.part = part  # before it exists: a signal may come in between
        try:
            with plain_errors(self.path):
                if folder:
                    part.mkdir()
                else:
                    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | SAFELY, 0o666))
        except OSError:
            self.part = None  # the file of that name is not ours
            raise
        return part

    def publish(self, source: Path | None = None) -> Path:
        """Rename ``source`` (by default the part) to the final name, synced to disk; return that name.

        Without ``replace``, if another file has appeared under that name, that file stays and this one gets
        the next free number.
        """
        source = source or self.part
        if source is None:
            raise ValueError(f"{self.path} was not created. Call create first.")
        with plain_errors(self.path):
            (sync_folder if source.is_dir() else sync)(source)
            if self.replace:
                os.replace(source, self.path)
            elif (place := _move_to_free(source, self.path)) != self.path:
                log.warning("%s appeared meanwhile and is kept; this file is %s.", self.path, place)
                self.path = place
        with suppress(OSError):  # the file is complete under its name, which no later failure takes back
            sync_folder(self.path.parent)
        self.discard()
        return self.path

    def discard(self) -> None:
        """Remove the part, if there is one.

        If it cannot be removed, such as an open file on Windows, the next run removes it.
        """
        if self.part is not None:
            with suppress(OSError):
                _remove_part(self.part)

    def _announce(self, part: Path) -> None:
        """Note the name of the part that is about to be created."""


class OutputFile(PartFile):
    """A file that one process writes at a time.

    While entered, it holds the lock ``.<name>.lock``, which is removed on exit. A part that a killed process
    left is removed when the next one enters: the lock names it. Raise BlockingIOError if another process is
    writing the same file.
    """

    def __init__(self, path: Path, replace: bool = False):
        super().__init__(path, replace)
        self._lock = Lock(self.path.with_name(f".{self.path.name}.lock"), self.path)
        self._lock.leaves = True

    def __enter__(self) -> OutputFile:
        self._lock.__enter__()
        for name in self._lock.notes:
            if re.fullmatch(re.escape(self.path.name) + PART, name):
                with suppress(OSError):
                    _remove_part(self.path.with_name(name))
                if os.path.lexists(self.path.with_name(name)):  # for the next process
                    self._lock.note(name)
        return self

    def __exit__(self, *error) -> None:
        self.discard()
        self._lock.__exit__(*error)

    def _announce(self, part: Path) -> None:
        self._lock.note(part.name)


def in_use(path: Path) -> bool:
    """Whether another process is writing a file; if one was killed meanwhile, its remains are removed."""
    if not os.path.lexists(path.with_name(f".{path.name}.lock")):
        return False
    try:
        with OutputFile(path):
            return False
    except OSError:  # held, or another's
        return True


def save(path: Path, write: Callable[[Path], object], replace: bool = False) -> Path:
    """Let ``write`` fill a file that gets its name only when it is complete; return the name."""
    file = PartFile(path, replace)
    try:
        write(file.create())
        return file.publish()
    finally:
        file.discard()


def save_text(path: Path, text: str, replace: bool = False) -> Path:
    """Write a UTF-8 file that appears with all of its text or not at all, even if the machine fails."""
    with plain_errors(path):
        return save(path, lambda part: part.write_text(text, encoding="utf-8"), replace)


def sha256(path: Path, tick: cancel.Tick | None = None) -> str:
    """Return the SHA-256 of a file's contents, in hexadecimal.

    Between blocks ``cancel.check`` may raise, and so may ``tick(size, size)``, which leaves the caller's
    progress unchanged.
    """
    digest, size = hashlib.sha256(), path.stat().st_size
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            cancel.check()
            if tick:
                tick(size, size)
    return digest.hexdigest()


def sync(path: Path) -> None:
    """Flush a file's content to disk."""
    number = os.open(path, os.O_RDWR | SAFELY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def sync_folder(folder: Path) -> None:
    """Flush a folder's names to disk; Windows does so automatically."""
    if os.name == "nt":
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in NO_LOCKS:  # some network disks cannot
            raise
    finally:
        os.close(number)


def _move_to_free(source: Path, path: Path) -> Path:
    numbered = (path.with_name(f"{path.stem}_{number}{path.suffix}") for number in count(2))
    for place in chain([path], numbered):
        try:
            _move_new(source, place)
            return place
        except FileExistsError:
            continue
    raise AssertionError  # numbers do not end


def _move_new(source: Path, place: Path) -> None:
    """Rename to a name that is free. Raise FileExistsError if it is taken."""
    if os.name == "nt":
        os.rename(source, place)  # never replaces
        return
    try:
        os.link(source, place, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NO_HARD_LINKS:
            raise
        if os.path.lexists(place):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(place)) from None
        os.rename(source, place)
    else:
        with suppress(OSError):  # it then has both names, and the old one is removed with the part
            os.unlink(source)


def _remove_part(part: Path) -> None:
    """Remove a part file, or a part folder with its content.

    Both were created by this pack under a name that was free.
    """
    if part.is_dir() and not part.is_symlink():
        shutil.rmtree(part)
    else:
        part.unlink(missing_ok=True)
