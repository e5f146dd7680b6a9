"""Shot Switch in a real ComfyUI: VIDEO and IMAGE, in one run and in units, and prompts that cannot run.

Run with ``make test-host COMFYUI=path``.
"""

import json
import os
from fractions import Fraction

import pytest

pytestmark = pytest.mark.host
if not os.environ.get("COMFYUI"):
    pytest.skip("no ComfyUI named: make test-host COMFYUI=path", allow_module_level=True)

import av
import numpy as np

from tests.support.media_files import write_video

SAID = b"3 shots, one of them noisy, at frame 8"
LENGTHS = 8, 10, 7


@pytest.fixture(scope="module")
def server(server):
    """Add a film of three scenes, of which the second is dark and noisy."""
    random, shots = np.random.default_rng(2), []
    for number, length in enumerate(LENGTHS):
        still = random.integers(60, 250, (8, 12, 3)).repeat(12, 0).repeat(12, 1)
        shot = (still * (0.4 if number == 1 else 1))[None].repeat(length, 0)
        noise = random.normal(0, 10, shot.shape) if number == 1 else 0
        shots.append((shot + noise).clip(0, 255).astype(np.uint8))
    options = {"crf": "4", "preset": "ultrafast"}
    write_video(server.base / "input" / "nights.mp4", np.concatenate(shots), Fraction(25), options=options)
    return server


def graph(resume: str = "off", **switch) -> dict:
    """Return a graph whose branches have other orders, and leave a mark: they upscale to the same size."""
    return {
        "1": {"class_type": "StereoReelExtract", "inputs": {"video": "nights.mp4"}},
        "2": {"class_type": "StereoReelVSR", "inputs": {"clip": ["1", 0], "model": "builtin"}},
        "3": {"class_type": "StereoReelInterpolate", "inputs": {"clip": ["2", 0], "model": "builtin"}},
        "4": {"class_type": "StereoReelInterpolate", "inputs": {"clip": ["1", 0], "model": "builtin"}},
        "5": {"class_type": "StereoReelRealESRGAN", "inputs": {"clip": ["4", 0], "model": "builtin"}},
        "6": {
            "class_type": "StereoReelShotSwitch",
            "inputs": {"noisy": ["3", 0], "clean": ["5", 0], **switch},
        },
        "7": {
            "class_type": "StereoReelEncode",
            "inputs": {"clip": ["6", 0], "filename_prefix": "by_shot", "crf": 4, "resume": resume},
        },
    }


def pictures(history: dict, server) -> np.ndarray:
    """Return the frames of the only film that a prompt saved."""
    [entry] = [one for output in history["outputs"].values() for one in output.get("images", [])]
    path = server.base / entry["type"] / entry["subfolder"] / entry["filename"]
    with av.open(str(path)) as file:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]).astype(float)


def grain(frames: np.ndarray) -> float:
    """Return the change from each source frame to the next, in levels."""
    return float(np.abs(np.diff(frames[::2], axis=0)).mean())


@pytest.mark.parametrize("resume", ["off", "on"])
def test_each_shot_is_of_its_branch_and_the_node_says_which(server, resume):
    seen: list = []
    history = server.run(graph(resume), on_message=seen.append)
    assert history["status"]["status_str"] == "success", history["status"]
    assert any(SAID in one for one in seen if isinstance(one, bytes))
    mixed = pictures(history, server)
    assert mixed.shape == (50, 192, 288, 3)
    other = pictures(server.run(graph(resume, plan="0,clean\n8,clean\n18,noisy")), server)
    assert np.abs(mixed[:16] - other[:16]).mean() < 0.5
    assert grain(mixed[16:36]) < 0.7 * grain(other[16:36])


def test_batches_take_the_shots_of_their_source(server):
    """IMAGE batches, of which none shows where the source has cuts."""
    made = graph()
    made["8"] = {"class_type": "GetVideoComponents", "inputs": {"video": ["1", 0]}}
    for node in ("2", "4"):
        made[node]["inputs"]["clip"] = ["8", 0]
    made["6"]["inputs"]["source"] = ["8", 0]
    made["7"]["inputs"]["fps"] = 50.0
    seen: list = []
    history = server.run(made, on_message=seen.append)
    assert history["status"]["status_str"] == "success", history["status"]
    assert any(SAID in one for one in seen if isinstance(one, bytes))
    batch, video = pictures(history, server), pictures(server.run(graph()), server)
    assert np.abs(batch - video).mean() < 2


def test_what_cannot_run_is_refused_in_a_sentence(server):
    answer = server.post("/prompt", {"prompt": graph(plan="8,noisy")})
    assert answer.status_code == 400 and "Let its first line be the shot at frame 0" in json.dumps(
        answer.json()
    )
    made = graph()
    made["5"]["inputs"]["factor"] = 3.0
    status = server.run(made)["status"]
    assert status["status_str"] == "error"
    assert "Let both branches upscale to the same size." in json.dumps(status)
