"""Numbered pictures in a real ComfyUI: a choice of Extract Video, and what Encode Video writes."""

import os

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.host
if not os.environ.get("COMFYUI"):
    pytest.skip("no ComfyUI named: make test-host COMFYUI=path", allow_module_level=True)


@pytest.fixture(scope="module")
def noise(server):
    """Three frames of every 16-bit level ``[3, 48, 64, 3]``, which are in ComfyUI's input folder too."""
    frames = np.random.default_rng(0).integers(0, 65536, (3, 48, 64, 3)).astype(np.uint16)
    folder = server.base / "input" / "frames"
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames, 1):
        cv2.imwrite(str(folder / f"{number:03}.png"), frame[..., ::-1])
    return frames


def flow(video: str, **encode) -> dict:
    return {
        "1": {"class_type": "StereoReelExtract", "inputs": {"video": video, "picture_fps": 12.0}},
        "2": {
            "class_type": "StereoReelEncode",
            "inputs": {"clip": ["1", 0], "filename_prefix": "pictures/out", "format": "png16", **encode},
        },
        "3": {
            "class_type": "SaveVideo",
            "inputs": {
                "video": ["2", 0],
                "filename_prefix": "pictures/saved",
                "format": "mp4",
                "codec": "h264",
            },
        },
    }


def test_folders_follow_the_videos_of_every_suffix(server, noise):
    for name in ("tape.ts", "disc.VOB", "notes.txt"):
        (server.base / "input" / name).touch()
    choices = server.get("/object_info/StereoReelExtract")["StereoReelExtract"]["input"]["required"]
    video = choices["video"]
    names = video[0] if isinstance(video[0], list) else video[1]["options"]
    assert names[0] == "sample" and names[-1] == "frames/"
    assert {"tape.ts", "disc.VOB"} < set(names) and "notes.txt" not in names


@pytest.mark.parametrize("video", ["frames/", "frames/%03d.png"])
def test_pictures_go_in_and_out_unchanged(server, noise, video):
    before = set((server.base / "output" / "pictures").glob("out_*"))
    history = server.run(flow(video))
    assert history["status"]["status_str"] == "success", history["status"]
    (folder,) = set((server.base / "output" / "pictures").glob("out_*")) - before
    written = [
        cv2.imread(str(file), cv2.IMREAD_UNCHANGED)[..., ::-1] for file in sorted(folder.glob("*.png"))
    ]
    assert np.array_equal(np.stack(written), noise)
    (shown,) = history["outputs"]["2"]["stereoreel_encode"]
    assert shown["text"].startswith("done: 3 frames · 64x48 · 12 fps") and shown["view"]["type"] == "temp"
    (saved,) = history["outputs"]["3"]["images"]
    assert saved["filename"].endswith(".mp4")


@pytest.mark.parametrize(
    ("video", "said"),
    [
        ("frames/%05d.png", "No picture in"),
        ("../secret/%03d.png", "outside the permitted folders"),
        ("frames/../../*.png", "outside the permitted folders"),
    ],
)
def test_pictures_that_cannot_be_read_are_refused_when_the_prompt_is_queued(server, noise, video, said):
    answer = server.post("/prompt", {"prompt": flow(video)})
    assert answer.status_code == 400
    assert said in answer.json()["node_errors"]["1"]["errors"][0]["details"]
