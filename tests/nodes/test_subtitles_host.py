"""Burned subtitles in a real ComfyUI: of a file in the input folder, and of no file outside."""

import os

import av
import numpy as np
import pytest

from stereoreel.sample import FILE

pytestmark = pytest.mark.host
if not os.environ.get("COMFYUI"):
    pytest.skip("no ComfyUI named: make test-host COMFYUI=path", allow_module_level=True)

LINE = "1\n00:00:00,100 --> 00:00:00,300\nSubtitles, burned\n"


def flow(**encode) -> dict:
    return {
        "1": {"class_type": "StereoReelExtract", "inputs": {"video": "film.mp4", "duration": 0.4}},
        "2": {"class_type": "StereoReelDepth", "inputs": {"clip": ["1", 0], "model": "builtin"}},
        "3": {
            "class_type": "StereoReelStereo",
            "inputs": {"clip": ["1", 0], "depth": ["2", 0], "model": "builtin"},
        },
        "4": {
            "class_type": "StereoReelEncode",
            "inputs": {"clip": ["3", 0], "filename_prefix": "burned/out", "format": "ffv1", **encode},
        },
    }


@pytest.fixture(scope="module")
def film(server):
    (server.base / "input").mkdir(exist_ok=True)
    (server.base / "input" / "film.mp4").write_bytes(FILE.read_bytes())
    (server.base / "input" / "other.srt").write_text(LINE, encoding="utf-8")
    (server.base / "secret.srt").write_text(LINE, encoding="utf-8")


def frames(server, history) -> np.ndarray:
    assert history["status"]["status_str"] == "success", history["status"]
    (shown,) = history["outputs"]["4"]["images"]
    path = server.base / "output" / shown["subfolder"] / shown["filename"]
    return np.stack([frame.to_ndarray(format="rgb24") for frame in av.open(str(path)).decode(video=0)])


def test_a_file_of_the_input_folder_is_burned_into_both_views(server, film):
    bare = frames(server, server.run(flow()))
    shown = frames(server, server.run(flow(subtitles="burn", subtitle_source="other.srt")))
    differs = (shown != bare).any(-1)
    times = differs.any((1, 2))
    rate = 24
    assert np.flatnonzero(times).tolist() == [n for n in range(len(times)) if 0.1 <= n / rate < 0.3]
    left, right = np.split(differs[4], 2, axis=1)
    assert left.any() and right.any() and not differs[4][: differs.shape[1] // 2].any()


@pytest.mark.parametrize("name", ["../secret.srt", "{base}/secret.srt"])
def test_a_file_outside_of_the_permitted_folders_is_refused(server, film, name):
    graph = flow(subtitles="burn", subtitle_source=name.format(base=server.base))
    answer = server.post("/prompt", {"prompt": graph})
    assert answer.status_code == 400
    assert "outside the permitted folders" in answer.text
