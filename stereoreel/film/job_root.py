"""The folder that holds the jobs of a film: its mark, and what its jobs share.

Only one process at a time writes what they share, so that it can remove what a killed one left.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ..core.files import PART, save_text
from ..core.lock import Lock
from ..core.system_errors import plain_errors
from .identity import digest

MARK, CUTS, PLANS, SHARED = "stereoreel-job.txt", "cuts.json", "plans.json", "stereoreel-job.lock"
MARKED = (
    "StereoReel keeps the finished units of a film here until it is complete. "
    "Delete the folder to begin again.\n"
)
OF_MARK, OF_CUTS, OF_PLANS = (rf"{re.escape(name)}({PART})?" for name in (MARK, CUTS, PLANS))
OF_SHARED = rf"({'|'.join(map(re.escape, (MARK, CUTS, PLANS)))})"
OF_FOUND = f"{OF_CUTS}|{OF_PLANS}"
WAIT, PAUSE = 10, 0.02  # seconds for the other jobs of a folder, and between two attempts
IDENTITY = r"[0-9a-f]{12}"


def check_root(root: Path) -> None:
    """Raise NotADirectoryError if ``root`` is a file, FileExistsError if it holds other files and no job."""
    if not os.path.lexists(root):
        return
    if not root.is_dir():
        raise NotADirectoryError(f"{root} is a file, but a job needs a folder. Choose another --job.")
    with plain_errors(root):
        names = [path.name for path in root.iterdir()]
    if not all(re.fullmatch(f"{OF_MARK}|{SHARED}", name) for name in names) and not is_job(root):
        raise FileExistsError(
            f"{root} is not empty and holds no job of StereoReel. Choose an empty or a new folder for --job."
        )


def prepare(root: Path) -> None:
    """Make a folder for jobs; raise what ``check_root`` does."""
    check_root(root)
    with plain_errors(root):
        root.mkdir(parents=True, exist_ok=True)
    remains = f"{OF_SHARED}{PART}|{SHARED}"
    if not (root / MARK).is_file() or any(re.fullmatch(remains, path.name) for path in root.iterdir()):
        with alone(root):
            if not (root / MARK).is_file():
                save_text(root / MARK, MARKED, replace=True)


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Let one process at a time write what the jobs of a folder share, and remove what a killed one left.

    Raise BlockingIOError if another one takes longer than ``WAIT`` seconds.
    """
    latest = time.monotonic() + WAIT
    with ExitStack() as held:
        lock = Lock(root / SHARED)
        lock.leaves = True
        while True:
            try:
                held.enter_context(lock)
                break
            except BlockingIOError:
                if time.monotonic() > latest:
                    raise
                time.sleep(PAUSE)
        remove_files(root, OF_SHARED + PART)
        yield


def is_job(root: Path) -> bool:
    """Whether StereoReel made a folder: by its mark or, from versions without marks, by its jobs' names."""
    return (root / MARK).is_file() or any(
        re.fullmatch(IDENTITY, path.parent.name) for path in root.glob("*/job.json")
    )


def sources_of(root: Path) -> set[str]:
    """Return the real paths of the videos that the jobs in a folder read."""
    made = [one for job in jobs(root) for one in job["identity"]["made"]]
    return {one["path"] for one in made if "path" in one}


def read_json(path: Path):
    """Return the content of a JSON file; None if it is not valid JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return None


def jobs(root: Path) -> Iterator[dict]:
    """Yield the jobs in a folder; skip corrupt ones."""
    for path in sorted(root.glob("*/job.json")):
        facts = read_json(path)
        if (
            re.fullmatch(IDENTITY, path.parent.name)
            and isinstance(facts, dict)
            and digest_of(facts.get("identity"))
        ):
            yield {**facts, "folder": path.parent}


def remove(folder: Path, pattern: str) -> None:
    """Remove a folder's files with matching names, and the folder if it is empty then; ignore failures."""
    remove_files(folder, pattern)
    with suppress(OSError):
        folder.rmdir()


def remove_files(folder: Path, pattern: str) -> None:
    for path in list(folder.iterdir()) if folder.is_dir() else ():
        if re.fullmatch(pattern, path.name) and not (path.is_dir() and not path.is_symlink()):
            with suppress(OSError):
                path.unlink()


def digest_of(identity) -> str | None:
    """Return the digest of an identity read from a file; None if it is invalid."""
    try:
        return digest(identity)
    except (TypeError, KeyError, AttributeError):
        return None
