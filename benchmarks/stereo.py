"""Measure Stereo Pair: time for both views of a frame, and accuracy, next to the methods of other tools.

    python benchmarks/stereo.py [--quick] [--json] [--device cuda]

torch, numba: ours; the second if numba is installed. snap, smooth: ours with depth of half the size, its
edges aligned with the image or only interpolated. naive: `grid_sample` by the source's own disparity.
remap: the same with OpenCV. rows: a loop over rows in numpy, far pixels first, holes filled from the left
neighbour, as in common packs. Runs are interleaved. dB: PSNR where the source shows what the view sees, and
of these pixels within 8 of a depth edge. IoU: of the hole masks. Last: both views packed as a Dubois
anaglyph, by our tables and by the plain formula.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from stereoreel.cli import passive_waiting

passive_waiting()  # before torch is imported

import torch  # isort: skip
import torch.nn.functional as F

from benchmarks.support.scenes import Rendered, Scene, street
from stereoreel.analysis.metrics import psnr
from stereoreel.core.clip import ClipInfo, Shot
from stereoreel.core.options import resolve
from stereoreel.image.resize import resize
from stereoreel.media.layouts.anaglyph import DUBOIS, dubois
from stereoreel.models.headless import Headless
from stereoreel.stages import stereo
from stereoreel.stages.stereo import builtin, warp

SIZES = {"720p": (1280, 720), "1080p": (1920, 1080), "2160p": (3840, 2160)}
DIVERGENCE = 6.0  # percent, half of it per view
EYES = (0.5, -0.5)
NEAR = 8  # pixels from a depth edge


def ours(
    host: Headless, image: torch.Tensor, depth: torch.Tensor, numba: bool = False, **more
) -> Callable[[], dict[str, torch.Tensor]]:
    options = resolve(
        stereo.OPTIONS, {"divergence": DIVERGENCE, "convergence": 0.0, "convergence_mode": "fixed", **more}
    )
    stage, shot = (
        builtin.load(None, options, host),
        Shot(0, ClipInfo(image.shape[2], image.shape[1], Fraction(25), 1)),
    )

    def run() -> dict[str, torch.Tensor]:
        os.environ["STEREOREEL_NUMBA"] = str(int(numba))
        return next(stage(shot, iter([image]), iter([depth])))

    return run


def naive(image: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
    """Return both views by backward warping with the source's disparity."""
    height, width = depth.shape[1:3]
    x, y = (
        torch.arange(width, device=image.device),
        torch.arange(height, device=image.device)[:, None] / (height - 1) * 2 - 1,
    )
    shift = depth[0, ..., 0] * (DIVERGENCE / 100 * width)
    grids = [torch.stack([(x - eye * shift) / (width - 1) * 2 - 1, y.expand_as(shift)], -1) for eye in EYES]
    planes = image.movedim(-1, 1).contiguous()
    return torch.stack(
        [
            F.grid_sample(planes, grid[None], padding_mode="border", align_corners=True).movedim(1, -1)
            for grid in grids
        ]
    )


