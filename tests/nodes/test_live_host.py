"""Live sessions in a real ComfyUI: the bundled graph repeatedly, and frames exchanged as tensors.

Run with ``make test-host COMFYUI=path``.
"""

import json
import os
import shutil
from pathlib import Path

import pytest

pytestmark = pytest.mark.host
if not os.environ.get("COMFYUI"):
    pytest.skip("no ComfyUI named: make test-host COMFYUI=path", allow_module_level=True)

import numpy as np
import requests
import torch
from PIL import Image

from benchmarks.support.comfy_server import ROOT, comfy
from benchmarks.support.image_nets import RRDBNet, random_net, save
from stereoreel.workflow.node_specs import BY_ID
from tests.support import bundled
from tests.support.moving_texture import scene

PROMPTS = 60


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    base = tmp_path_factory.mktemp("comfy")
    (base / "custom_nodes").mkdir()
    shutil.copy(ROOT / "tests" / "support" / "frame_nodes.py", base / "custom_nodes")
    with comfy(Path(os.environ["COMFYUI"]).resolve(), base) as running:
        pictures = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
        Image.fromarray(pictures).save(base / "input" / "example.png")
        yield running


def put(server, frames: torch.Tensor) -> None:
    shape = ",".join(map(str, frames.shape))
    assert requests.post(
        f"http://{server.address}/test/frames?shape={shape}", data=frames.numpy().tobytes(), timeout=60
    ).ok


def take(server) -> torch.Tensor:
    answer = requests.get(f"http://{server.address}/test/frames", timeout=60)
    assert answer.ok, answer.text
    shape = [int(side) for side in answer.headers["shape"].split(",")]
    return torch.from_numpy(np.frombuffer(answer.content, np.float32).copy()).view(shape)


def swap(node: str, **options) -> dict:
    """Return the graph of a host with a prompt per frame: tensor in, one of our nodes, tensor out."""
    given = {option.name: option.default for option in BY_ID[node].options} | {"model": "builtin"} | options
    return {
        "1": {"class_type": "TestLoadTensor", "inputs": {}},
        "2": {"class_type": node, "inputs": {**given, "clip": ["1", 0]}},
        "3": {"class_type": "TestSaveTensor", "inputs": {"images": ["2", 0]}},
    }


def through(server, graph: dict, frames: torch.Tensor) -> torch.Tensor:
    put(server, frames)
    history = server.history(server.queue(graph), 120)
    assert history["status"]["status_str"] == "success", history["status"]
    return take(server)


def sessions(server) -> dict:
    return {one["live"]: one for one in server.get("/stereoreel/live")}


def test_bundled_graph_is_executed_every_time(server):
    graph = bundled.graph("live_upscale")
    prompts = [server.queue(graph) for _ in range(PROMPTS)]
    server.history(prompts[-1], 300)
    for prompt in prompts:
        history = server.history(prompt)
        assert history["status"]["status_str"] == "success", history["status"]
        assert len(history["outputs"]["3"]["images"]) == 1
    assert "0 dropped" in history["outputs"]["2"]["text"][0]
    found = sessions(server)["camera"]
    assert (found["frames"], found["filled"], found["delay"]) == (PROMPTS, 2, 2)


@pytest.mark.parametrize(
    ("node", "times", "delay"), [("StereoReelVSR", 1, 2), ("StereoReelInterpolate", 2, 1)]
)
def test_one_frame_per_prompt_gives_the_film(server, node, times, delay):
    films = {"left": scene(20), "right": 1 - scene(20, seed=3)}
    given = {"cuts": "none"} if times > 1 else {}
    whole = {name: through(server, swap(node, **given), film) for name, film in films.items()}
    made = {name: [] for name in films}
    for number in range(20):
        for name, film in films.items():
            made[name].append(through(server, swap(node, live=name, **given), film[number : number + 1]))
            assert len(made[name][-1]) == times
    for name in films:
        assert torch.equal(torch.cat(made[name])[times * delay :], whole[name][: times * (20 - delay)])
        assert server.post("/stereoreel/live/close", {"live": name}).json() == {"closed": 1}
    assert not {"left", "right"} & set(sessions(server))


def test_networks_are_placed_at_every_prompt(server):
    """Random weights and a still film, so that state shows; ComfyUI unloads all models between prompts."""
    save(random_net(RRDBNet, width=8), server.base / "models" / "upscale_models" / "small_x2.pth")
    given, frames = {"model": "small_x2.pth", "steady": 0.5, "batch": 1}, scene(6)
    whole, made = through(server, swap("StereoReelRealESRGAN", **given), frames), []
    for number, frame in enumerate(frames.split(1)):
        if number == 3:
            assert server.post("/free", {"unload_models": True}).ok
        made.append(through(server, swap("StereoReelRealESRGAN", live="network", **given), frame))
    assert torch.equal(torch.cat(made), whole)
    assert sessions(server)["network"]["dropped"] == 0


def test_burst_and_changed_factor(server):
    frames = scene(24)
    assert through(server, swap("StereoReelVSR", live="burst"), frames[:12]).shape == (12, 72, 104, 3)
    assert through(server, swap("StereoReelVSR", live="burst", factor=3.0), frames[12:]).shape == (
        12,
        108,
        156,
        3,
    )
    assert (
        through(
            server, swap("StereoReelVSR", live="burst", factor=3.0, live_mode="as ready"), frames[:1]
        ).shape[0]
        <= 3
    )
    assert sessions(server)["burst"]["filled"] == 4


def test_video_with_a_session_is_refused(server):
    graph = swap("StereoReelVSR", live="camera")
    graph["4"] = {"class_type": "CreateVideo", "inputs": {"images": ["1", 0], "fps": 24}}
    graph["2"]["inputs"]["clip"] = ["4", 0]
    put(server, scene(2))
    history = server.history(server.queue(graph), 120)
    assert "Leave live empty" in json.dumps(history["status"])
