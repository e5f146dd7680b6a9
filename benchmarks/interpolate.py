"""Measure the speed of Interpolate, and the accuracy of builtin, next to plain ways to the same result.

    python benchmarks/interpolate.py [--quick] [--json] [--size 256x144 ...] [--version 4.25 ...]
    COMFYUI=path python benchmarks/interpolate.py    also with ComfyUI's own node (0.20 or newer)

builtin, 720p: the peer is OpenCV's dense inverse search in both directions; each frame is warped part of
the way, and the two are averaged. RIFE has random weights, on which speed does not depend. "loop" is the
same network pair by pair and time by time: it encodes both frames every time and keeps all frames. "stage"
is ours and yields frames as they come. ComfyUI's node reuses encodings and computes all frames of a pair
together. Runs are interleaved. Memory is what a run adds; on a GPU, what it allocates.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import json
import os
import statistics
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
from benchmarks.support.scenes import Camera, Layer, Scene, Texture
from stereoreel.analysis.metrics import psnr
from stereoreel.core.clip import ClipInfo, Shot
from stereoreel.core.meter import resident
from stereoreel.core.options import resolve
from stereoreel.image.compute import resolve_dtype
from stereoreel.image.flow import flow, grayscale, warp
from stereoreel.models.catalog import load
from stereoreel.models.headless import Headless
from stereoreel.nets import rife
from stereoreel.stages.interpolate import OPTIONS
from stereoreel.stages.interpolate.networks import NetworkInterpolator
from stereoreel.stages.interpolate.rife import RifeNetwork
from stereoreel.stages.interpolate.stage import InterpolationStage

RIM = 48
RESET = Path("/proc/self/clear_refs")
SIZES = {"cpu": ["256x144"], "cuda": ["1280x720", "1920x1080"]}


def rendered(width: int, height: int, samples: int) -> torch.Tensor:
    """Render a walker in front of a wall at times 0, 0.5 and 1, with ``samples`` squared per pixel."""
    walker = Layer(
        "ellipse", 0.8, Texture(2), (width / 2, height / 2), (height / 4, height / 3), velocity=(15.3, 4.7)
    )
    wall = Layer("plane", 0.2, Texture(1), (width / 2, height / 2))
    scene = Scene(width, height, (wall, walker), Camera(pan=(-3.3, 1.1), zoom=1.01))
    return torch.stack([scene.render(t, samples=samples).image for t in (0, 0.5, 1)])


def naive(pair: torch.Tensor, preset: str) -> torch.Tensor:
    luma = grayscale(pair)
    warped = [warp(image.numpy(), -0.5 * flow(*way, preset)) for image, way in zip(pair, (luma, luma[::-1]))]
    return torch.from_numpy((warped[0] + warped[1]) / 2)


def builtin(pair: torch.Tensor, quality: str) -> torch.Tensor:
    return list(frames_of(load("interpolate", "builtin", Headless("cpu"), quality=quality), pair))[1]


def frames_of(stage: InterpolationStage, images: torch.Tensor):
    info = ClipInfo(images.shape[2], images.shape[1], Fraction(25), len(images))
    yield from (outputs["clip"][0] for outputs in stage(Shot(0, info), images.split(1)))


def interleaved(ways: dict[str, Callable], rounds: int, frames: int = 1) -> dict[str, dict[str, float]]:
    """Run the ways in turn; return time per frame, CPU time and added memory. The first round warms up."""
    seconds, processor = ({name: [] for name in ways} for _ in range(2))
    for _ in range(rounds + 1):
        for name, way in ways.items():
            begin, busy = time.perf_counter(), time.process_time()
            way()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            seconds[name].append((time.perf_counter() - begin) / frames)
            processor[name].append((time.process_time() - busy) / frames)
    return {
        name: {
            "min_s": min(found[1:]),
            "median_s": statistics.median(found[1:]),
            "cpu_s": min(processor[name][1:]),
            "fps": 1 / min(found[1:]),
            "peak_mib": peak(ways[name]),
        }
        for name, found in seconds.items()
    }


def peak(way: Callable) -> float:
    """Return the MiB that a run adds: resident memory, or memory allocated on the GPU."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        way()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    if RESET.exists():
        getattr(ctypes.CDLL(None), "malloc_trim", int)(0)  # return the memory that earlier runs freed
        RESET.write_text("5")  # resets the high-water mark
    before = resident("VmRSS")
    way()
    return (resident("VmHWM") - before) / 2**20


def flows(rounds: int, samples: int) -> dict:
    """Compare the qualities of builtin with naive warping in 720p: seconds per frame and PSNR."""
    first, exact, second = (
        part[RIM:-RIM, RIM:-RIM] if index == 1 else part
        for index, part in enumerate(rendered(1280, 720, samples))
    )
    pair = torch.stack([first, second])
    kinds = {
        f"{name} {quality}": (way, quality)
        for quality in ("fast", "medium")
        for name, way in (("naive", naive), ("ours", builtin))
    }
    figures = interleaved(
        {name: lambda way=way, quality=quality: way(pair, quality) for name, (way, quality) in kinds.items()},
        rounds,
    )
    for name, (way, quality) in kinds.items():
        figures[name]["psnr_db"] = psnr(way(pair, quality)[RIM:-RIM, RIM:-RIM], exact)
    figures["ratio"] = {
        quality: figures[f"ours {quality}"]["min_s"] / figures[f"naive {quality}"]["min_s"]
        for quality in ("fast", "medium")
    }
    return figures


