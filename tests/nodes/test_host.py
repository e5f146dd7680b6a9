"""The pack in a real ComfyUI: bundled workflows over HTTP, core nodes, cancel, bad prompts, the canvas.

Run with ``make test-host COMFYUI=path``.
"""

import copy
import json
import os
import re
from fractions import Fraction
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.host
if not os.environ.get("COMFYUI"):
    pytest.skip("no ComfyUI named: make test-host COMFYUI=path", allow_module_level=True)

import av
import numpy as np
import requests
import torch
from PIL import Image
from safetensors.torch import save_file

from benchmarks.support.comfy_server import follow
from benchmarks.support.depth_3_nets import TINY as TINY_ANY_VIEW
from benchmarks.support.depth_3_nets import for_comfyui, made_up
from benchmarks.support.depth_nets import TINY_VIDEO, published
from benchmarks.support.depth_nets import random_net as random_net_of_depth
from benchmarks.support.image_nets import Compact, RRDBNet, random_net
from benchmarks.support.scenes import Camera, street
from stereoreel.nets import rife
from stereoreel.workflow.orders import BUNDLED
from stereoreel.workflow.templates import TITLES
from tests.support import browser, bundled, flashvsr_nets, ncnn_writer
from tests.support.media_files import write_video
from tests.support.object_info import CORE, object_info

API = {name: bundled.graph(name) for name in bundled.API}

USERS = {"CheckpointLoaderSimple", "UpscaleModelLoader", "LoadImage"}  # core nodes that read the user's files
FILMS = [*BUNDLED, "image_batch"]  # the workflows that make a pair of films
FAMILY = next(family for family in rife.FAMILIES if "4.15.lite" in family.names)


@pytest.fixture(scope="module")
def server(server):
    pictures = np.random.default_rng(0).integers(0, 255, (1, 64, 96, 3), np.uint8)
    frames = np.concatenate([np.roll(pictures, 2 * shift, axis=2) for shift in range(20)])
    write_video(server.base / "input" / "small.mp4", frames, Fraction(25))
    return server


def facts(path: Path):
    with av.open(str(path)) as file:
        video = file.streams.video[0]
        count = sum(1 for _ in file.decode(video))
        return video.width, video.height, Fraction(video.average_rate), count, len(file.streams.audio)


def files(history: dict, server) -> list[Path]:
    """Return what a prompt saved, by its history."""
    saved = [entry for output in history["outputs"].values() for entry in output.get("images", [])]
    return [server.base / entry["type"] / entry["subfolder"] / entry["filename"] for entry in saved]


def leftovers(server) -> list[Path]:
    return list(server.base.rglob("*.part"))


def small(name: str) -> dict:
    """Return a bundled workflow on a small clip."""
    graph = copy.deepcopy(API[name])
    graph["1"]["inputs"]["video"] = "small.mp4"
    return graph


def test_pack_loads_without_warnings(server):
    reported = [line for line in server.log.read_text().splitlines() if re.search("stereo.?reel", line, re.I)]
    assert any("custom_nodes" in line for line in reported), (
        "ComfyUI lists the packs it loaded, with their times"
    )
    assert not [line for line in reported if re.search("warn|error|fail|traceback", line, re.I)]


def test_server_has_the_declarations(server):
    reported = server.get("/object_info")
    for name, ours in object_info().items():
        theirs = reported[name]
        if name in CORE:
            continue
        assert theirs["output"] == ours["output"] and theirs["output_name"] == ours["output_name"]
        assert theirs["display_name"] == ours["display_name"] and theirs["description"] == ours["description"]
        for part in ("required", "optional"):
            assert list(theirs["input"].get(part, {})) == list(ours["input"][part])
            for option, (kind, given) in ours["input"][part].items():
                assert theirs["input"][part][option][0] == kind, option
                assert theirs["input"][part][option][1].get("default") == given.get("default"), option
                assert theirs["input"][part][option][1].get("tooltip"), option


def test_help_pages_and_templates_are_served(server):
    page = requests.get(
        f"http://{server.address}/extensions/stereo-reel/docs/StereoReelEncode.md", timeout=60
    )
    assert page.ok and page.text.startswith("# Encode Video")
    templates = server.get("/workflow_templates")
    assert set(next(names for pack, names in templates.items() if "stereo" in pack)) == set(TITLES.values())


