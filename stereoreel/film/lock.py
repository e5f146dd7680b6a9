"""A folder that one process works in at a time. The system holds the lock, so that it goes with the process, however that ends."""

from __future__ import annotations

import os
import socket
from pathlib import Path

if os.name == "nt":
    import msvcrt
else:
    import fcntl


class Lock:
    """Held while entered; BlockingIOError tells in one sentence who holds it."""

    def __init__(self, path: Path):
        self._path, self._file = path, None

    def __enter__(self) -> Lock:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = open(self._path, "a+", encoding="utf-8")
        try:
            _take(file.fileno())
        except OSError:
            file.seek(1)
            holder = file.read().strip() or "another process"
            file.close()
            raise BlockingIOError(f"{holder} is at work in {self._path.parent}; wait for it, or stop it, or give another output.") from None
        file.truncate(1)  # its first byte is what Windows locks
        file.seek(1)
        file.write(f"\nprocess {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        self._file = file
        return self

    def __exit__(self, *error) -> None:
        self._file.close()
        self._file = None


def _take(number: int) -> None:
    if os.name == "nt":
        os.lseek(number, 0, os.SEEK_SET)
        msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
