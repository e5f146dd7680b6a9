"""Run a command repeatedly in forks, with the N-th file operation of each failing; POSIX only.

    crash_law.py FOLDER COMMAND MODE [N ...]

    COMMAND: run, film or fetch; MODE: once, full, kill or torn; no N: count them

See faulty_io.c. Prints one line of JSON: the number of operations of an undisturbed run, and all faults
found.
"""

import ctypes
import errno
import hashlib
import json
import os
import shutil
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import av

from stereoreel.cli.main import main
from stereoreel.film import segment  # noqa: F401
from stereoreel.media.write import render  # noqa: F401
from stereoreel.models import download
from stereoreel.models.weights import File
from tests.support.films import source  # noqa: F401  # so that no fork imports anything

MODES = {"once": 1, "full": 2, "kill": 3, "torn": 4}
FAULTY = ctypes.CDLL(None)
FAULTY.faulty_arm.argtypes = (ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_int)
FAULTY.faulty_count.restype = ctypes.c_long
FOREIGN = ("thesis.txt", "film.mkv.0badf00d.part", "film.mkv.job.txt")


class Scene:
    """A folder for a command: its source, foreign files, and what the command writes."""

    def __init__(self, folder: Path, command: str):
        self.template, self.work, self.command = folder / "template", folder / "work", command
        self.made = self.work / ("net.bin" if command == "fetch" else "film.mkv")

    def fresh(self) -> None:
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir()
        for file in self.template.iterdir():
            shutil.copy(file, self.work)
        for name in FOREIGN:
            (self.work / name).write_text(f"{name} is foreign")

    def run(self) -> int:
        if self.command == "fetch":
            facts = json.loads((self.work / "offer.json").read_text())
            try:
                download.fetch(File(**facts), self.work)
                return 0
            except (OSError, ValueError) as error:
                print(f"error: {error}", file=sys.stderr)
                return 1
        inputs = ["--input", str(self.work / "source.mp4"), "--output", str(self.made), "--device", "cpu"]
        more = ["--unit", "8"] if self.command == "film" else []
        return main([self.command, str(self.work / "graph.json"), *inputs, *more])

    def harm(self) -> list[str]:
        """Return what was done to foreign files."""
        found = [
            f"{name} was changed"
            for name in FOREIGN
            if (self.work / name).read_text() != f"{name} is foreign"
        ]
        same = all(
            (self.work / file.name).read_bytes() == file.read_bytes() for file in self.template.iterdir()
        )
        return found + ([] if same else ["an input was changed"])

    def left(self) -> list[str]:
        """Return new files that are not the command's output."""
        known = {*FOREIGN, *(file.name for file in self.template.iterdir()), self.made.name}
        return sorted(
            str(path.relative_to(self.work))
            for path in self.work.rglob("*")
            if path.relative_to(self.work).parts[0] not in known
        )


def forked(scene: Scene, number: int, mode: int) -> tuple[int, int, str]:
    """Run the command in a fork; return its exit status (negative: a signal), operations and output."""
    reading, writing = os.pipe()
    if not (pid := os.fork()):
        os.close(reading)
        said = os.open(os.devnull, os.O_WRONLY)
        os.dup2(said, 1)
        os.dup2(os.open(scene.work.parent / "said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        FAULTY.faulty_arm(
            str(scene.work).encode(), number, mode, errno.ENOSPC if mode == MODES["full"] else errno.EIO
        )
        status = scene.run()
        sys.stderr.flush()
        os.write(writing, str(FAULTY.faulty_count()).encode())
        os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        count = int(pipe.read() or 0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return status, count, (scene.work.parent / "said.txt").read_text()


def content(path: Path) -> str:
    """Return the hash of a file's decoded frames, or of its bytes if it is no video."""
    state = hashlib.sha256()
    if path.suffix != ".mkv":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    with av.open(str(path)) as file:
        for frame in file.decode(video=0):
            state.update(frame.to_ndarray().tobytes())
    return state.hexdigest()


def attack(scene: Scene, mode: str, number: int, wanted: str) -> list[str]:
    scene.fresh()
    status, count, said = forked(scene, number, MODES[mode])
    found = scene.harm()
    # blocks come as the network gives them
    over = scene.command == "fetch" and status == 0 and count < number
    if mode in ("kill", "torn") and status != -signal.SIGKILL and not over:
        found.append(f"was not killed but ended with {status}")
    if status > 0 and ("Traceback" in said or "[Errno" in said or not said.strip()):
        found.append(f"said {said[-300:]!r}")
    complete = scene.made.exists()
    if complete and content(scene.made) != wanted:
        found.append("left a damaged file under the final name")
    again, _, said = forked(scene, 0, 0)
    # a run that was stopped between completion and exit
    refused = again == 1 and complete and "already exists" in said
    if again and not refused:
        found.append(f"did not complete the second time: {said[-300:]!r}")
    if not scene.made.exists() or content(scene.made) != wanted:
        found.append("the second time's frames differ")
    found += scene.harm()
    if scene.left() and not refused:
        found.append(f"left {scene.left()}")
    return [f"{mode} at {number}: {one}" for one in found]


def law(folder: Path, command: str, mode: str, numbers: list[int]) -> None:
    scene = Scene(folder, command)
    scene.fresh()
    status, count, said = forked(scene, 0, 0)
    assert status == 0 and not scene.left(), (status, said, scene.left())
    wanted = content(scene.made)
    bad = [line for number in numbers for line in attack(scene, mode, number, wanted)]
    print(json.dumps({"operations": count, "bad": bad}))


if __name__ == "__main__":
    law(Path(sys.argv[1]), sys.argv[2], sys.argv[3], [int(one) for one in sys.argv[4:]])
