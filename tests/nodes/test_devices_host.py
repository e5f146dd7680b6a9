"""Files for devices, written by a real ComfyUI: queued over HTTP, read back, and played on the canvas.

Run with ``make test-host COMFYUI=path``.
"""

import copy
import os
import subprocess

import pytest

pytestmark = pytest.mark.host
if not os.environ.get("COMFYUI"):
    pytest.skip("no ComfyUI named: make test-host COMFYUI=path", allow_module_level=True)

import av
import imageio_ffmpeg

from tests.support import browser, bundled
from tests.support.host_canvas import PLAYING, look, run, styled

SPATIAL = "apple_spatial"


def small(**encode):
    graph = copy.deepcopy(bundled.graph(SPATIAL))
    graph["1"]["inputs"] |= {"duration": 0.4, "max_side": 160}
    graph["4"]["inputs"] |= {"speed": "fast", **encode}
    return graph


def only(server, pattern):
    (file,) = (server.base / "output").rglob(pattern)
    return file


def test_spatial_video_is_queued_and_read_back(server):
    seen: list[dict | bytes] = []
    graph = small(filename_prefix="spatial")
    graph["5"] = {"class_type": "SaveVideo", "inputs": {
        "video": ["4", 0], "filename_prefix": "core", "format": "auto", "codec": "auto"}}  # fmt: skip
    history = server.run(graph, on_message=seen.append)
    assert history["status"]["status_str"] == "success", history["status"]
    file = only(server, "spatial*_MV-HEVC.mov")
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        stream.codec_context.options = {"view_ids": "-1"}
        assert container.metadata["stereoreel_device"] == "apple_vision_pro"
        assert "prompt" in container.metadata  # the file opens on the canvas
        assert len(list(container.decode(stream))) == 20  # ten frames of two views
    run_of_ffmpeg = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", file], capture_output=True, text=True
    ).stderr
    assert "(multilayer)" in run_of_ffmpeg and "baseline: 58900" in run_of_ffmpeg
    assert "horizontal_field_of_view: 60.000" in run_of_ffmpeg
    said = [message["data"]["text"] for message in seen if isinstance(message, dict)
            and message.get("type") == "stereoreel.encode"]  # fmt: skip
    assert any(text.startswith("For Apple Vision Pro: mv_hevc") for text in said)


@pytest.mark.parametrize(
    ("device", "pattern", "size"),
    [("tv_3d_sbs", "tv*_LR.mp4", (160, 90)), ("meta_quest", "quest*_LRF_Full_SBS.mp4", (320, 68))],
)
def test_device_sets_the_layout_and_the_name(server, device, pattern, size):
    history = server.run(small(device=device, filename_prefix=pattern.split("*")[0]))
    assert history["status"]["status_str"] == "success", history["status"]
    with av.open(str(only(server, pattern))) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == size


def test_what_a_device_cannot_hold_is_refused_when_it_is_queued(server):
    answer = server.post("/prompt", {"prompt": small(device="toaster")})
    assert answer.status_code == 400 and "apple_vision_pro" in answer.text


@pytest.mark.canvas
@pytest.mark.parametrize("nodes_2", [False, True], ids=["classic", "nodes_2"])
def test_bundled_workflow_runs_on_the_canvas(server, nodes_2):
    with styled(server, nodes_2) as page:
        browser.prompt_of(page, bundled.shown(SPATIAL), SPATIAL)
        run(page)
        page.wait_for_function(PLAYING, arg="StereoReelEncode", timeout=60_000)
        look(page, SPATIAL)
