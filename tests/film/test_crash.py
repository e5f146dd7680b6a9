"""A film survives the end of its process: the same command resumes it, with equal frames."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stereoreel.film import job_folder
from tests.support.films import facts, hashes, source

KILLS = int(os.environ.get("STEREOREEL_KILLS", 4))  # 20 by hand: STEREOREEL_KILLS=20
HERE = Path(__file__).parent

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return source(tmp_path_factory.mktemp("source") / "film.mp4")


def python(*arguments) -> str:
    alone = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, env=alone)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_film_is_finished_after_repeated_kills(video, tmp_path):
    status, said = json.loads(python(HERE / "crash.py", video, tmp_path / "film.mp4", KILLS, 1))
    assert status == 0 and len(said) <= 1, said
    assert hashes(tmp_path / "film.mp4") == hashes(tmp_path / "whole.mp4")
    assert facts(tmp_path / "film.mp4") == facts(tmp_path / "whole.mp4")
    assert not list(tmp_path.rglob("*.part"))


def test_full_disk_keeps_finished_units(video, tmp_path):
    """Limit the size of files, which acts as a full disk; the third unit is the first that does not fit."""
    path = tmp_path / "film.mp4"
    sizes = [file.stat().st_size for file in _finished(video, tmp_path / "other.mp4")]
    limit = max(sizes[:2]) + 1
    assert max(sizes[2:]) > limit
    code = (
        f"import sys; sys.path.insert(0, {str(HERE.parents[1])!r}); from tests.film.crash import *;"
        f"print(json.dumps(outcome(*child(Path({str(video)!r}), Path({str(path)!r}), {limit}))))"
    )
    status, said = json.loads(python("-c", code))
    assert status == 1 and re.match(r"There is no room for .*00002\.0\.nut: ", said[-1])
    assert not path.exists() and len(list(job_folder(path).glob("*/units/*.nut"))) == 2
    status, said = json.loads(python("-c", code.replace(str(limit), "0")))
    assert status == 0 and said == ["Resuming: 2 of 5 units are complete."]
    assert hashes(path) == hashes(tmp_path / "other.mp4")


def _finished(video, path) -> list[Path]:
    from tests.support.films import make

    make(video, path, keep=True)
    return sorted(job_folder(path).glob("*/units/*.nut"))
