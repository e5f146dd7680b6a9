"""Compare RealESRGAN x2plus in this pack with the algorithm of ComfyUI's "Upscale Image (using Model)" node.

    python benchmarks/realesrgan.py [--quick] [--json]     the peer: spandrel frame by frame in float32
    COMFYUI=path python benchmarks/realesrgan.py           the peer: ComfyUI's own tiled_scale

Both use the same weights and frames. Weights are random: speed does not depend on them. Runs are
interleaved; memory is measured in separate processes. On a GPU, frames are 512x512, and the arithmetic
limit (2.35 TFLOP per frame) is printed next to the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from stereoreel.cli import passive_waiting

passive_waiting()  # before torch is imported

import torch  # isort: skip
from benchmarks.support.image_nets import Compact, RRDBNet, random_net, save
from stereoreel.core.clip import ClipInfo, Shot
from stereoreel.core.meter import resident
from stereoreel.core.options import resolve
from stereoreel.image.compute import resolve_dtype
from stereoreel.models.headless import Headless
from stereoreel.stages.upscale import OPTIONS
from stereoreel.stages.upscale.network import ImageNetwork, read
from stereoreel.stages.upscale.spandrel import ImageUpscaler

NETS = {
    "x2plus": (RRDBNet, dict(scale=2, width=64, blocks=23)),
    "compact": (Compact, dict(scale=4, width=64, layers=16)),
}
TERA = {"x2plus": 2.35 / 512**2, "compact": 0.325 / 512**2}  # TFLOP per pixel
DENSE = 790  # TFLOP/s that an H100 or H200 reaches in dense bfloat16 products


def core(path: Path, device: torch.device) -> tuple[str, Callable]:
    """Return the peer: frame by frame in float32, tiles of 512 blended on the CPU, all frames kept."""
    import spandrel

    model = spandrel.ModelLoader(device).load_from_file(path).eval()
    folder = os.environ.get("COMFYUI")
    if not folder:

        def frame_by_frame(images):
            frames = torch.cat(
                [model(image[None].movedim(-1, 1).to(device).float()).cpu() for image in images]
            )
            return torch.clamp(frames.movedim(1, -1), 0, 1)

        return "spandrel, frame by frame", frame_by_frame
    sys.path.insert(0, folder)
    arguments, sys.argv = sys.argv, sys.argv[:1]  # ComfyUI reads the command line
    from comfy.utils import tiled_scale

    sys.argv = arguments

    def upscale_image_with_model(images):
        frames = tiled_scale(
            images.movedim(-1, -3).to(device),
            lambda a: model(a.float()),
            512,
            512,
            32,
            model.scale,
            output_device="cpu",
        )
        return torch.clamp(frames.movedim(-3, -1), 0, 1)

    return "ComfyUI core", upscale_image_with_model


def ours(path: Path, device: torch.device, **given) -> Callable:
    """Return a run of our stage from system RAM and back; its argument ``keep`` collects the frames."""
    options = resolve(OPTIONS, {"reuse": "off", **given})
    stage = ImageUpscaler(ImageNetwork(read(path), device, options.precision, options.compile), options)
    Headless(device).place(stage.nets, 0)

    def run(images, keep=torch.cat):
        shot = Shot(0, ClipInfo(images.shape[2], images.shape[1], Fraction(25), len(images)))
        return keep(
            [
                chunk.mul(255).add_(0.5).to(torch.uint8).cpu() if device.type == "cuda" else chunk
                for chunk in stage(shot, images.split(8))
            ]
        )

    return run


def interleaved(ways: dict[str, Callable], images: torch.Tensor, rounds: int) -> dict[str, dict[str, float]]:
    """Run the ways in turn; return seconds per frame, minimum and median. The first round warms up."""
    seconds = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, way in ways.items():
            begin = time.perf_counter()
            way(images)
            if images.device.type == "cuda" or torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds[name].append((time.perf_counter() - begin) / len(images))
    return {
        name: {"min_s": min(found[1:]), "median_s": statistics.median(found[1:])}
        for name, found in seconds.items()
    }


def peak(which: str, path: Path, frames: int, side: int) -> float:
    """Return the MiB of resident memory that a clip adds, in its own process."""
    command = [sys.executable, __file__, "--peak", which, "--weights", str(path)]
    command += ["--frames", str(frames), "--side", str(side)]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()[-1])


def measure_peak(options) -> None:
    device = torch.device("cpu")
    way = core(options.weights, device)[1] if options.peak == "core" else ours(options.weights, device)
    way(torch.rand(2, options.side, options.side, 3))
    before = resident("VmRSS")
    if options.peak == "core":
        way(torch.rand(options.frames, options.side, options.side, 3))
    else:
        # frames arrive and leave a chunk at a time, as they do in a pull
        for _ in range(0, options.frames, 8):
            way(torch.rand(8, options.side, options.side, 3))
    print((resident("VmHWM") - before) / 2**20)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--net", choices=NETS, default="x2plus", help="default: x2plus")
    parser.add_argument("--side", type=int, help="of the frames; default: 128, on a GPU 512")
    parser.add_argument("--frames", type=int, default=8, help="default: 8")
    parser.add_argument("--rounds", type=int, default=5, help="default: 5")
    parser.add_argument("--compile", action="store_true", help="also with torch.compile")
    parser.add_argument("--quick", action="store_true", help="one round of two frames")
    parser.add_argument("--speed", action="store_true", help="speed only, not the memory of clips")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--peak", choices=("core", "ours"), help=argparse.SUPPRESS)
    parser.add_argument("--weights", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    if options.peak:
        return measure_peak(options)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    side = options.side or (512 if device.type == "cuda" else 128)
    if options.quick:
        options.rounds, options.frames = 1, 2
    with tempfile.TemporaryDirectory() as folder:
        kind, sizes = NETS[options.net]
        path = save(random_net(kind, **sizes), Path(folder) / "net.pth")
        peer, way = core(path, device)
        ways = {peer: way, "ours": ours(path, device)}
        if not options.quick:
            ways["ours, batch 1"] = ours(path, device, batch=1)
        if resolve_dtype("auto", device) != torch.float32:
            ways["ours, fp32"] = ours(path, device, precision="fp32")
        if device.type == "cuda":
            ways["ours, batch 4"] = ours(path, device, batch=4)
        if options.compile:
            ways["ours, compiled"] = ours(path, device, compile=True)
        figures = interleaved(ways, torch.rand(options.frames, side, side, 3), options.rounds)
        report(figures, peer, options.net, side, device)
        if device.type == "cpu" and not options.speed:
            lengths = (8, 32) if options.quick else (32, 256)
            kind, sizes = NETS["compact"]
            # what a clip takes does not depend on the network
            small = save(random_net(kind, **sizes), Path(folder) / "compact.pth")
            figures["peak_mib"] = {
                which: [peak(which, small, frames, 64) for frames in lengths] for which in ("core", "ours")
            }
            for which, (short, long) in figures["peak_mib"].items():
                print(
                    f"memory added by {lengths[0]} and {lengths[1]} frames, {which:4}: {short:.0f} and "
                    f"{long:.0f} MiB"
                )
    if options.json:
        print(json.dumps({**figures, "net": options.net, "side": side, "device": str(device), "peer": peer}))


def report(figures: dict, peer: str, net: str, side: int, device: torch.device) -> None:
    ratios = {name: figures[peer]["min_s"] / found["min_s"] for name, found in figures.items()}
    print(
        f"{net}, {side}x{side}, {device}, "
        f"{str(resolve_dtype('auto', device)).removeprefix('torch.')} unless stated otherwise"
    )
    for name, ratio in ratios.items():
        found = figures[name]
        print(
            f"{name:28} min {found['min_s']:.4f} s  median {found['median_s']:.4f} s  "
            f"{1 / found['min_s']:8.2f} fps  {ratio:5.2f} x"
        )
    if device.type == "cuda":
        print(f"arithmetic limit at {DENSE:.0f} TFLOP/s: {DENSE / (TERA[net] * side**2):.0f} fps")
    figures["ratio"] = {name: ratio for name, ratio in ratios.items() if name != peer}


if __name__ == "__main__":
    main()
