"""System errors in one sentence: what is wrong, with which file, and what to do."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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
