"""A real ComfyUI refuses what cannot run when the prompt is queued, and writes into its temp folder if asked.

Run with ``make test-host COMFYUI=path``.
"""

import copy
import os
from fractions import Fraction
from pathlib import Path

import pytest

pytestmark = pytest.mark.host
if not os.environ.get("COMFYUI"):
    pytest.skip("no ComfyUI named: make test-host COMFYUI=path", allow_module_level=True)

import numpy as np
from PIL import Image

from benchmarks.support.comfy_server import comfy
from tests.support import bundled
from tests.support.media_files import write_video

DEFAULT, LAB = bundled.graph("default"), bundled.graph("order_lab")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    base = tmp_path_factory.mktemp("comfy")
    (base / "input").mkdir()
    frames = np.random.default_rng(0).integers(0, 255, (6, 48, 64, 3), np.uint8)
    write_video(base / "input" / "small.mp4", frames, Fraction(25))
    Image.fromarray(frames[0]).save(base / "input" / "photo.jpg")
    with comfy(Path(os.environ["COMFYUI"]).resolve(), base) as running:
        yield running


def with_options(graph: dict, node: str, **options) -> dict:
    graph = copy.deepcopy(graph)
    graph["1"]["inputs"]["video"] = "small.mp4"
    graph[node]["inputs"] |= options
    return graph


@pytest.mark.parametrize(
    ("graph", "node", "options", "said"),
    [
        (DEFAULT, "3", {"target_fps": "sixty"}, "target_fps: A frame rate is a number such as 25"),
        (DEFAULT, "3", {"schedule": "12 hold"}, "A schedule is written like"),
        (DEFAULT, "3", {"cuts": "all"}, "cuts must be auto, none, or frame numbers"),
        (DEFAULT, "5", {"limit": True, "screen": "none"}, "limit needs a screen"),
        (DEFAULT, "6", {"format": "prores", "size_mb": 10.0}, "prores does not support a target size"),
        (DEFAULT, "6", {"format": "betamax"}, "format must be one of h264"),
        (DEFAULT, "6", {"layout": "rgbd"}, "Connect a depth clip to the depth input"),
        (DEFAULT, "6", {"filename_prefix": "../../escaped"}, "leads out of the output folder"),
        (LAB, "2", {"orders": "default; sideways"}, "Unknown order or stage 'sideways'"),
        (LAB, "2", {"settings": "depth.shine=1"}, "Unknown option shine"),
    ],
)
def test_a_prompt_that_cannot_run_is_refused_when_it_is_queued(server, graph, node, options, said):
    answer = server.post("/prompt", {"prompt": with_options(graph, node, **options)})
    assert answer.status_code == 400
    errors = answer.json()["node_errors"][node]["errors"]
    assert errors and all(said in error["details"] for error in errors)
    assert len(errors) <= 5


def test_depth_that_is_connected_and_orders_by_the_names_of_workflows_are_accepted(server):
    graph = with_options(DEFAULT, "6", layout="rgbd", depth=["4", 0])
    history = server.run(graph)
    assert history["status"]["status_str"] == "success", history["status"]
    linked = with_options(DEFAULT, "5", limit=True, screen=["9", 0])
    linked["9"] = {"class_type": "PrimitiveString", "inputs": {"value": "tv"}}
    history = server.run(linked)
    assert history["status"]["status_str"] == "success", history["status"]
    lab = with_options(LAB, "2", orders="Default, clean_source", shots=1, frames=2)
    history = server.run(lab)
    assert history["status"]["status_str"] == "success", history["status"]


def test_encode_writes_into_the_temp_folder(server):
    before = set((server.base / "output").rglob("*.mp4"))
    history = server.run(with_options(DEFAULT, "6", save_to_temp=True))
    (output,) = (output for output in history["outputs"].values() if "stereoreel_encode" in output)
    (entry,), (shown,) = output["images"], output["stereoreel_encode"]
    assert entry["type"] == "temp" and shown["view"] == entry
    file = server.base / "temp" / entry["subfolder"] / entry["filename"]
    assert file.is_file() and set((server.base / "output").rglob("*.mp4")) == before


def test_an_image_says_on_the_node_that_it_becomes_one_frame(server):
    seen: list[dict | bytes] = []
    graph = {
        "1": {"class_type": "StereoReelExtract", "inputs": {"video": "photo.jpg"}},
        "2": {"class_type": "StereoReelEncode", "inputs": {"clip": ["1", 0], "filename_prefix": "photo"}},
    }
    history = server.run(graph, on_message=seen.append)
    assert history["status"]["status_str"] == "success", history["status"]
    [line] = [entry["text"] for entry in history["outputs"]["1"]["stereoreel_facts"]]
    assert line.startswith("photo.jpg is an image, so the clip has one frame") and "1 frame · " in line
