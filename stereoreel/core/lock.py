"""A lock that the system holds for a process, and that tells who holds it."""

from __future__ import annotations

import errno
import os
import socket
import sys
from contextlib import ExitStack, suppress
from io import FileIO
from pathlib import Path

from .system_errors import plain_errors

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)  # some network disks
SAFELY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
LOCK_PREFIX = b"\0\nprocess "  # how the text of a held lock begins; its first byte is what Windows locks


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
