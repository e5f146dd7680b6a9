"""Compare our nodes with ComfyUI's own in a real ComfyUI: load a video, upscale it x2 with Lanczos, save it.

    python benchmarks/host.py COMFYUI [--video clip.mp4] [--quick] [--json]

COMFYUI is the folder of a ComfyUI; the environment variable COMFYUI_PYTHON names the Python that runs it.
The default video is bigbuckbunny.mp4 in the folder that STEREOREEL_CLIPS names (default: ../shared/clips).
Each graph runs in its own server, so that peaks of memory do not mix. Runs are interleaved.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.support import CLIPS
from benchmarks.support.comfy_server import comfy


def ours(video: str, number: int) -> dict:
    return {
        "1": {"class_type": "LoadVideo", "inputs": {"file": video}},
        "2": {
            "class_type": "StereoReelRealESRGAN",
            "inputs": {"clip": ["1", 0], "model": "builtin", "factor": 2.0},
        },
        "3": {
            "class_type": "SaveVideo",
            "inputs": {
                "video": ["2", 0],
                "filename_prefix": f"ours{number}",
                "format": "auto",
                "codec": "auto",
            },
        },
    }


def core(video: str, number: int) -> dict:
    return {
        "1": {"class_type": "LoadVideo", "inputs": {"file": video}},
        "2": {"class_type": "GetVideoComponents", "inputs": {"video": ["1", 0]}},
        "3": {
            "class_type": "ImageScaleBy",
            "inputs": {"image": ["2", 0], "upscale_method": "lanczos", "scale_by": 2.0},
        },
        "4": {
            "class_type": "CreateVideo",
            "inputs": {"images": ["3", 0], "audio": ["2", 1], "fps": ["2", 2]},
        },
        "5": {
            "class_type": "SaveVideo",
            "inputs": {
                "video": ["4", 0],
                "filename_prefix": f"core{number}",
                "format": "auto",
                "codec": "auto",
            },
        },
    }


def measure(folder: Path, video: Path, graph) -> tuple[float, float]:
    """Return the seconds of one run, and the GiB by which the server's peak memory grew."""
    with tempfile.TemporaryDirectory() as base, comfy(folder, Path(base)) as server:
        shutil.copy(video, Path(base) / "input" / "clip.mp4")
        before, begin = server.memory(), time.perf_counter()
        history = server.run(graph("clip.mp4", 0))
        seconds = time.perf_counter() - begin
        if history["status"]["status_str"] != "success":
            raise RuntimeError(f"The run failed: {history['status']}")
        return seconds, (server.memory() - before) / 2**30


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("comfyui", type=Path, help="folder of a ComfyUI")
    parser.add_argument(
        "--video",
        type=Path,
        default=CLIPS / "bigbuckbunny.mp4",
        help="default: CLIPS/bigbuckbunny.mp4",
    )
    parser.add_argument("--runs", type=int, default=3, help="of each graph; default: 3")
    parser.add_argument("--quick", action="store_true", help="one run of each graph")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    results: dict[str, list[tuple[float, float]]] = {"StereoReel": [], "core": []}
    for _ in range(1 if options.quick else options.runs):
        for name, graph in (("StereoReel", ours), ("core", core)):
            results[name].append(measure(options.comfyui.resolve(), options.video, graph))
    rows = {
        name: {
            "seconds_min": round(min(seconds for seconds, _ in runs), 1),
            "seconds_median": round(statistics.median(seconds for seconds, _ in runs), 1),
            "memory_gib": round(max(memory for _, memory in runs), 2),
        }
        for name, runs in results.items()
    }
    for name, row in rows.items():
        print(
            f"{name:<12}{row['seconds_min']:>8} s min{row['seconds_median']:>8} s median   "
            f"+{row['memory_gib']} GiB"
        )
    ratio = {
        key: round(rows["core"][key] / max(rows["StereoReel"][key], 0.01), 2)
        for key in ("seconds_median", "memory_gib")
    }
    print(f"core needs {ratio['seconds_median']} times the time and {ratio['memory_gib']} times the memory")
    if options.json:
        print(json.dumps({**rows, "ratio": ratio}))


if __name__ == "__main__":
    main()