@pytest.mark.parametrize("name", FILMS)
def test_bundled_workflow_runs_unchanged(server, name):
    seen = []
    history = server.run(API[name], on_message=seen.append)
    assert history["status"]["status_str"] == "success", history["status"]
    progress = [
        message["data"] for message in seen if isinstance(message, dict) and message["type"] == "progress"
    ]
    assert progress and max(data["max"] for data in progress) >= 100
    (file,) = files(history, server)
    assert facts(file) == (2560, 544, Fraction(50), 200, 1)
    assert not leftovers(server)


def test_two_upscalers_are_compared_in_one_image(server):
    history = server.run(small("compare_upscalers"))
    assert history["status"]["status_str"] == "success", history["status"]
    (file,) = files(history, server)
    assert facts(file)[:4] == (192, 128, Fraction(25), 20)


def test_comfort_is_reported_and_shown(server):
    graph = small("comfort")
    graph["5"] = {"class_type": "PreviewAny", "inputs": {"source": ["4", 1]}}
    history = server.run(graph)
    assert history["status"]["status_str"] == "success", history["status"]
    assert "12 frames on a tv screen" in history["outputs"]["4"]["text"][0]
    assert json.loads(history["outputs"]["5"]["text"][0])["frames"] == 12
    (page,) = files(history, server)
    assert Image.open(page).width == 1600


def test_advisors_page_opens_the_recommended_workflow(server):
    graph = API["advise"] | {
        "2": {
            **API["advise"]["2"],
            "inputs": {**API["advise"]["2"]["inputs"], "samples": 2, "calibration": 2.0},
        }
    }
    graph["1"] = {**graph["1"], "inputs": {**graph["1"]["inputs"], "video": "small.mp4"}}
    history = server.run(graph)
    assert history["status"]["status_str"] == "success", history["status"]
    assert (
        "small.mp4: 96x64" in history["outputs"]["2"]["text"][0]
        and "Cost: On this machine" in history["outputs"]["2"]["text"][0]
    )
    (page,) = files(history, server)
    recommended = json.loads(Image.open(page).text["prompt"])
    assert recommended["1"]["inputs"]["video"] == "small.mp4" and "output" in page.parts
    assert server.run(recommended)["status"]["status_str"] == "success"


def test_order_lab_shows_its_sheet(server):
    graph = small("order_lab")
    graph["2"]["inputs"] |= {"shots": 2, "frames": 3, "orders": "default; upscale last"}
    history = server.run(graph)
    assert history["status"]["status_str"] == "success", history["status"]
    assert (
        "Recommended: " in history["outputs"]["2"]["text"][0]
        and "upscale last" in history["outputs"]["2"]["text"][0]
    )
    (sheet,) = files(history, server)
    assert Image.open(sheet).width > 1000
    graph["2"]["inputs"]["orders"] = "default; stereo, depth"
    assert "needs a depth map" in server.post("/prompt", {"prompt": graph}).text


def test_holes_pass_through_mask_nodes_and_return(server):
    """The bundled workflow, with a flat colour where its checkpoint would paint."""
    graph = copy.deepcopy(API["inpaint_holes"])
    graph["1"]["inputs"] |= {"duration": 0.2, "max_side": 320}
    for node in ("6", "7", "8", "9", "10", "11"):
        del graph[node]
    graph["20"] = {
        "class_type": "EmptyImage",
        "inputs": {"width": 320, "height": 136, "batch_size": 5, "color": 0xFF00FF},
    }
    graph["12"]["inputs"]["source"] = ["20", 0]
    graph["14"]["inputs"]["format"] = "ffv1"
    history = server.run(graph)
    assert history["status"]["status_str"] == "success", history["status"]
    (file,) = files(history, server)
    assert facts(file)[:4] == (640, 136, Fraction(25), 5)
    with av.open(str(file)) as video:
        frame = next(video.decode(video=0)).to_ndarray(format="rgb24")
    painted = (frame == [255, 0, 255]).all(-1)
    assert painted[:, 320:].any() and not painted[:, :320].any()


