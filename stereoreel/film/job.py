"""A film in the making as a folder: what it is made of, its units, one finished file a unit, and a journal.

``<output>.job/<identity>/`` holds ``job.json``, ``journal.txt`` and ``units/``. A unit is finished when its ``.json`` is there, which is
written last; that file tells the size and the sha256 of what was encoded, and the hash of every frame before. Another identity, of another
source or workflow, is another folder, so that going back to the old one goes on with it.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ..units import Unit
from .identity import differences, digest, sha256
from .lock import Lock

FORMAT = 1


class Made(NamedTuple):
    """What is known of a finished unit; ``frames`` are the hashes of each frame of each clip."""

    unit: Unit
    files: list[dict]  # name, bytes, sha256 and ahead of each
    frames: list[list[str]]
    seconds: float
    costs: dict
    worker: str = ""


class Job:
    """The job of an identity; entered, it holds the folder's lock. ``notes`` are kept beside what it is made of.

    BlockingIOError where another process works on it.
    """

    def __init__(self, root: Path, identity: dict, units: Sequence[Unit], notes: dict, say: Callable[[str], None]):
        self.root, self.identity, self.name = Path(root), identity, digest(identity)
        self.folder, self.units, self._notes, self._say = self.root / self.name, list(units), notes, say
        self.made: dict[int, Made] = {}
        self._lock, self._over = Lock(self.folder / "lock"), False

    def __enter__(self) -> Job:
        known = self.folder.is_dir()
        others = [] if known else list(_others(self.root))
        self._lock.__enter__()
        if (self.folder / "job.json").is_file():
            self._continue()
        else:
            self._begin(others)
        return self

    def __exit__(self, *error) -> None:
        self._lock.__exit__(*error)
        if self._over:
            shutil.rmtree(self.folder, ignore_errors=True)
            if not any(_others(self.root)):
                shutil.rmtree(self.root, ignore_errors=True)

    @property
    def place(self) -> Path:
        """Where units are written."""
        return self.folder / "units"

    def missing(self) -> list[int]:
        return [number for number in range(len(self.units)) if number not in self.made]

    def finished(self, number: int, made: Made) -> None:
        """Keep a unit whose files are there already; from now on nothing but damage makes it be done again."""
        write_whole(self._record(number), json.dumps(made._asdict()))
        self.made[number] = made
        size = sum(file["bytes"] for file in made.files)
        by = f" by {made.worker}" if made.worker else ""
        self.note(f"unit {number} (frames {made.unit.start} to {made.unit.stop - 1}) made in {made.seconds:.1f} s{by}, {size} bytes")

    def note(self, line: str) -> None:
        """A line for the journal."""
        with open(self.folder / "journal.txt", "a", encoding="utf-8") as journal:
            journal.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {line}\n")

    def tell(self, line: str) -> None:
        """A line for the journal and for whoever waits."""
        self.note(line)
        self._say(line)

    def forget(self) -> None:
        """The film is complete: when this is left, its units go, and the folder where no other job is in it."""
        self._over = True

    def _record(self, number: int) -> Path:
        return self.place / f"{number:05}.json"

    def _begin(self, others: list[dict]) -> None:
        self.place.mkdir(parents=True, exist_ok=True)
        facts = {"format": FORMAT, "identity": self.identity, "units": self.units, **self._notes}
        write_whole(self.folder / "job.json", json.dumps(facts, indent=1, default=str))
        self.note(f"begun: {self.units[-1].stop} frames in {len(self.units)} units")
        for other in others:
            what = ", ".join(dict.fromkeys(differences(other["identity"], self.identity))) or "something"
            self.tell(f"This is a new job, because {what} changed; what the other one had made stays in {other['folder']} until you delete it.")

    def _continue(self) -> None:
        facts = json.loads((self.folder / "job.json").read_text(encoding="utf-8"))
        if facts.get("format") != FORMAT:
            raise ValueError(f"{self.folder} was made by another version of StereoReel; delete it to begin anew.")
        self.units = [Unit(*unit) for unit in facts["units"]]
        for number in range(len(self.units)):
            if self._record(number).is_file() and (made := self._checked(number)):
                self.made[number] = made
        self._sweep()
        self.tell(f"Going on: {len(self.made)} of {len(self.units)} units are there already.")
        if facts.get("environment") != self._notes.get("environment"):
            self.tell("The machine or a library is another one than before; frames from here on may differ in their last bits.")

    def _checked(self, number: int) -> Made | None:
        """A finished unit whose files are as they were; None, and said, where they are not."""
        try:
            facts = json.loads(self._record(number).read_text(encoding="utf-8"))
            made = Made(**{**facts, "unit": Unit(*facts["unit"])})
        except (ValueError, TypeError):
            made = None
        if made and all(_whole(self.place / file["name"], file) for file in made.files):
            return made
        self.tell(f"Unit {number} is damaged on disk and is made again.")
        self._record(number).unlink()
        return None

    def _sweep(self) -> None:
        """Remove what a process left that ended in the middle of a unit."""
        kept = {file["name"] for made in self.made.values() for file in made.files} | {self._record(number).name for number in self.made}
        for path in self.place.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in kept:
                path.unlink()


def _whole(path: Path, facts: dict) -> bool:
    return path.is_file() and path.stat().st_size == facts["bytes"] and sha256(path) == facts["sha256"]


def _others(root: Path) -> Iterator[dict]:
    """The jobs in a folder."""
    for path in sorted(root.glob("*/job.json")):
        yield {**json.loads(path.read_text(encoding="utf-8")), "folder": path.parent}


def write_whole(path: Path, text: str) -> None:
    """A file that is there with all of its text, or not at all, whatever happens to the machine."""
    part = path.with_name(f"{path.name}.part")
    with open(part, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
    if os.name != "nt":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the name too
        finally:
            os.close(folder)
