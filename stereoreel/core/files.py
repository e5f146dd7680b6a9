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
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import FileIO
from itertools import chain, count
from pathlib import Path

from . import cancel

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

log = logging.getLogger(__name__)

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)  # some network disks
# FAT, some network disks
NO_HARD_LINKS = (errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK)
PART = r"\.[0-9a-f]{8}\.part"  # suffix of the part file
SAFELY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
BLOCK = 1 << 22  # bytes hashed at a time
LOCK_PREFIX = b"\0\nprocess "  # how the text of a held lock begins; its first byte is what Windows locks


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


class Lock:
    """A system-held lock, held while entered and released when the process ends, however that happens.

    BlockingIOError says who uses ``what`` (by default the folder). ``notes`` are the lines the last holder
    left, if it was killed. With ``leaves`` the lock's file is removed at the end.

    The library filelock, which downloads use, cannot replace it, because the locked file itself holds text:

    - Its release 3 opens the file with O_TRUNC before locking it. A process that only tests the lock would
      erase who holds it and which parts it has begun, or empty a user's file that has the lock's name.
      Release 4 does not, but requiring it would upgrade a library that ComfyUI and its other nodes share.
    - Text in a second file would be left when the lock is removed, or removed from the next holder.
    - It raises on disks without locks (ENOLCK, EOPNOTSUPP, EINVAL), where this one continues without
      (``NO_LOCKS``).
    """

    def __init__(self, path: Path, what: Path | None = None):
        self.path, self.leaves = path, False
        self._what = what or path.parent
        self._file: FileIO | None = None
        self.notes: list[str] = []

    def __enter__(self) -> Lock:
        with plain_errors(self.path.parent):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        while self._file is None:
            with ExitStack() as undo, plain_errors(self.path):
                file = self._opened()
                undo.callback(file.close)
                self._take(file)
                # or its last holder has just removed it
                if os.name == "nt" or _same(file.fileno(), self.path):
                    self._claim(file)
                    self._file = file
                    undo.pop_all()
        return self

    def _claim(self, file: FileIO) -> None:
        file.seek(0)
        self.notes = file.read().decode("utf-8", "surrogateescape").splitlines()[2:]
        file.truncate(0)
        file.write(LOCK_PREFIX + f"{os.getpid()} on {socket.gethostname()}\n".encode())

    def note(self, line: str) -> None:
        """Leave a line for the next holder, in case this process is killed."""
        if self._file is None:
            raise ValueError(f"The lock {self.path} is not held. Enter it first.")
        with plain_errors(self.path):
            self._file.write(f"{line}\n".encode("utf-8", "surrogateescape"))

    def __exit__(self, *error) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        with suppress(OSError):  # an empty lock does no harm
            if self.leaves and os.name != "nt" and _same(file.fileno(), self.path):
                self.path.unlink()
        file.close()
        # Windows cannot remove an open file, and another process may have opened it by now
        with suppress(OSError):
            if self.leaves and os.name == "nt":
                self.path.unlink()

    def _opened(self) -> FileIO:
        file = os.fdopen(
            os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_APPEND | SAFELY, 0o666), "ab+", buffering=0
        )
        shy = os.name == "nt"  # there a byte that another process has locked cannot be read
        file.seek(1 if shy else 0)
        if not LOCK_PREFIX[1 if shy else 0 :].startswith(
            file.read(len(LOCK_PREFIX))[: len(LOCK_PREFIX) - shy]
        ):
            file.close()
            raise FileExistsError(
                f"{self.path} is not a lock of StereoReel. Move it away, or choose another output."
            )
        return file

    def _take(self, file: FileIO) -> None:
        try:
            _lock(file.fileno())
        except OSError as error:
            if error.errno in NO_LOCKS:
                return
            file.seek(len(LOCK_PREFIX) - len("process "))
            holder = (file.read().decode("utf-8", "replace").splitlines() or ["another process"])[0]
            raise BlockingIOError(
                f"{self._what} is in use by {holder}. Wait for it, stop it, or choose another output."
            ) from None


def _lock(number: int) -> None:
    if sys.platform == "win32":
        os.lseek(number, 0, os.SEEK_SET)
        msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _same(number: int, path: Path) -> bool:
    """Whether a path still leads to an open file."""
    try:
        return os.path.samestat(os.fstat(number), os.lstat(path))
    except FileNotFoundError:
        return False


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