def test_inpainting_workflow_lacks_only_its_checkpoint(server):
    answer = server.post("/prompt", {"prompt": API["inpaint_holes"]}).json()
    found = {
        (node, error["extra_info"]["input_name"])
        for node, reported in answer["node_errors"].items()
        for error in reported["errors"]
    }
    assert found == {("6", "ckpt_name")}


def test_core_upscaler_between_our_nodes(server):
    """The bundled workflow, with a small network under the name of its checkpoint."""
    path = server.base / "models" / "upscale_models" / "RealESRGAN_x2plus.pth"
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(random_net(RRDBNet, scale=2).state_dict(), path)
    history = server.run(small("core_upscaler"))
    path.unlink()  # or `auto` would take it elsewhere
    assert history["status"]["status_str"] == "success", history["status"]
    (file,) = files(history, server)
    assert facts(file) == (384, 128, Fraction(50), 30, 0)


@pytest.mark.parametrize(("node", "kind"), [("StereoReelVSR", "vsr"), ("StereoReelRealESRGAN", "upscale")])
def test_upscaler_nodes_send_the_choice_and_reason(server, node, kind):
    seen = []
    graph = {
        "1": {"class_type": "LoadVideo", "inputs": {"file": "small.mp4"}},
        "2": {"class_type": node, "inputs": {"clip": ["1", 0]}},
        "3": {
            "class_type": "SaveVideo",
            "inputs": {"video": ["2", 0], "filename_prefix": "chosen", "format": "auto", "codec": "auto"},
        },
    }
    server.run(graph, on_message=seen.append)
    (ran,) = [one["data"] for one in seen if isinstance(one, dict) and one["type"] == "stereoreel.model"]
    assert (ran["node"], ran["kind"], ran["model"]) == ("2", kind, "builtin")
    assert ran["why"].startswith("builtin: ") and len(ran["why"]) > len("builtin: ")


def test_encoder_sends_progress_latest_frame_and_result(server):
    seen = []
    history = server.run(small("default"), on_message=seen.append)
    events = [one["data"] for one in seen if isinstance(one, dict) and one["type"] == "stereoreel.encode"]
    assert events and all(one["node"] == "6" for one in events)
    assert any(" fps, " in one["text"] for one in events)
    assert any(one.get("picture", "").startswith("data:image/jpeg;base64,") for one in events)
    # core's preview store would keep such pictures over the finished video
    assert not [one for one in seen if isinstance(one, bytes) and b"\xff\xd8\xff" in one]
    (shown,) = history["outputs"]["6"]["stereoreel_encode"]
    (file,) = files(history, server)
    assert shown["view"]["filename"] == shown["name"] == file.name and shown["text"].endswith(file.name)


@pytest.mark.parametrize("moves", [False, True])
def test_builtin_depth_says_on_its_node_that_the_camera_does_not_move(server, moves):
    scene = street(3, 160, 96, camera=Camera(truck=(4.0 * moves, 0.0)))
    frames = (scene.clip(10)[0] * 255).round().byte().numpy()
    write_video(server.base / "input" / "camera.mp4", frames, Fraction(25))
    graph = {
        "1": {"class_type": "StereoReelExtract", "inputs": {"video": "camera.mp4", "start": 0.001 * moves}},
        "7": {"class_type": "StereoReelDepth", "inputs": {"clip": ["1", 0], "model": "builtin"}},
        "3": {"class_type": "StereoReelEncode", "inputs": {"clip": ["1", 0], "depth": ["7", 0]}},
    }
    seen = []
    history = server.run(graph, on_message=seen.append)
    assert history["status"]["status_str"] == "success", history["status"]
    said = [one for one in seen if isinstance(one, bytes) and b"layout prior only" in one]
    assert len(said) == (0 if moves else 1)
    assert all(b"7" + b"1 shot(s) without camera motion: layout prior only" in one for one in said)


