"""Compare all upscalers on the same clip to twice the size: frame rate, time to the first frame, memory.

    python benchmarks/vsr.py [--quick] [--json]
    python benchmarks/vsr.py --device cuda [--models realbasicvsr flashvsr] [--size 480x270] [--frames 60]

Weights are random and of the published sizes: speed does not depend on them. Every run is a separate
process, and the models alternate. Memory is what a run adds to a process that has loaded the network and
processed two frames. FlashVSR (2.9 GB) runs only on a GPU or if it is named.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from stereoreel.cli import passive_waiting

passive_waiting()  # before torch is imported

import torch  # isort: skip
from benchmarks.support.image_nets import Compact, RRDBNet, random_net, save
from benchmarks.support.vsr_nets import footage, random_weights
from stereoreel.core.clip import ClipInfo, Shot
from stereoreel.core.meter import resident
from stereoreel.core.options import Options, resolve
from stereoreel.models.headless import Headless, best_device
from stereoreel.nets import basicvsr as nets
from stereoreel.stages import upscale, vsr

SIZES = {"cpu": (96, 64, 12), "cuda": (480, 270, 90)}  # width, height, frames
PEER = "realesrgan-x2plus"
CHUNK = 4


def builtin(options: Options, device: torch.device):
    from stereoreel.stages.vsr import builtin

    return builtin.load(None, options, Headless(device))


def recurrent(net: type, options: Options, device: torch.device):
    from stereoreel.stages.vsr.basicvsr import BasicVSRStage

    return BasicVSRStage(random_weights(net()), options, device)


def flash(options: Options, device: torch.device):
    from stereoreel.image.compute import resolve_dtype
    from stereoreel.nets import flashvsr, flashvsr_decoder, flashvsr_projector
    from stereoreel.stages.vsr.flashvsr import FlashVSR

    dtype = resolve_dtype(options.precision, device)
    with torch.device(device):
        dit = flashvsr.WanDiT().folded(torch.randn(1, 512, 4096), dtype).eval()
        projector = flashvsr_projector.Projector().to(dtype).stacked()
        decoder = flashvsr_decoder.TCDecoder().to(dtype, memory_format=torch.channels_last).eval()
    projector.causal = True
    return FlashVSR(dit, projector, decoder, options, device)


def single(net: torch.nn.Module, options: Options, device: torch.device):
    from stereoreel.stages.upscale.network import ImageNetwork, read
    from stereoreel.stages.upscale.spandrel import ImageUpscaler

    with tempfile.TemporaryDirectory() as folder:
        descriptor = read(save(net, Path(folder) / "net.pth"))
    return ImageUpscaler(ImageNetwork(descriptor, device, options.precision, options.compile), options)


def span():
    """Return a SPAN of the published size, with random weights."""
    from spandrel.architectures.SPAN import SPAN

    torch.manual_seed(0)
    return SPAN(num_in_ch=3, num_out_ch=3, feature_channels=48, upscale=2).eval()


VSR = {
    "builtin": builtin,
    "realbasicvsr": lambda *given: recurrent(nets.RealBasicVSR, *given),
    "basicvsr-plusplus": lambda *given: recurrent(nets.BasicVSRPlusPlus, *given),
    "flashvsr": flash,
}
UPSCALE = {
    PEER: lambda *given: single(random_net(RRDBNet, scale=2, width=64, blocks=23), *given),
    "span-x2": lambda *given: single(span(), *given),
    "realesr-general-x4v3": lambda *given: single(random_net(Compact, scale=4, width=64, layers=32), *given),
}


def measured(stage, images: torch.Tensor, device: torch.device) -> dict[str, float]:
    """Return the time to the first frame and the rate, from system RAM and back to it in 8 bits."""
    shot = Shot(0, ClipInfo(images.shape[2], images.shape[1], Fraction(25), len(images)))
    count, first = 0, 0.0
    begin = time.perf_counter()
    for chunk in stage(shot, iter(images.split(CHUNK))):
        chunk.mul(255).add_(0.5).to(torch.uint8).cpu()
        first = first or time.perf_counter() - begin
        count += len(chunk)
    if count != len(images):
        raise RuntimeError(f"{count} frames came out; {len(images)} are expected.")
    return {"first_s": first, "fps": count / (time.perf_counter() - begin)}


def run(name: str, device: torch.device, width: int, height: int, frames: int) -> dict[str, float]:
    kind = vsr if name in VSR else upscale
    stage = {**VSR, **UPSCALE}[name](
        resolve(kind.OPTIONS, {"reuse": "off"} if kind is upscale else {}), device
    )
    placed = Headless(device).place(stage.nets, 0)
    images = footage(frames, height, width)
    measured(stage, images[:2], device)
    before = memory(device)
    found = measured(stage, images, device)
    del placed
    return {**found, "peak_mib": (memory(device, peak=True) - before) / 2**20}


def memory(device: torch.device, peak: bool = False) -> int:
    if device.type == "cuda":
        if not peak:
            torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.max_memory_allocated(device) if peak else torch.cuda.memory_allocated(device)
    if not peak:
        Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
    return resident("VmHWM" if peak else "VmRSS")


def turns(names: list[str], options: argparse.Namespace) -> Iterator[tuple[str, dict[str, float]]]:
    """Run every model in every round, each in its own process."""
    given = ["--device", str(options.device), "--size", options.size, "--frames", str(options.frames)]
    for _ in range(options.rounds):
        for name in names:
            done = subprocess.run(
                [sys.executable, __file__, "--one", name, *given],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            yield name, json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", type=torch.device, default=torch.device(best_device()))
    parser.add_argument(
        "--models", nargs="+", choices=[*VSR, *UPSCALE], help="default: all; FlashVSR on a GPU"
    )
    parser.add_argument("--size", help="of the input; default: 96x64, on a GPU 480x270")
    parser.add_argument("--frames", type=int, help="default: 12, on a GPU 90")
    parser.add_argument("--rounds", type=int, default=3, help="default: 3")
    parser.add_argument("--quick", action="store_true", help="one round of 3 frames of 64x64, on a CPU")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    width, height, frames = SIZES.get(options.device.type, SIZES["cpu"])
    if options.quick and options.device.type == "cpu":
        width, height, frames, options.rounds = 64, 64, 3, 1
    options.size, options.frames = options.size or f"{width}x{height}", options.frames or frames
    width, height = map(int, options.size.split("x"))
    if options.one:
        with torch.inference_mode():
            print(json.dumps(run(options.one, options.device, width, height, options.frames)))
        return
    flashes = options.device.type == "cuda" and find_spec("stereoreel.stages.vsr.flashvsr")
    names = options.models or [name for name in (*VSR, *UPSCALE) if name != "flashvsr" or flashes]
    found: dict[str, list] = {name: [] for name in names}
    for name, one in turns(names, options):
        found[name].append(one)
    report(found, options)


def report(found: dict[str, list[dict[str, float]]], options: argparse.Namespace) -> None:
    best = {
        name: {
            "fps": max(one["fps"] for one in runs),
            "median_fps": statistics.median(one["fps"] for one in runs),
            "first_s": min(one["first_s"] for one in runs),
            "peak_mib": max(one["peak_mib"] for one in runs),
        }
        for name, runs in found.items()
    }
    print(f"{options.frames} frames of {options.size} to twice the size, {options.device}, chunks of {CHUNK}")
    print(f"{'model':24} {'fps':>9} {'median':>9} {'first frame':>13} {'memory':>11}")
    for name, one in best.items():
        print(
            f"{name:24} {one['fps']:9.3f} {one['median_fps']:9.3f} {one['first_s']:11.2f} s "
            f"{one['peak_mib']:7.0f} MiB"
        )
    if options.json:
        ratio = {
            name: one["fps"] / best[PEER]["fps"]
            for name, one in best.items()
            if PEER in best and name != PEER
        }
        facts = {"device": str(options.device), "size": options.size, "frames": options.frames, "peer": PEER}
        print(json.dumps({**facts, "models": best, "ratio": ratio}))


if __name__ == "__main__":
    main()