def networks(version: str, size: str, multiplier: int, rounds: int, sources: int) -> dict:
    """Compare one RIFE in our stage, in a plain loop and, if present, in ComfyUI's node."""
    width, height = map(int, size.split("x"))
    images = torch.rand(sources, height, width, 3, generator=torch.Generator().manual_seed(0))
    net = rife.RIFE(next(one for one in rife.FAMILIES if version in one.names.split(", "))).eval()
    ways = {}
    if "COMFYUI" in os.environ and len(net.family.channels) == 5:  # its node supports no other
        ways["core"] = core(net, images, multiplier)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    options = resolve(OPTIONS, {"multiplier": multiplier, "ending": "last frame"})
    network = RifeNetwork(net, options, resolve_dtype("auto", device))
    stage = InterpolationStage(NetworkInterpolator(network, device, options), options)
    Headless(device).place(stage.nets, 0)
    ways = {
        "loop": lambda: loop(network, images, multiplier, device),
        "stage": lambda: sum(1 for _ in frames_of(stage, images)),
        **ways,
    }
    exact = torch.stack([frame.cpu() for frame in frames_of(stage, images)])
    apart = (torch.stack(loop(network, images, multiplier, device)) - exact).abs().max().item()
    figures = interleaved(ways, rounds, (sources - 1) * (multiplier - 1))
    return {
        **figures,
        "apart": apart,
        "ratio": {name: figures["stage"]["fps"] / figures[name]["fps"] for name in ways if name != "stage"},
    }


def loop(
    network: RifeNetwork, images: torch.Tensor, multiplier: int, device: torch.device
) -> list[torch.Tensor]:
    """Interpolate pair by pair with the same network, as most packs do."""
    sides = rife.padding(*images.shape[1:3], network.net.family)
    frames = []
    for pair in zip(images, images[1:]):
        first, second = (
            torch.nn.functional.pad(image.movedim(-1, 0)[None].to(device), sides) for image in pair
        )
        frames.append(pair[0])
        for step in range(1, multiplier):
            between = rife.crop(
                network.net(first, second, torch.tensor([step / multiplier], device=device)),
                *images.shape[1:3],
            )
            frames.append(between.image[0].movedim(0, -1).clamp(0, 1).cpu())
    return [*frames, images[-1]]


def core(net: rife.RIFE, images: torch.Tensor, multiplier: int) -> Callable:
    """Return ComfyUI's node with the same weights; it reports its progress on standard error."""
    if os.environ["COMFYUI"] not in sys.path:
        sys.path.insert(0, os.environ["COMFYUI"])
    arguments, sys.argv = sys.argv, sys.argv[:1]  # ComfyUI reads the command line
    importlib.import_module("comfy.cli_args").args.cpu = not torch.cuda.is_available()
    nodes = importlib.import_module("comfy_extras.nodes_frame_interpolation")
    sys.argv = arguments
    with tempfile.TemporaryDirectory() as folder:
        importlib.import_module("folder_paths").add_model_folder_path("frame_interpolation", folder)
        name = f"{Path(folder).name}.pth"
        torch.save(net.state_dict(), Path(folder) / name)
        model = nodes.FrameInterpolationModelLoader.execute(name).args[0]
    return lambda: nodes.FrameInterpolate.execute(model, images, multiplier)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=15, help="of builtin; RIFE gets a third; default: 15")
    parser.add_argument("--frames", type=int, default=5, help="source frames for RIFE; default: 5")
    parser.add_argument(
        "--size", nargs="+", help="frames for RIFE; default: 256x144, on a GPU 720p and 1080p"
    )
    parser.add_argument("--version", nargs="+", default=["4.25", "4.15.lite"], help="of RIFE")
    parser.add_argument("--nets", action="store_true", help="RIFE only, without builtin")
    parser.add_argument("--quick", action="store_true", help="few runs, three source frames, aliased edges")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.runs, arguments.frames = 4, 3
    torch.set_grad_enabled(False)
    figures = {}
    if not arguments.nets:
        figures["builtin"] = flows(arguments.runs, 1 if arguments.quick else 2)
        report("builtin 1280x720", figures["builtin"])
    for size in arguments.size or SIZES["cuda" if torch.cuda.is_available() else "cpu"]:
        for version in arguments.version:
            for multiplier in (2, 5):
                name = f"rife {version} {size} {multiplier}x"
                figures[name] = networks(
                    version, size, multiplier, max(2, arguments.runs // 3), arguments.frames
                )
                report(name, figures[name])
    if "COMFYUI" not in os.environ:
        print("Set COMFYUI to compare with ComfyUI's own node; see --help.")
    figures["ratio"] = {name: found.pop("ratio") for name, found in figures.items()}
    figures["peak_mib"] = resident("VmHWM") / 2**20
    if arguments.json:
        print(json.dumps(figures))


def report(name: str, figures: dict) -> None:
    print(name)
    for way, found in figures.items():
        if isinstance(found, dict) and way != "ratio":
            print(f"    {way:14s}", *(f"{key} {value:.3f}" for key, value in found.items()))
    print("    time, ours over naive:" if "builtin" in name else "    speed of the stage over that of:",
          {way: round(ratio, 2) for way, ratio in figures["ratio"].items()},
          f"frames differ by {figures['apart']:.1e}" if "apart" in figures else "")  # fmt: skip


if __name__ == "__main__":
    main()