@pytest.mark.parametrize(
    ("node", "image", "others"),
    [
        ("ImageScaleBy", "image", {"upscale_method": "bilinear", "scale_by": 2.0}),
        ("PreviewImage", "images", {}),
        ("ImageInvert", "image", {}),
    ],
)
def test_video_into_an_image_socket_error_has_a_remedy(server, node, image, others):
    graph = {
        "1": {"class_type": "LoadVideo", "inputs": {"file": "small.mp4"}},
        "2": {"class_type": "StereoReelDepth", "inputs": {"clip": ["1", 0]}},
        "3": {"class_type": node, "inputs": {image: ["2", 0], **others}},
    }
    if node != "PreviewImage":
        graph["4"] = {"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}}
    assert "put Get Video Components between" in str(server.run(graph)["status"])


def test_bypassed_depth_is_refused(server):
    graph = small("default")
    graph["5"]["inputs"]["depth"] = graph["5"]["inputs"]["clip"]
    assert "do not bypass that node" in str(server.run(graph)["status"])
    graph = {
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": 64, "height": 48, "batch_size": 2, "color": 0xFF00FF},
        },
        "2": {"class_type": "StereoReelStereo", "inputs": {"clip": ["1", 0], "depth": ["1", 0]}},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    }
    assert "do not bypass that node" in str(server.run(graph)["status"])


def test_preview_shows_frames_of_the_film_also_by_button(server):
    """The bundled workflow over HTTP, then by Stereo's button on the real canvas, with the film's frames."""
    history = server.run(small("look"))
    assert history["status"]["status_str"] == "success", history["status"]
    made = history["outputs"]["4"]["stereoreel"]
    assert [one["frame"] for one in made] == [1, 3, 6, 8, 11, 13, 16, 18] and made[0]["frames"] == 20
    for eye in ("left", "right", "depth"):
        assert Image.open(
            requests.get(f"http://{server.address}/view", params=made[3][eye], stream=True, timeout=60).raw
        ).size == (96, 64)
    if reason := browser.missing():
        pytest.skip(reason)
    with browser.canvas(f"http://{server.address}") as page:
        shown = bundled.shown("look")
        shown["nodes"][0]["widgets_values"][0] = "small.mp4"
        browser.prompt_of(page, shown, "look")
        page.evaluate("""() => {
            window.seen = app.graph._nodes.find(node => node.type === 'StereoReelStereo');
            seen.widgets.find(widget => widget.name === 'Preview').callback();
        }""")
        page.wait_for_function("seen.stereoreel?.loaded.filter(Boolean).length == 8", timeout=120_000)
        assert page.evaluate("[seen.stereoreel.text, seen.stereoreel.where.textContent]") == [
            "",
            "frame 1 of 20 · 0.04 s",
        ]
        assert page.evaluate("window.complaints") == []