def remap(image: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
    """Return the same as ``naive``, by OpenCV."""
    import cv2
    import numpy as np

    height, width = depth.shape[1:3]
    y, x = np.indices((height, width), np.float32)
    shift = depth[0, ..., 0].numpy() * np.float32(DIVERGENCE / 100 * width)
    eyes = [
        cv2.remap(image[0].numpy(), x - eye * shift, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        for eye in EYES
    ]
    return torch.from_numpy(np.stack(eyes))[:, None]


def rows(image: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
    """Return both views by forward warping row by row, far pixels first."""
    import numpy as np

    pixels, near = image[0].numpy(), depth[0, ..., 0].numpy()
    width, views = pixels.shape[1], np.zeros((2, *pixels.shape), np.float32)
    columns = np.arange(width)
    for eye, view in zip(EYES, views):
        for line, depths, out in zip(pixels, near, view):
            order = np.argsort(depths, kind="stable")
            target = np.rint(order + eye * DIVERGENCE / 100 * width * depths[order]).astype(int)
            inside = (target >= 0) & (target < width)
            source = np.full(width, -1)
            source[target[inside]] = order[inside]
            known = np.maximum.accumulate(np.where(source >= 0, columns, 0))
            out[:] = line[source[known].clip(0)]
    return torch.from_numpy(views)[:, None]


def formula(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    light = sum(
        torch.where(eye <= 0.04045, eye / 12.92, ((eye + 0.055) / 1.055) ** 2.4)
        @ torch.tensor(matrix, device=eye.device).T
        for eye, matrix in zip((left, right), DUBOIS)
    ).clamp(0, 1)
    return torch.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def timed(ways: dict[str, Callable], rounds: int, device: torch.device) -> dict[str, dict[str, float]]:
    """Run the ways in turn; return milliseconds and CPU milliseconds. The first round warms up.

    A GPU gets 20 runs in a row.
    """
    wall, busy = ({name: [] for name in ways} for _ in range(2))
    runs = 20 if device.type == "cuda" else 1
    for _ in range(rounds + 1):
        for name, way in ways.items():
            begin, begun = time.perf_counter(), time.process_time()
            for _ in range(runs):
                way()
            if device.type == "cuda":
                torch.cuda.synchronize()
            wall[name].append((time.perf_counter() - begin) * 1e3 / runs)
            busy[name].append((time.process_time() - begun) * 1e3 / runs)
    return {
        name: {
            "min_ms": min(wall[name][1:]),
            "median_ms": statistics.median(wall[name][1:]),
            "cpu_ms": min(busy[name][1:]),
        }
        for name in ways
    }


def exact(
    scene: Scene, view: Rendered, pairs: dict[str, torch.Tensor], holes: list[torch.Tensor]
) -> dict[str, dict[str, float]]:
    """Return the PSNR of both views against rendered ones, and the accuracy of our hole masks."""
    scores = {name: {"visible_db": [], "edges_db": []} for name in pairs}
    overlap = []
    for index, eye in enumerate(EYES):
        truth, hidden = scene.render(eye=eye), scene.holes(eye)
        close = ~hidden & near_steps(truth.depth)
        for name, pair in pairs.items():
            scores[name]["visible_db"].append(psnr(pair[index, 0].cpu(), truth.image, ~hidden))
            scores[name]["edges_db"].append(psnr(pair[index, 0].cpu(), truth.image, close))
        marked = holes[index][0, ..., 0].cpu() > 0.5
        overlap.append(((marked & hidden).sum() / (marked | hidden).sum()).item())
    means = {
        name: {key: statistics.mean(found) for key, found in score.items()} for name, score in scores.items()
    }
    for name in {"torch", "numba"} & means.keys():
        means[name]["holes_iou"] = statistics.mean(overlap)
    return means


def near_steps(depth: torch.Tensor) -> torch.Tensor:
    jump = torch.zeros_like(depth)
    jump[:, 1:] = ((depth[:, 1:] - depth[:, :-1]).abs() > 0.03).float()
    jump[1:] = jump[1:].maximum(((depth[1:] - depth[:-1]).abs() > 0.03).float())
    return F.max_pool2d(jump[None, None], 2 * NEAR + 1, 1, NEAR)[0, 0] > 0


def measure(host: Headless, name: str, rounds: int) -> dict[str, dict[str, float]]:
    """Return times and PSNR of every way at one size."""
    scene = street(1, *SIZES[name], divergence=DIVERGENCE, convergence=0.0)
    view = scene.render()
    image, depth = view.image[None].to(host.device), view.depth[None, ..., None].to(host.device)
    own = {"torch": ours(host, image, depth)}
    if host.device.type == "cpu" and warp.compiled():
        own["numba"] = ours(host, image, depth, numba=True)
    half = resize(depth, depth.shape[1] // 2, depth.shape[2] // 2, "area")
    own |= {edges: ours(host, image, half, "numba" in own, edges=edges) for edges in ("snap", "smooth")}
    ways = {way: lambda run=run: run()["clip"] for way, run in own.items()} | {
        "naive": lambda: naive(image, depth)
    }
    slow = {}
    if host.device.type == "cpu":
        ways["remap"], slow["rows"] = lambda: remap(image, depth), lambda: rows(image, depth)
    pair = ways["torch"]()
    anaglyphs = {"dubois": lambda: dubois(*pair), "formula": lambda: formula(*pair)}
    with torch.inference_mode():
        figures = (
            timed(ways, rounds, host.device)
            | timed(slow, 1, host.device)
            | timed(anaglyphs, max(1, rounds // 4), host.device)
        )
        if name != "2160p":  # its scene takes longer to render than everything else
            outputs = own["torch"]()
            scores = exact(
                scene,
                view,
                {way: run() for way, run in (ways | slow).items()},
                [outputs["left_holes"], outputs["right_holes"]],
            )
            figures = {way: found | scores.get(way, {}) for way, found in figures.items()}
    return figures


def memory(host: Headless, width: int, height: int) -> float:
    """Return the MiB that a stereo pair adds to its frame and depth; run it in its own process."""
    image = torch.rand(1, height, width, 3, device=host.device)
    depth = torch.rand(1, height, 1, 1, device=host.device).repeat(1, 1, width, 1)
    before = peak(host)
    with torch.inference_mode():
        outputs = ours(host, image, depth)()
    return (peak(host) - before) / 2**20 if outputs else 0.0


def peak(host: Headless) -> int:
    """Return the peak of this process or of the GPU in bytes; 0 if the system does not report it."""
    if host.device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")  # getrusage would return the parent's peak, if that is higher
    lines = status.read_text().splitlines() if status.is_file() else []
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def ratios(figures: dict[str, dict[str, float]]) -> dict[str, float]:
    """Return the times of the other ways over our fastest, and of Dubois' formula over our tables."""
    own = min(figures[way]["min_ms"] for way in ("torch", "numba") if way in figures)
    return {
        way: row["min_ms"] / (figures["dubois"]["min_ms"] if way == "formula" else own)
        for way, row in figures.items()
        if way not in ("numba", "snap", "smooth", "dubois")
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="up to 1080p, few rounds")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--device", default="cpu", help="such as cuda; default: cpu")
    parser.add_argument("--size", nargs="+", choices=SIZES, help="default: all, with --quick up to 1080p")
    parser.add_argument("--memory", choices=SIZES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    host = Headless(arguments.device)
    if arguments.memory:
        print(memory(host, *SIZES[arguments.memory]))
        return
    figures = {}
    print(f"{'':6} {'':7} {'ms min':>8} {'median':>8} {'cpu':>8} {'visible':>8} {'edges':>8}  holes")
    for name in arguments.size or list(SIZES)[: 2 if arguments.quick else 3]:
        figures[name] = measure(host, name, 4 if arguments.quick else 25)
        for way, row in figures[name].items():
            decibels = "".join(
                f" {row[key]:5.1f} dB" if key in row else f" {'':8}" for key in ("visible_db", "edges_db")
            )
            print(f"{name:6} {way:7} {row['min_ms']:8.1f} {row['median_ms']:8.1f} "
                  f"{row['cpu_ms']:8.1f}{decibels}",
                  f" {row['holes_iou']:.3f}" if "holes_iou" in row else "", flush=True)  # fmt: skip
        command = [sys.executable, __file__, "--device", arguments.device, "--memory", name]
        figures[name]["torch"]["peak_mib"] = float(
            subprocess.run(command, check=True, capture_output=True, text=True).stdout
        )
        print(
            f"{name:6} torch adds {figures[name]['torch']['peak_mib']:.0f} MiB to the frame and its depth",
            flush=True,
        )
    if arguments.json:
        ratio = {size: ratios(found) for size, found in figures.items()}
        print(
            json.dumps(
                {
                    "device": arguments.device,
                    "threads": torch.get_num_threads(),
                    "both_eyes": figures,
                    "ratio": ratio,
                }
            )
        )


if __name__ == "__main__":
    main()
