"""How long the builtin Stereo takes for both eyes of a frame, against PyTorch's ``grid_sample`` doing a naive backward warp.

    python benchmarks/stereo.py [--quick] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import torch
import torch.nn.functional as F

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import scenes

from stereoreel import stereo
from stereoreel.clip import ClipInfo, Shot
from stereoreel.host import Headless
from stereoreel.options import resolve
from stereoreel.stereo import builtin

SIZES = {"720p": (1280, 720), "1080p": (1920, 1080), "2160p": (3840, 2160)}
DIVERGENCE = 3.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="720p and 1080p only, few rounds")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--memory", choices=SIZES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    host = Headless(arguments.device)
    if arguments.memory:
        print(memory(host, *SIZES[arguments.memory]))
        return
    names = list(SIZES)[:2] if arguments.quick else list(SIZES)
    figures = {name: measure(host, *SIZES[name], rounds=7 if arguments.quick else 25) for name in names}
    for name, row in figures.items():
        command = [sys.executable, __file__, "--device", arguments.device, "--memory", name]
        row["peak_mib"] = float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f"{name:6}  stereo {row['stereo_ms_min']:7.1f} ms min {row['stereo_ms_median']:7.1f} median   "
              f"backward warp {row['backward_ms_min']:7.1f} min {row['backward_ms_median']:7.1f} median   peak +{row['peak_mib']:.0f} MiB")
    if arguments.json:
        ratio = {name: row["stereo_ms_min"] / row["backward_ms_min"] for name, row in figures.items()}
        print(json.dumps({"device": arguments.device, "threads": torch.get_num_threads(), "both_eyes": figures, "ratio": ratio}))


def measure(host: Headless, width: int, height: int, rounds: int) -> dict[str, float]:
    """Milliseconds a frame, both eyes, runs of the two taking turns."""
    view = scenes.street(1, width, height).render()
    image, depth = view.image[None].to(host.device), view.depth[None, ..., None].to(host.device)
    stage = builtin.load(None, resolve(stereo.OPTIONS, {"divergence": DIVERGENCE}), host)
    shot = Shot(0, ClipInfo(width, height, Fraction(25), 1))
    times = {"stereo": [], "backward": []}
    with torch.inference_mode():
        list(stage(shot, [image], [depth]))
        for _ in range(rounds):
            times["stereo"].append(timed(host, lambda: list(stage(shot, [image], [depth]))))
            times["backward"].append(timed(host, lambda: backward(image, depth)))
    row = {f"{name}_ms_min": min(values) for name, values in times.items()}
    return row | {f"{name}_ms_median": statistics.median(values) for name, values in times.items()}


def memory(host: Headless, width: int, height: int) -> float:
    """MiB that both eyes of one frame take beyond the frame and its depth, the two pictures included; for a process of its own."""
    image = torch.rand(1, height, width, 3, device=host.device)
    depth = torch.rand(1, height, 1, 1, device=host.device).repeat(1, 1, width, 1)
    stage = builtin.load(None, resolve(stereo.OPTIONS, {"divergence": DIVERGENCE}), host)
    before = peak(host)
    with torch.inference_mode():
        made = list(stage(Shot(0, ClipInfo(width, height, Fraction(25), 1)), [image], [depth]))
    return (peak(host) - before) / 2**20 if made else 0.0


def backward(image: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
    """Both eyes sampled through the source's own disparity, as many tools do."""
    height, width = depth.shape[1:3]
    x, y = torch.arange(width, device=image.device), torch.arange(height, device=image.device)[:, None] / max(1, height - 1) * 2 - 1
    half = (depth[0, ..., 0] - 0.5) * (DIVERGENCE / 200 * width)
    grids = [torch.stack([(x - sign * half) / max(1, width - 1) * 2 - 1, y.expand_as(half)], -1) for sign in (1, -1)]
    planes = image.movedim(-1, 1).contiguous()
    return torch.stack([F.grid_sample(planes, grid[None], padding_mode="border", align_corners=True).movedim(1, -1) for grid in grids])


def timed(host: Headless, work) -> float:
    synchronize(host)
    start = time.perf_counter()
    work()
    synchronize(host)
    return (time.perf_counter() - start) * 1e3


def synchronize(host: Headless) -> None:
    if host.device.type == "cuda":
        torch.cuda.synchronize()


def peak(host: Headless) -> int:
    """The most bytes this process (or the GPU) has held so far; 0 where the system does not tell."""
    if host.device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")  # getrusage would tell the parent's peak, if that is higher
    lines = status.read_text().splitlines() if status.is_file() else []
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    main()
