"""How long the builtin Interpolate takes for one in-between 720p frame and how near it comes, against warping naively by the same flow.

    python benchmarks/interpolate.py [--quick] [--json]

The peer is OpenCV's dense inverse search both ways, each frame warped its part of the way and the two averaged. Runs are interleaved.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from fractions import Fraction
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from scenes import Camera, Layer, Scene, Texture, psnr

from stereoreel.catalog import load
from stereoreel.clip import ClipInfo, Shot
from stereoreel.flow import flow, grayscale, warp
from stereoreel.host import Headless
from stereoreel.meter import resident

RIM = 48


def rendered(width: int, height: int, samples: int) -> torch.Tensor:
    """A walker before a wall, with a panning camera, at times 0, one half and 1; ``samples`` squared a pixel."""
    walker = Layer("ellipse", 0.8, Texture(2), (width / 2, height / 2), (height / 4, height / 3), velocity=(15.3, 4.7))
    wall = Layer("plane", 0.2, Texture(1), (width / 2, height / 2))
    scene = Scene(width, height, (wall, walker), Camera(pan=(-3.3, 1.1), zoom=1.01))
    return torch.stack([scene.render(t, samples=samples).image for t in (0, 0.5, 1)])


def naive(pair: torch.Tensor, preset: str) -> torch.Tensor:
    luma = grayscale(pair)
    warped = [warp(image.numpy(), -0.5 * flow(*way, preset)) for image, way in zip(pair, (luma, luma[::-1]))]
    return torch.from_numpy((warped[0] + warped[1]) / 2)


def ours(pair: torch.Tensor, quality: str) -> torch.Tensor:
    info = ClipInfo(pair.shape[2], pair.shape[1], Fraction(25), 2)
    stage = load("interpolate", "builtin", Headless("cpu"), quality=quality)
    return [made["clip"] for made in stage(Shot(0, info), [pair])][1][0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="five runs of each, hard edges")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    first, exact, second = rendered(1280, 720, 1 if arguments.quick else 2)
    pair = torch.stack([first, second])
    ways = {f"{name} {preset}": (way, preset) for preset in ("fast", "medium") for name, way in (("naive", naive), ("ours", ours))}
    seconds, processor, decibels = ({name: [] for name in ways} for _ in range(3))
    for _ in range(1 + (5 if arguments.quick else arguments.runs)):
        for name, (way, preset) in ways.items():
            begin, busy = time.perf_counter(), time.process_time()
            made = way(pair, preset)
            seconds[name].append(time.perf_counter() - begin)
            processor[name].append(time.process_time() - busy)
            decibels[name] = psnr(made[RIM:-RIM, RIM:-RIM], exact[RIM:-RIM, RIM:-RIM])
    figures = {name: {"min_s": min(seconds[name][1:]), "median_s": statistics.median(seconds[name][1:]),
                      "cpu_s": min(processor[name][1:]), "psnr_db": decibels[name]} for name in ways}
    figures["ratio"] = {preset: figures[f"ours {preset}"]["min_s"] / figures[f"naive {preset}"]["min_s"] for preset in ("fast", "medium")}
    figures["peak_mib"] = resident("VmHWM") / 2**20
    for name in ways:
        print(f"{name:14s}", *(f"{key} {value:.3f}" for key, value in figures[name].items()))
    print("time, ours / naive:", {preset: round(ratio, 2) for preset, ratio in figures["ratio"].items()})
    if arguments.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
