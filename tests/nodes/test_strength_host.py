"""Strength by shot and the comfort score in a real ComfyUI.

Run with ``make test-host COMFYUI=path``.
"""

import json
import os

import pytest

pytestmark = pytest.mark.host
if not os.environ.get("COMFYUI"):
    pytest.skip("no ComfyUI named: make test-host COMFYUI=path", allow_module_level=True)

SAID = b"normal on a vr headset screen: one shot, strength "


def graph(**stereo):
    return {
        "1": {
            "class_type": "StereoReelExtract",
            "inputs": {"video": "sample", "duration": 0.4, "max_side": 160},
        },
        "2": {"class_type": "StereoReelDepth", "inputs": {"clip": ["1", 0], "model": "builtin"}},
        "3": {
            "class_type": "StereoReelStereo",
            "inputs": {"clip": ["1", 0], "depth": ["2", 0], "strength": "normal", **stereo},
        },
        "4": {
            "class_type": "StereoReelEncode",
            "inputs": {
                "clip": ["3", 0],
                "speed": "fast",
                "device": "meta_quest",
                "filename_prefix": "strong",
            },
        },
        "5": {"class_type": "StereoReelComfort", "inputs": {"clip": ["3", 0], "screen": "vr headset"}},
    }


@pytest.mark.parametrize("resume", ["off", "on"])
def test_plan_is_found_for_the_device_and_said_on_the_node(server, resume):
    made, seen = (
        graph(divergence=1.0 if resume == "on" else 3.0),
        [],
    )  # which has no effect, but is not cached
    made["4"]["inputs"]["resume"] = resume
    history = server.run(made, on_message=seen.append)
    assert history["status"]["status_str"] == "success", history["status"]
    assert any(SAID in one for one in seen if isinstance(one, bytes))
    [text] = history["outputs"]["5"]["text"]
    assert "Comfort score" in text and "Set Stereo's strength to gentle" in text  # it is a television's


def test_bad_plan_is_refused_when_it_is_queued(server):
    answer = server.post("/prompt", {"prompt": graph(plan="0,2")})
    assert answer.status_code == 400 and "Line 1 of the plan is" in json.dumps(answer.json())