def refuse_harm(
    targets: Iterable[Path],
    protected: Iterable[Path] = (),
    overwrite: bool = False,
    *,
    folders: bool = False,
) -> None:
    """Raise, before anything is written, unless all ``targets`` are free to be written.

    They are files, or ``folders``.

    - ValueError for a name that is malformed, given twice, or one of the ``protected`` files, by any path,
      link or hard link.
    - IsADirectoryError or NotADirectoryError for a folder in the place of a file, or a file in that of a
      folder.
    - FileExistsError for a file that exists, unless ``overwrite``.
    """
    read, seen = _Identities(protected), {}
    for target in targets:
        _check_place(target, folders)
        real = os.path.normcase(os.path.realpath(target))
        if real in seen:
            raise ValueError(f"{target} would be written twice. Give each output a name of its own.")
        seen[real] = target
        if (source := read.find(target)) is not None:
            also = "" if os.path.abspath(target) == os.path.abspath(source) else f", as {source}"
            raise ValueError(f"{target} is a file that this job reads{also}. Choose another output name.")
        if folders and os.path.lexists(target) and not overwrite:
            raise FileExistsError(
                f"{target} already exists, and folders are never replaced. Choose another name."
            )
        if os.path.lexists(target) and not overwrite:
            raise FileExistsError(
                f"{target} already exists. Choose another name, or replace it with --overwrite "
                "(in Python: overwrite=True)."
            )


def refuse_folders(targets: Iterable[Path], folders: Iterable[Path]) -> None:
    """Raise IsADirectoryError if a file to be written has the name of a folder to be made or its parent."""
    for target in targets:
        for folder in folders:
            file, result = (Path(os.path.normcase(os.path.realpath(path))) for path in (target, folder))
            if file == result or file in result.parents:
                raise IsADirectoryError(
                    f"{target} would be both a file and a folder, because {folder} is a folder of this "
                    "job. Choose another name for one of them."
                )


def _check_place(target: Path, folder: bool) -> None:
    if "\0" in str(target) or not target.name:
        raise ValueError(f"{str(target)!r} is not a file name. Choose another output name.")
    if target.is_dir() and folder:
        return
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder. Name a file in it, such as {target / 'film.mp4'}.")
    if os.path.lexists(target) and not target.is_symlink() and not target.is_file():
        raise FileExistsError(f"{target} is not an ordinary file. Choose another output name.")
    parent = next((parent for parent in target.absolute().parents if os.path.lexists(parent)), None)
    if parent is not None and not parent.is_dir():
        raise NotADirectoryError(
            f"{parent} is a file, so nothing can be stored in it. Choose another output folder."
        )


class _Identities:
    """Files by what their paths lead to; one that does not exist leads where its name says."""

    def __init__(self, paths: Iterable[Path]):
        self._known = {identity: path for path in paths for identity in self._of(path)}

    def find(self, path: Path) -> Path | None:
        """Return the file that is the same as this one, by any path, link or hard link."""
        return next((self._known[one] for one in self._of(path) if one in self._known), None)

    @staticmethod
    def _of(path: Path) -> list[str | tuple[int, int]]:
        real = os.path.realpath(path)
        try:
            status = os.stat(real)
        except OSError:
            return [os.path.normcase(real)]
        return [os.path.normcase(real), (status.st_dev, status.st_ino)]


@contextmanager
def plain_errors(path: Path) -> Iterator[None]:
    """Re-raise a system error as the same type of OSError, in one sentence that names ``path``."""
    try:
        yield
    except OSError as error:
        if error.errno is None or len(error.args) < 2:  # says what is wrong already
            raise
        plain = type(OSError(error.errno, ""))(plain_error(error, path))
        plain.errno = error.errno
        raise plain from error


def plain_error(error: OSError, path: Path | str | None = None) -> str:
    """Return one sentence for a system error: what is wrong, with which file, and what to do."""
    place = path or error.filename
    if error.errno in DISK_FULL:
        where = f" for {place}" if place else ""
        full = "the disk is full, or does not allow a file this large"
        return f"There is no room{where}: {full}. Free some space and run again."
    what = error.strerror or str(error)
    hints = {
        errno.EACCES: "Give this user permission, or choose another place.",
        errno.EROFS: "Choose a writable place.",
        errno.ENAMETOOLONG: "Choose a shorter name.",
        errno.ENOENT: "Check the name.",
        errno.EIO: "Check the disk.",
    }
    return " ".join(
        [f"{place}: {what}." if place else f"{what}.", *filter(None, [hints.get(error.errno or 0)])]
    )
