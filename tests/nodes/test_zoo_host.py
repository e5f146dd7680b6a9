"""The files of the zoo that ComfyUI's own Load Video reads have as many frames as it gives."""

import json
import os
import subprocess
import warnings
from pathlib import Path

import pytest

from benchmarks.support.comfy_server import python_of
from stereoreel.media.read.probe import probe
from tests.media import zoo
from tests.media.workshop import Workshop

pytestmark = pytest.mark.host

UNREAD = {"snow.nut", "bare.h264", "bare-plain.h264", "bare.hevc"}  # files for which Load Video raises
COUNT = """
import json, sys
sys.path.insert(0, sys.argv[1])
names, sys.argv = json.load(sys.stdin), ["main.py", "--cpu"]
from comfy_api.latest import InputImpl
def count(name):
    try:
        return len(InputImpl.VideoFromFile(name).get_components().images)
    except Exception:
        return None
print("\\n" + json.dumps([count(name) for name in names]))
"""


def test_files_have_as_many_frames_as_load_video_gives(tmp_path):
    comfy = os.environ.get("COMFYUI")
    if not comfy:
        pytest.skip("COMFYUI names no ComfyUI")
    shop = Workshop(tmp_path)
    files = [one.make(shop) for one in zoo.ZOO.values()]
    counted = subprocess.run(
        [python_of(Path(comfy)), "-c", COUNT, comfy],
        input=json.dumps([str(file) for file in files]),
        capture_output=True,
        text=True,
        check=True,
    )
    counts = json.loads(counted.stdout.splitlines()[-1])
    read = {file: count for file, count in zip(files, counts) if count is not None}
    assert {file.name for file in files} - {file.name for file in read} <= UNREAD
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert {file.name: probe(file).frames for file in read} == {
            file.name: count for file, count in read.items()
        }