def test_core_nodes_upstream_and_downstream(server):
    graph = {
        "1": {"class_type": "LoadVideo", "inputs": {"file": "small.mp4"}},
        "2": {
            "class_type": "StereoReelRealESRGAN",
            "inputs": {"clip": ["1", 0], "model": "builtin", "factor": 2.0},
        },
        "3": {"class_type": "StereoReelDepth", "inputs": {"clip": ["2", 0]}},
        "4": {"class_type": "StereoReelStereo", "inputs": {"clip": ["2", 0], "depth": ["3", 0]}},
        "5": {
            "class_type": "SaveVideo",
            "inputs": {"video": ["4", 0], "filename_prefix": "core", "format": "auto", "codec": "auto"},
        },
        "6": {"class_type": "GetVideoComponents", "inputs": {"video": ["4", 1]}},
        "7": {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": "left"}},
    }
    history = server.run(graph)
    assert history["status"]["status_str"] == "success", history["status"]
    saved = files(history, server)
    assert facts(next(path for path in saved if path.suffix == ".mp4")) == (384, 128, Fraction(25), 20, 0)
    assert sum(path.suffix == ".png" for path in saved) == 20


def test_user_models_run_where_comfyui_places_them(server):
    """Random weights in the users' folders: listed, chosen by file name, run lazily and on a batch."""
    weights = {
        "upscale_models/sub/mine_x2.pth": random_net(RRDBNet, scale=2),
        "frame_interpolation/rife415.pth": rife.RIFE(FAMILY),
    }
    for name, net in weights.items():
        path = server.base / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(net.state_dict(), path)
    pair = server.base / "models" / "upscale_models" / "sub" / "mine_ncnn.bin"
    ncnn_writer.compact(random_net(Compact, scale=2), ncnn_writer.Writer()).save(pair)
    reported = server.get("/object_info/StereoReelRealESRGAN")["StereoReelRealESRGAN"]
    listed = str(reported["input"]["optional"]["model"])
    assert "sub/mine_x2.pth" in listed and "sub/mine_ncnn.bin" in listed and ".param" not in listed
    graph = {
        "1": {"class_type": "LoadVideo", "inputs": {"file": "small.mp4"}},
        "2": {
            "class_type": "StereoReelRealESRGAN",
            "inputs": {"clip": ["1", 0], "model": "sub/mine_x2.pth", "steady": 1.0},
        },
        "3": {"class_type": "StereoReelInterpolate", "inputs": {"clip": ["2", 0], "model": "rife415.pth"}},
        "4": {
            "class_type": "SaveVideo",
            "inputs": {"video": ["3", 0], "filename_prefix": "networks", "format": "auto", "codec": "auto"},
        },
        "5": {"class_type": "GetVideoComponents", "inputs": {"video": ["1", 0]}},
        "6": {"class_type": "ImageFromBatch", "inputs": {"image": ["5", 0], "batch_index": 0, "length": 2}},
        "7": {
            "class_type": "StereoReelRealESRGAN",
            "inputs": {"clip": ["6", 0], "model": "sub/mine_ncnn.bin", "factor": 1.5},
        },
        "8": {"class_type": "SaveImage", "inputs": {"images": ["7", 0], "filename_prefix": "network"}},
    }
    history = server.run(graph)
    assert history["status"]["status_str"] == "success", history["status"]
    saved = files(history, server)
    assert facts(next(path for path in saved if path.suffix == ".mp4")) == (192, 128, Fraction(50), 40, 0)
    assert [Image.open(path).size for path in saved if path.suffix == ".png"] == [(144, 96)] * 2


def _save_flashvsr(folder: Path) -> None:
    """Save under names of other packings and unpublished sizes; a published one must be that file."""
    flashvsr_nets.save(folder)
    made = (folder / "FlashVSR-v1.1").rename(folder / "FlashVSR")
    for old, new in [
        ("diffusion_pytorch_model_streaming_dmd.safetensors", "FlashVSR1_1.safetensors"),
        ("LQ_proj_in.ckpt", "LQ_proj_in.safetensors"),
    ]:
        (made / old).rename(made / new)


def test_flashvsr_gives_equal_results_for_video_and_batch(server):
    """With few channels, in files laid out as the published ones."""
    _save_flashvsr(server.base / "models" / "vsr")
    options = {"model": "flashvsr-v1.1", "factor": 2.0}
    graph = {
        "1": {"class_type": "StereoReelExtract", "inputs": {"video": "small.mp4"}},
        "2": {"class_type": "StereoReelVSR", "inputs": {"clip": ["1", 0], **options}},
        "3": {"class_type": "GetVideoComponents", "inputs": {"video": ["2", 0]}},
        "4": {"class_type": "GetVideoComponents", "inputs": {"video": ["1", 0]}},
        "5": {"class_type": "StereoReelVSR", "inputs": {"clip": ["4", 0], **options}},
        "6": {"class_type": "ImageFromBatch", "inputs": {"image": ["3", 0], "batch_index": 19, "length": 1}},
        "7": {"class_type": "ImageFromBatch", "inputs": {"image": ["5", 0], "batch_index": 19, "length": 1}},
        "8": {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": "video"}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["7", 0], "filename_prefix": "batch"}},
    }
    history = server.run(graph)
    assert history["status"]["status_str"] == "success", history["status"]
    video, batch = (
        np.array(Image.open(path)).astype(int) for path in sorted(files(history, server), reverse=True)
    )
    assert video.shape == (128, 192, 3) and video.std() > 1 and abs(video - batch).max() <= 1


def test_depth_model_and_its_views(server):
    """A tiny Video Depth Anything: colours of a VIDEO saved, and the histogram of a batch as a VIDEO."""
    path = server.base / "models" / "depthanything" / "tiny.pth"
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(published(random_net_of_depth(TINY_VIDEO)), path)
    save = {"format": "auto", "codec": "auto"}
    graph = {
        "1": {"class_type": "LoadVideo", "inputs": {"file": "small.mp4"}},
        "2": {
            "class_type": "StereoReelDepth",
            "inputs": {"clip": ["1", 0], "model": "tiny.pth", "resolution": "native"},
        },
        "3": {"class_type": "SaveVideo", "inputs": {"video": ["2", 1], "filename_prefix": "colors", **save}},
        "4": {"class_type": "GetVideoComponents", "inputs": {"video": ["1", 0]}},
        "5": {
            "class_type": "StereoReelDepth",
            "inputs": {"clip": ["4", 0], "model": "tiny.pth", "resolution": "native"},
        },
        "6": {
            "class_type": "SaveVideo",
            "inputs": {"video": ["5", 2], "filename_prefix": "histogram", **save},
        },
        "7": {"class_type": "StereoReelDepth", "inputs": {"clip": ["4", 0], "depth": ["5", 0]}},
        "8": {"class_type": "ImageFromBatch", "inputs": {"image": ["7", 0], "batch_index": 0, "length": 1}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "given"}},
    }
    history = server.run(graph)
    assert history["status"]["status_str"] == "success", history["status"]
    saved = {path.name.split("_")[0]: path for path in files(history, server)}
    assert facts(saved["colors"]) == (96, 64, Fraction(25), 20, 0)
    assert facts(saved["histogram"])[:2] == (960, 540) and facts(saved["histogram"])[3] == 20
    assert Image.open(saved["given"]).size == (96, 64)


def test_depth_anything_3_of_comfyui_runs(server):
    """A file with the layout of ComfyUI's own loader, in the folder of geometry models."""
    path = server.base / "models" / "geometry_estimation" / "depth_anything_3_small.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: tensor.contiguous() for key, tensor in for_comfyui(made_up(TINY_ANY_VIEW)).items()}, path)
    graph = {
        "1": {"class_type": "LoadVideo", "inputs": {"file": "small.mp4"}},
        "2": {
            "class_type": "StereoReelDepth",
            "inputs": {
                "clip": ["1", 0],
                "model": "depth-anything-3-small",
                "resolution": "native",
                "window": "4",
            },
        },
        "3": {
            "class_type": "SaveVideo",
            "inputs": {"video": ["2", 0], "filename_prefix": "third", "format": "auto", "codec": "auto"},
        },
    }
    history = server.run(graph)
    path.unlink()  # auto would select it in other tests
    assert history["status"]["status_str"] == "success", history["status"]
    (made,) = files(history, server)
    assert facts(made) == (96, 64, Fraction(25), 20, 0)


def test_missing_weights_error_before_anything_runs(server):
    graph = {
        "1": {"class_type": "LoadVideo", "inputs": {"file": "small.mp4"}},
        "2": {
            "class_type": "StereoReelRealESRGAN",
            "inputs": {"clip": ["1", 0], "model": "realesrgan-x4plus"},
        },
        "3": {
            "class_type": "SaveVideo",
            "inputs": {"video": ["2", 0], "filename_prefix": "missing", "format": "auto", "codec": "auto"},
        },
    }
    history = server.run(graph)
    (error,) = [message for name, message in history["status"]["messages"] if name == "execution_error"]
    assert error["node_id"] == "2"
    assert "RealESRGAN_x4plus.pth (67 MB, licence BSD-3-Clause)" in error["exception_message"]
    assert "python -m stereoreel fetch realesrgan-x4plus" in error["exception_message"]


def test_slice_of_a_lazy_video(server):
    if "Video Slice" not in server.get("/object_info"):
        pytest.skip("this ComfyUI has no Video Slice node")
    graph = {
        "1": {
            "class_type": "StereoReelExtract",
            "inputs": {**API["default"]["1"]["inputs"], "video": "small.mp4"},
        },
        "2": {"class_type": "StereoReelInterpolate", "inputs": {"clip": ["1", 0]}},
        "3": {
            "class_type": "Video Slice",
            "inputs": {"video": ["2", 0], "start_time": 0.2, "duration": 0.4, "strict_duration": False},
        },
        "4": {
            "class_type": "SaveVideo",
            "inputs": {"video": ["3", 0], "filename_prefix": "slice", "format": "auto", "codec": "auto"},
        },
    }
    (file,) = files(server.run(graph), server)
    assert facts(file) == (96, 64, Fraction(50), 20, 0)


def test_core_slice_upstream_is_decoded_as_that_slice(server):
    if "Video Slice" not in server.get("/object_info"):
        pytest.skip("this ComfyUI has no Video Slice node")
    graph = {
        "1": {"class_type": "LoadVideo", "inputs": {"file": "small.mp4"}},
        "2": {
            "class_type": "Video Slice",
            "inputs": {"video": ["1", 0], "start_time": 0.2, "duration": 0.4, "strict_duration": False},
        },
        "3": {"class_type": "StereoReelVSR", "inputs": {"clip": ["2", 0]}},
        "4": {"class_type": "StereoReelEncode", "inputs": {"clip": ["3", 0], "filename_prefix": "sliced"}},
    }
    (file,) = files(server.run(graph), server)
    assert facts(file) == (192, 128, Fraction(25), 10, 0)


def test_uploaded_video(server):
    with (server.base / "input" / "small.mp4").open("rb") as file:
        answer = requests.post(
            f"http://{server.address}/upload/image", files={"image": ("sent.mp4", file)}, timeout=60
        )
    graph = copy.deepcopy(API["default"])
    graph["1"]["inputs"]["video"] = answer.json()["name"]
    assert server.run(graph)["status"]["status_str"] == "success"


def test_depth_video_is_written_in_the_same_pass(server):
    graph = small("default")
    graph["6"]["inputs"]["depth"] = ["4", 0]
    made = files(server.run(graph), server)
    assert [facts(file)[:4] for file in made] == [(384, 128, Fraction(50), 40), (192, 128, Fraction(50), 40)]


def test_cancel_leaves_no_file_and_the_queue_continues(server):
    before = set(server.base.glob("output/**/*.mp4"))
    ears = server.listen()
    prompt = server.queue(
        API["default"]
        | {"1": {**API["default"]["1"], "inputs": {**API["default"]["1"]["inputs"], "start": 0.04}}}
    )
    ended = []
    for message in follow(ears, prompt):
        writing = (
            isinstance(message, dict) and message["type"] == "progress" and message["data"].get("node") == "6"
        )
        if writing and message["data"]["value"] > 0:
            assert leftovers(server), "the temporary file is next to the final one"
            server.post("/interrupt")
        ended.append(message)
    ears.close()
    assert ended[-1]["type"] == "execution_interrupted"
    assert set(server.base.glob("output/**/*.mp4")) == before and not leftovers(server)
    assert server.run(small("clean_source"))["status"]["status_str"] == "success"


def extracted(**options) -> dict:
    return {"class_type": "StereoReelExtract", "inputs": {"video": "small.mp4", **options}}


def test_widget_linked_to_another_node(server):
    graph = {
        "1": extracted(),
        "2": {"class_type": "PrimitiveString", "inputs": {"value": "linked/name"}},
        "3": {"class_type": "StereoReelEncode", "inputs": {"clip": ["1", 0], "filename_prefix": ["2", 0]}},
    }
    (file,) = files(server.run(graph), server)
    assert file.parent.name == "linked" and facts(file)[:2] == (96, 64)


def test_linked_prefix_cannot_leave_the_output_folder(server):
    graph = {
        "1": extracted(),
        "2": {"class_type": "PrimitiveString", "inputs": {"value": "../../escaped"}},
        "3": {"class_type": "StereoReelEncode", "inputs": {"clip": ["1", 0], "filename_prefix": ["2", 0]}},
    }
    assert server.run(graph)["status"]["status_str"] == "error"
    assert not list(server.base.parent.rglob("escaped*"))


def test_image_batches_masks_and_pairs(server):
    """IMAGE frames, a MASK as depth, a pair upscaled as a pair, holes as MASK, and the encoder's rate."""
    graph = {
        "1": extracted(duration=0.2),
        "2": {"class_type": "GetVideoComponents", "inputs": {"video": ["1", 0]}},
        "3": {"class_type": "StereoReelDepth", "inputs": {"clip": ["2", 0]}},
        "4": {"class_type": "ImageToMask", "inputs": {"image": ["3", 0], "channel": "red"}},
        "5": {"class_type": "StereoReelStereo", "inputs": {"clip": ["2", 0], "depth": ["4", 0]}},
        "6": {"class_type": "MaskToImage", "inputs": {"mask": ["5", 3]}},
        "7": {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": "holes"}},
        "8": {"class_type": "StereoReelRealESRGAN", "inputs": {"clip": ["5", 0], "packed": "full SBS"}},
        "9": {
            "class_type": "StereoReelEncode",
            "inputs": {
                "clip": ["8", 0],
                "packed": "full SBS",
                "layout": "left",
                "fps": ["2", 2],
                "depth": ["4", 0],
            },
        },
    }
    saved = files(server.run(graph), server)
    assert sum("holes" in path.name for path in saved) == 5
    videos = [path for path in saved if path.suffix == ".mp4"]
    assert [facts(path)[:4] for path in videos] == [(192, 128, Fraction(25), 5), (96, 64, Fraction(25), 5)]


def test_connected_clip_replaces_the_list(server):
    graph = {
        "1": {"class_type": "LoadVideo", "inputs": {"file": "small.mp4"}},
        "2": {
            "class_type": "StereoReelExtract",
            "inputs": {"video": "gone.mp4", "clip": ["1", 0], "start": 0.2, "max_side": 48},
        },
        "3": {"class_type": "StereoReelEncode", "inputs": {"clip": ["2", 0], "filename_prefix": "window"}},
    }
    (file,) = files(server.run(graph), server)
    assert facts(file) == (48, 32, Fraction(25), 15, 0)


@pytest.mark.parametrize(
    ("node", "option", "value", "said"),
    [
        ("1", "video", "../../etc/passwd", "outside"),
        ("1", "video", "missing.mp4", "no video missing.mp4"),
        ("6", "filename_prefix", "../../escaped", "output"),
        ("2", "factor", 9.0, "bigger than max"),
    ],
)
def test_bad_prompt_is_refused_with_a_reason(server, node, option, value, said):
    graph = copy.deepcopy(API["default"])
    graph[node]["inputs"][option] = value
    answer = server.post("/prompt", {"prompt": graph})
    assert answer.status_code == 400 and said.lower() in answer.text.lower()


def test_unknown_choice_is_refused_by_server_or_node(server):
    """ComfyUI 0.3.64 does not compare with the list; our own check does, before the first frame."""
    graph = small("default")
    graph["2"]["inputs"]["model"] = "no-such-model"
    answer = server.post("/prompt", {"prompt": graph})
    if answer.status_code == 400:
        assert "not in list" in answer.text
        return
    history = server.history(answer.json()["prompt_id"], patience=60)
    assert history["status"]["status_str"] == "error" and "model must be one of auto, " in str(
        history["status"]
    )


def test_value_of_the_wrong_type_is_refused_by_name(server):
    graph = {
        "1": {"class_type": "LoadVideo", "inputs": {"file": "small.mp4"}},
        "2": {
            "class_type": "StereoReelStereo",
            "inputs": {"clip": ["1", 0], "depth": ["1", 0], "model": "builtin", "divergence": "wide"},
        },
        "3": {"class_type": "StereoReelEncode", "inputs": {"clip": ["2", 0]}},
    }
    answer = server.post("/prompt", {"prompt": graph})
    assert answer.status_code == 400 and "divergence" in answer.text


@pytest.mark.canvas
@pytest.mark.parametrize("name", API)
def test_real_canvas_queues_the_api_file(server, name):
    with browser.canvas(f"http://{server.address}") as page:
        graph = {
            node_id: {"class_type": node["class_type"], "inputs": node["inputs"]}
            for node_id, node in API[name].items()
        }
        queued = browser.prompt_of(page, bundled.shown(name), name)
        for node_id, node in queued.items():  # a newer ComfyUI's own nodes have widgets more
            if not node["class_type"].startswith("StereoReel"):
                node["inputs"] = {
                    name: value for name, value in node["inputs"].items() if name in graph[node_id]["inputs"]
                }
        assert queued == graph
        assert [fault for fault in browser.faults(page) if not any(name in fault for name in USERS)] == []
