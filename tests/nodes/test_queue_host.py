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

import av
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
    write_video(base / "input" / "film_SBS.mp4", np.concatenate((frames, frames), 2)[:, :24], Fraction(25))
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
    assert len(errors) <= 6  # ComfyUI says it again for each input that is judged; Encode Video has the most


def test_depth_that_is_connected_and_orders_by_the_names_of_workflows_are_accepted(server):
    graph = with_options(DEFAULT, "6", layout="rgbd", depth=["4", 0])
    history = server.run(graph)
    assert history["status"]["status_str"] == "success", history["status"]
    lab = with_options(LAB, "2", orders="Default, clean_source", shots=1, frames=2)
    history = server.run(lab)
    assert history["status"]["status_str"] == "success", history["status"]


def test_an_option_that_another_node_computes_is_judged_when_the_node_runs(server):
    if "ComfySwitchNode" not in server.get("/object_info"):
        pytest.skip("this ComfyUI has no node whose output fits a list of choices")
    graph = with_options(DEFAULT, "5", limit=True, screen=["9", 0])
    for number, text in (("7", "tv"), ("8", "none")):
        graph[number] = {"class_type": "PrimitiveString", "inputs": {"value": text}}
    switch = {"switch": True, "on_true": ["7", 0], "on_false": ["8", 0]}
    graph["9"] = {"class_type": "ComfySwitchNode", "inputs": switch}
    assert server.run(graph)["status"]["status_str"] == "success"
    switch["switch"] = False
    status = server.run(graph)["status"]
    assert status["status_str"] == "error" and "screen" in str(status["messages"])


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


def test_a_3d_film_says_so_and_is_repacked(server):
    seen: list[dict | bytes] = []
    graph = copy.deepcopy(bundled.graph("repack"))
    graph["1"]["inputs"]["video"] = "film_SBS.mp4"
    graph["2"]["inputs"] |= {"layout": "full_tb", "filename_prefix": "repacked"}
    history = server.run(graph, on_message=seen.append)
    assert history["status"]["status_str"] == "success", history["status"]
    [line] = [entry["text"] for entry in history["outputs"]["1"]["stereoreel_facts"]]
    assert line.startswith("film_SBS.mp4 holds two views: side by side, by its file name.")
    (file,) = (server.base / "output").glob("repacked*_TBF_fulltb.mp4")
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (64, 48)


def test_stereo_says_what_to_connect_for_a_3d_film(server):
    graph = with_options(DEFAULT, "6", filename_prefix="refused")
    graph["1"]["inputs"]["video"] = "film_SBS.mp4"
    history = server.run(graph)
    assert history["status"]["status_str"] == "error"
    assert "Connect it straight to Encode Video" in str(history["status"]["messages"])
