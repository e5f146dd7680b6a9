"""The job folder of a film: its identity, its units, one finished file per unit, and a journal.

``<output>.job/<identity>/`` holds ``job.json``, ``journal.txt`` and ``units/``. A unit is finished when its
``.json`` exists, which is written last. It holds the size and the SHA-256 of the encoded files, and the hash
of every frame before encoding. Another identity, of another source or workflow, has another folder, so that
returning to the earlier one resumes it.

Only files that this module names are removed; other files in the folder stay.
"""

from __future__ import annotations

import json
import os
import re
import stat
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from ..core.files import PART, save_text, sha256
from ..core.lock import SAFELY, Lock
from ..core.partition import Unit
from ..core.system_errors import plain_errors
from .identity import differences, digest
from .job_root import (
    IDENTITY,
    OF_FOUND,
    OF_MARK,
    digest_of,
    jobs,
    prepare,
    read_json,
    remove,
    remove_files,
)

FORMAT = 1
OWN = rf"(job\.json|journal\.txt|token)({PART})?"  # of one identity
OWN_PART = rf"(job\.json|token){PART}"
OF_UNIT = rf"\d{{5,}}\.(json|\d+\.nut)({PART})?"
OF_WORKER = r"unit-\w{8}"  # the folder of a unit that a worker is computing


class UnitRecord(NamedTuple):
    """The record of a finished unit; ``frames`` are the hashes of each frame of each clip, if it has any."""

    unit: Unit
    files: list[dict]  # name, bytes, sha256 and ahead of each
    frames: list[list[str]]
    seconds: float
    costs: dict
    worker: str = ""


class Job:
    """The job of an identity; entered, it holds the folder's lock.

    ``notes`` are stored with the identity; ``files`` is the number of files per unit. Entering raises
    BlockingIOError if another process uses the job, FileExistsError if the folder holds something else.
    """

    def __init__(
        self,
        root: Path,
        identity: dict,
        units: Sequence[Unit],
        notes: dict,
        say: Callable[[str], None],
        files: int,
    ):
        self.root, self.identity, self.name = Path(root), identity, digest(identity)
        self._files = files
        self.folder, self.units, self._notes, self._say = self.root / self.name, list(units), notes, say
        self.records: dict[int, UnitRecord] = {}
        self._lock, self._over = Lock(self.folder / "lock"), False

    def __enter__(self) -> Job:
        prepare(self.root)
        known = self.folder.is_dir()
        others = [] if known else list(jobs(self.root))
        for folder in (self.folder, self.place):
            if folder.is_symlink():
                raise FileExistsError(
                    f"{folder} is a link, but a job needs a folder there. Remove it, or choose another --job."
                )
        with ExitStack() as undo:
            undo.enter_context(self._lock)
            remove_files(self.folder, OWN_PART)
            if (self.folder / "job.json").is_file():
                self._continue()
            else:
                self._begin(others)
            undo.pop_all()
        return self

    def __exit__(self, *error) -> None:
        if self._over:
            self._empty()
        self._lock.__exit__(*error)
        if self._over:
            remove(self.folder, "")
            if not any(jobs(self.root)):
                remove(self.root, OF_FOUND)
            if not any(re.fullmatch(f"{IDENTITY}|{OF_FOUND}", path.name) for path in self.root.glob("*")):
                remove(self.root, OF_MARK)

    @property
    def place(self) -> Path:
        """The folder of the units."""
        return self.folder / "units"

    def missing(self) -> list[int]:
        return [number for number in range(len(self.units)) if number not in self.records]

    def finished(self, number: int, record: UnitRecord) -> None:
        """Record a unit whose files exist; from now on it is recomputed only if it is corrupt."""
        save_text(self._record(number), json.dumps(record._asdict()), replace=True)
        self.records[number] = record
        size = sum(file["bytes"] for file in record.files)
        by = f" by {record.worker}" if record.worker else ""
        self.note(
            f"unit {number} (frames {record.unit.start} to {record.unit.stop - 1}) "
            f"made in {record.seconds:.1f} s{by}, {size} bytes"
        )

    def note(self, line: str) -> None:
        """Write a line to the journal."""
        path = self.folder / "journal.txt"
        # something other than a regular file has this name
        if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
            return
        with (
            plain_errors(path),
            open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | SAFELY, 0o666), "ab") as journal,
        ):
            journal.write(
                f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {line}\n".encode("utf-8", "surrogateescape")
            )

    def report(self, line: str) -> None:
        """Write a line to the journal and pass it to the observer."""
        self.note(line)
        self._say(line)

    def forget(self) -> None:
        """Mark the film as complete: on exit its units are removed, and the folder if it has no other job."""
        self._over = self._lock.leaves = True

    def _names(self, number: int) -> list[str]:
        return [segment_name(number, place) for place in range(self._files)]

    def _record(self, number: int) -> Path:
        return self.place / f"{number:05}.json"

    def _begin(self, others: list[dict]) -> None:
        self._write()
        self.note(f"begun: {self.units[-1].stop} frames in {len(self.units)} units")
        for other in others:
            what = _what_changed(other["identity"], self.identity)
            self.report(
                f"This is a new job, because {what} changed. The units of the earlier one stay "
                f"in {other['folder']} until you delete it."
            )

    def _write(self) -> None:
        with plain_errors(self.place):
            self.place.mkdir(parents=True, exist_ok=True)
        facts = {"format": FORMAT, "identity": self.identity, "units": self.units, **self._notes}
        save_text(self.folder / "job.json", json.dumps(facts, indent=1, default=str), replace=True)

    def _continue(self) -> None:
        facts = self._facts()
        if facts is None:  # the command repeats everything in it
            self._write()
            facts = self._notes
            self.report(f"{self.folder / 'job.json'} was corrupt and was written again.")
        else:
            self.units = [Unit(*unit) for unit in facts["units"]]
        self.place.mkdir(exist_ok=True)
        for number in range(len(self.units)):
            if self._record(number).is_file() and (result := self._checked(number)):
                self.records[number] = result
        self._sweep()
        self.report(f"Resuming: {len(self.records)} of {len(self.units)} units are complete.")
        if facts.get("environment") != self._notes.get("environment"):
            self.report(
                "The machine or a library has changed. Frames from here on may differ in their last bits."
            )

    def _facts(self) -> dict | None:
        """Read ``job.json``; None if it is corrupt or belongs to another film.

        Raise ValueError if another version wrote it.
        """
        facts = read_json(self.folder / "job.json")
        if not isinstance(facts, dict) or "format" not in facts:
            return None
        if facts["format"] != FORMAT:
            raise ValueError(
                f"{self.folder} was made by another version of StereoReel. Delete it to begin again."
            )
        same = digest_of(facts.get("identity")) == self.name
        return facts if same and _tile(facts.get("units"), self.units[-1].stop) else None

    def _checked(self, number: int) -> UnitRecord | None:
        """Return a finished unit if its files are unchanged; otherwise report it and return None."""
        result = _made(
            read_json(self._record(number)),
            self.units[number],
            self._names(number),
            len(self.identity["clips"]),
        )
        if result and all(_is_intact(self.place / file["name"], file) for file in result.files):
            return result
        self.report(f"Unit {number} is corrupt on disk and is recomputed.")
        self._record(number).unlink()
        return None

    def _sweep(self) -> None:
        """Remove the files of unfinished units that an earlier process left."""
        kept = {file["name"] for result in self.records.values() for file in result.files} | {
            self._record(number).name for number in self.records
        }
        for path in self.place.iterdir():
            if re.fullmatch(OF_WORKER, path.name) and path.is_dir() and not path.is_symlink():
                remove(path, OF_UNIT)
            elif path.name not in kept and re.fullmatch(OF_UNIT, path.name) and not path.is_dir():
                path.unlink()

    def _empty(self) -> None:
        """Remove every file of this job except its lock, and folders that become empty."""
        for path in self.place.glob("unit-*"):
            if re.fullmatch(OF_WORKER, path.name) and not path.is_symlink():
                remove(path, OF_UNIT)
        remove(self.place, OF_UNIT)
        remove(self.folder, OWN)


