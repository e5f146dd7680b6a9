"""Any file operation may fail, and the process may be killed anywhere, without harm to the user's files.

The same command then completes. As in SQLite's tests, every operation of a complete run, film and fetch fails
in turn: some of them in the suite, all with STEREOREEL_ATTACK=all. Nothing changes on the disk between two
operations, so these are all the possible moments.
"""

import json
import os
import random
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.support.films import source
from tests.support.weights_shop import offered, serving

HERE = Path(__file__).parent
ALL = os.environ.get("STEREOREEL_ATTACK") == "all"
GRAPH = {
    "1": {"class_type": "StereoReelExtract", "inputs": {"video": "source.mp4", "cuts": False}},
    "2": {
        "class_type": "StereoReelInterpolate",
        "inputs": {"clip": ["1", 0], "model": "builtin", "multiplier": 1, "cuts": "4, 7"},
    },
    "3": {"class_type": "StereoReelEncode", "inputs": {"clip": ["2", 0], "format": "ffv1"}},
}

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("cc"), reason="needs Linux and a C compiler"
)


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    library = tmp_path_factory.mktemp("faulty") / "faulty_io.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, HERE / "faulty_io.c", "-ldl"], check=True)
    return library


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    (folder / "template").mkdir()
    source(folder / "template" / "source.mp4", shots=(4, 3, 3))
    (folder / "template" / "graph.json").write_text(json.dumps(GRAPH))
    return folder


@pytest.fixture(scope="module")
def fetches(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fetches")
    (folder / "template").mkdir()
    with serving() as shop:
        (folder / "template" / "offer.json").write_text(
            json.dumps({**asdict(offered(shop)), "file": "net.bin"})
        )
        yield folder


def law(faulty, folder, command, mode, numbers=()) -> dict:
    alone = {**os.environ, "LD_PRELOAD": str(faulty), "OMP_NUM_THREADS": "1"}
    call = [sys.executable, HERE / "crash_law.py", folder, command, mode, *numbers]
    done = subprocess.run([str(word) for word in call], capture_output=True, text=True, env=alone)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("mode", ["once", "full", "kill", "torn"])
@pytest.mark.parametrize("command", ["run", "film", "fetch"])
def test_no_file_is_lost_at_any_failure(faulty, films, fetches, command, mode):
    folder = fetches if command == "fetch" else films
    count = law(faulty, folder, command, mode)["operations"]
    assert count > 5
    numbers = range(1, count + 1)
    some = 20 if mode == "kill" else 8
    if not ALL and len(numbers) > some:
        numbers = sorted(random.Random(f"{command} {mode}").sample(numbers, some))
    assert law(faulty, folder, command, mode, numbers)["bad"] == []
