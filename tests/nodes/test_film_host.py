"""A film in units in a real ComfyUI: cancelled, killed and queued again (``make test-host COMFYUI=path``)."""

import json
import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.host
if not os.environ.get("COMFYUI"):
    pytest.skip("no ComfyUI named: make test-host COMFYUI=path", allow_module_level=True)

import requests
import websocket

from benchmarks.support.comfy_server import comfy, follow
from tests.support.films import SHOTS, facts, graph, run, source

FRAMES = 2 * sum(SHOTS) * 12


def units(base: Path) -> list[str]:
    return sorted(path.name for path in base.glob("output/video/film.job/*/units/*.json"))


def stop_at(server, made: dict, frames: int, stop) -> str:
    """Queue a prompt, call ``stop`` after this many frames, and return how the prompt ended."""
    ears = server.listen()
    prompt = server.queue(made)
    try:
        for message in follow(ears, prompt):
            event = message if isinstance(message, dict) else {"type": "", "data": {}}
            if (
                event["type"] == "progress"
                and event["data"].get("node") == "4"
                and event["data"]["value"] >= frames
            ):
                stop()
        return event["type"]
    finally:
        ears.close()


def test_graph_resumes_after_cancel_and_kill(tmp_path):
    base, host = tmp_path / "comfy", Path(os.environ["COMFYUI"]).resolve()
    (base / "input").mkdir(parents=True)
    video = source(base / "input" / "film.mp4", SHOTS * 12)
    made = graph(filename_prefix="video/film", resume="on")
    made["2"]["inputs"]["cuts"] = ", ".join(
        str(sum((SHOTS * 12)[:number])) for number in range(1, len(SHOTS * 12))
    )
    with comfy(host, base) as server:
        assert stop_at(server, made, 400, lambda: server.post("/interrupt")) == "execution_interrupted"
        kept = units(base)
        assert kept and not list(base.glob("output/**/*.mp4"))
        with pytest.raises((requests.ConnectionError, websocket.WebSocketException, OSError)):
            stop_at(server, made, 700, server.process.kill)
            server.get("/system_stats")
    assert set(kept) < set(units(base))
    (base / "custom_nodes" / "stereo-reel").unlink()  # recreated by the next start
    with comfy(host, base) as server:
        before, seen = len(units(base)), []
        history = server.run(made, on_message=lambda message: seen.append(message))
        assert history["status"]["status_str"] == "success", json.dumps(history)[-2000:]
    events = [message for message in seen if isinstance(message, dict)]
    texts = [event["data"]["text"] for event in events if event["type"] == "stereoreel.encode"]
    assert any(f"Resuming: {before} of" in text for text in texts)
    [file] = base.glob("output/video/*.mp4")
    run(video, tmp_path / "run.mp4", made)
    mine, wanted = facts(file), facts(tmp_path / "run.mp4")
    for one in (mine, wanted):  # the graph, and the FFmpeg that ComfyUI has, which may be another than ours
        one["metadata"] = {
            name: value
            for name, value in one["metadata"].items()
            if name not in ("prompt", "workflow", "encoder")
        }
    assert mine == wanted and len(mine["frames"]) == FRAMES
    assert not list(base.glob("output/video/*.job"))
