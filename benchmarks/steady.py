"""Measure what the option `steady` does to two x2 networks that flicker, on scenes with exact truth.

    python benchmarks/steady.py [--quick] [--json]

The figures, without and with `steady`: flicker, warping error, motion error (tOF), PSNR, sharpness and
gradients; then the time per frame next to Lanczos. The first network is built to flicker
(`benchmarks/support/flicker_scenes.py`). The second, a small one of the kind used in real time (SRVGG, 16
features, 4 layers), is trained here on noisy crops of other scenes: for a minute, or for 8 seconds with
`--quick`.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from stereoreel.cli import passive_waiting

passive_waiting()  # before torch is imported

import torch  # isort: skip
import torch.nn.functional as F
from torch import nn

from benchmarks.support import flicker_scenes as scenes
from benchmarks.support.scenes import street
from stereoreel.analysis import metrics
from stereoreel.image.resize import resize
from stereoreel.stages.upscale.steady import Steady

SEEDS = range(21, 29)  # of the scenes to train on: none of the measured ones
SIZES = ((128, 128), (720, 1280))  # of the source, for the time
COLUMNS = ("flicker", "warping", "tof", "psnr", "sharpness", "gradients")


class Small(nn.Module):
    """Convolutions at the source's size, then a pixel shuffle, added to the nearest pixels."""

    def __init__(self, features: int = 16, layers: int = 4, factor: int = 2):
        super().__init__()
        widths = [3] + [features] * (layers + 1)
        body = [part for a, b in zip(widths, widths[1:]) for part in (nn.Conv2d(a, b, 3, 1, 1), nn.PReLU(b))]
        self.body = nn.Sequential(*body, nn.Conv2d(features, 3 * factor**2, 3, 1, 1), nn.PixelShuffle(factor))
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x) + F.interpolate(x, scale_factor=self.factor)


def trained(seconds: float) -> Small:
    """Train a network to restore the gradients of noisy scenes: sharp, so that noise becomes texture."""
    torch.manual_seed(1)
    truth = torch.stack([street(seed, 320, 192).clip(1)[0][0] for seed in SEEDS]).movedim(-1, 1)
    net, end = Small(), time.perf_counter() + seconds
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    with torch.enable_grad():
        while time.perf_counter() < end:
            which, top, left = (torch.randint(high, (8,)).tolist() for high in (len(truth), 64, 128))
            large = torch.stack(
                [truth[i, :, 2 * y : 2 * y + 64, 2 * x : 2 * x + 64] for i, y, x in zip(which, top, left)]
            )
            small = F.avg_pool2d(large, 2)
            output = net(small + 2 / 255 * torch.rand(8, 1, 1, 1) * torch.randn_like(small))
            edges = sum((output.diff(dim=axis) - large.diff(dim=axis)).abs().mean() for axis in (2, 3))
            optimizer.zero_grad()
            ((output - large).abs().mean() + edges).backward()
            optimizer.step()
    return net


def figures(name: str, frames: torch.Tensor) -> dict:
    """Return the figures that apply to a scene; flicker, warping error and gradients in levels of 255."""
    truth, row = scenes.truth(name), {}
    if name in ("still", "object"):
        row["flicker"] = 255 * metrics.flicker(frames, scenes.background(name) if name == "object" else None)
    if name == "fade":
        row["flicker"] = 255 * metrics.flicker(frames - truth)
    if name in (*scenes.MOVING, "object"):
        row["warping"] = 255 * math.sqrt(metrics.warping_error(frames, *scenes.seen(name)))
    if name != "cut":
        row["tof"] = metrics.tof(frames, truth)
    row |= {"psnr": metrics.psnr(frames, truth), "sharpness": metrics.sharpness(frames, truth)}
    return row | {"gradients": 255 * metrics.gradient_energy(frames)}


def compared(network, sigma: float, names: list[str], strength: float) -> dict:
    """Return the figures without and with ``steady``, by scene."""
    rows = {}
    for name in names:
        small = scenes.source(name, sigma)
        large = network(small)
        rows[name] = [figures(name, frames) for frames in (large, scenes.steadied(small, large, strength))]
    return rows


def times(frames: int) -> dict:
    """Return milliseconds per frame of Steady and of Lanczos to the same size, measured in turn."""
    found = {}
    for height, width in SIZES:
        wide = resize(torch.rand(1, height // 8, width // 8 + frames, 3), height, width + 8 * frames)[0]
        small = [wide[:, 3 * t : 3 * t + width].contiguous() for t in range(frames)]
        step, spent = Steady(), {"steady": [], "lanczos": []}
        for frame in small:
            begin = time.perf_counter()
            large = resize(frame[None], 2 * height, 2 * width)[0]
            middle = time.perf_counter()
            step(frame, large)
            spent["lanczos"].append(1000 * (middle - begin))
            spent["steady"].append(1000 * (time.perf_counter() - middle))
        found[f"{width}x{height}"] = {
            who: {"min": min(ms[1:]), "median": sorted(ms[1:])[len(ms) // 2]} for who, ms in spent.items()
        }
    return found


def show(network: str, sigma: float, rows: dict) -> None:
    print(f"\n{network} network, noise {sigma} of 255: without -> with")
    print(f"{'':8}" + "".join(f"{name:>19}" for name in COLUMNS))
    for name, (before, after) in rows.items():
        cells = (f"{before[key]:.3f} -> {after[key]:.3f}" if key in before else "" for key in COLUMNS)
        print(f"{name:8}" + "".join(f"{cell:>19}" for cell in cells))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="three scenes, one noise level, a shorter training"
    )
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--strength", type=float, default=1.0, help="the option `steady`; default: 1")
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    net = trained(8 if options.quick else 60)
    networks = {
        "constructed": scenes.flickering,
        "trained": lambda small: net(small.movedim(-1, 1)).movedim(1, -1).clamp(0, 1),
    }
    names = ["still", "zoom", "object"] if options.quick else list(scenes.ALL)
    results = {}
    for network, call in networks.items():
        for sigma in (1,) if options.quick else (0, 1, 2):
            results.setdefault(network, {})[sigma] = compared(call, sigma, names, options.strength)
            show(network, sigma, results[network][sigma])
    spent = times(5 if options.quick else 12)
    for size, who in spent.items():
        print(
            f"\n{size} x2: {who['steady']['min']:.1f} ms per frame (median {who['steady']['median']:.1f}); "
            f"Lanczos {who['lanczos']['min']:.1f} ms"
        )
    if options.json:
        still = {network: part[1]["still"] for network, part in results.items()}
        ratio = {
            f"{key}_{network}": round(row[1][key] / row[0][key], 3)
            for network, row in still.items()
            for key in ("flicker", "sharpness")
        }
        print(json.dumps({"results": results, "ms": spent, "ratio": ratio}))


if __name__ == "__main__":
    main()
