"""Render a film in child processes that are killed at random moments; POSIX only.

    crash.py VIDEO OUTPUT KILLS SEED

A child is a fork, so that nothing is imported twice. Prints the status and the messages of the last child,
which is not killed.
"""

import json
import os
import random
import select
import signal
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.support.films import make


def child(video: Path, path: Path, limit: int = 0) -> tuple[int, int]:
    """Start a process that renders the film; return its id and a pipe that closes when it ends."""
    reading, writing = os.pipe()
    if pid := os.fork():
        os.close(writing)
        return pid, reading
    os.close(reading)
    said, status = [], 1
    try:
        if limit:
            import resource

            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        make(video, path, said=said, keep=True)
        status = 0
    except OSError as error:
        said.append(str(error))
    finally:
        os.write(writing, json.dumps(said).encode())
        os._exit(status)


def outcome(pid: int, reading: int) -> tuple[int, list[str]]:
    """Return a child's exit status and its messages."""
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), json.loads(said or b"[]")


def main(video: Path, path: Path, kills: int, seed: int) -> None:
    begun = time.monotonic()
    whole = path.with_name(f"whole{path.suffix}")
    assert outcome(*child(video, whole))[0] == 0
    length, chance = time.monotonic() - begun, random.Random(seed)
    killed = 0
    while killed < kills:
        pid, reading = child(video, path)
        select.select([reading], [], [], chance.uniform(0, 0.6 * length))
        os.kill(pid, signal.SIGKILL)
        killed += outcome(pid, reading)[0] == -signal.SIGKILL
        if path.exists():  # it finished before it was killed: start again
            path.unlink()
    print(json.dumps(outcome(*child(video, path))))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