def segment_name(number: int, place: int) -> str:
    """Return the name of a unit's segment of the film's file number ``place``."""
    return f"{number:05}.{place}.nut"


def _tile(units, frames: int) -> bool:
    """Whether a list read from a file holds consecutive units of this many frames."""
    place = 0
    for unit in units if isinstance(units, list) else ():
        if not (isinstance(unit, list) and len(unit) == 4 and all(type(edge) is int for edge in unit)):
            return False
        start, stop, first, last = unit
        if start != place or not 0 <= first <= start < stop <= last <= frames:
            return False
        place = stop
    return place == frames


def _what_changed(old: dict, new: dict) -> str:
    """Describe the differences; the old identity may be corrupt."""
    try:
        return ", ".join(dict.fromkeys(differences(old, new))) or "something"
    except (KeyError, TypeError, AttributeError):
        return "something"


def _made(facts, unit: Unit, wanted: list[str], clips: int) -> UnitRecord | None:
    """Return the record of a unit read from a file; None if it is corrupt or of another unit."""
    if not isinstance(facts, dict) or not set(UnitRecord._fields[:-1]) <= set(facts) <= set(
        UnitRecord._fields
    ):
        return None
    try:
        result = UnitRecord(**{**facts, "unit": Unit(*facts["unit"])})
        names = [file["name"] for file in result.files]
        known = all(type(file["bytes"]) is int and type(file["sha256"]) is str for file in result.files)
        known = known and all(
            type(file["ahead"]) is int and 0 <= file["ahead"] <= unit.frames for file in result.files
        )
        whole = len(result.frames) in (0, clips) and all(
            len(hashes) == unit.frames for hashes in result.frames
        )
        spent, seconds = (
            {label: [float(one) for one in cost] for label, cost in result.costs.items()},
            float(result.seconds),
        )
    except (TypeError, KeyError, ValueError, AttributeError):
        return None
    right = result.unit == unit and names == wanted
    return result._replace(costs=spent, seconds=seconds) if right and known and whole else None


def _is_intact(path: Path, facts: dict) -> bool:
    return path.is_file() and path.stat().st_size == facts["bytes"] and sha256(path) == facts["sha256"]
