"""Measure depth: speed and memory of the networks, accuracy of edges, and temporal stability of the range.

    python benchmarks/depth.py [--quick] [--json] [--nets | --edges | --steady | --auto]
    python benchmarks/depth.py --nets [--model small ...] [--lines 392 518 ...] [--frame 518x518 ...]

nets: Depth Anything with random weights, on which speed does not depend, next to transformers with the same
weights, if it is installed. "network" is the network alone; "stage" goes from frames in system RAM to depth
of their size ("on the GPU": from frames on the device). "model" and "pipeline" are the counterparts in
transformers; the pipeline takes PIL images one by one. "window" is a video network on 32 frames, as
published; its stage gets several windows of frames. "cores_ms" is the CPU time of all cores, which depends
less on other load. Memory is what a first run adds. Runs are interleaved.

edges: exact depth of rendered streets, downscaled from 1080 rows to the 518 of a model and upsampled again,
also blurred as a network's output is. Bars thinner than two depth pixels, which no method restores, are
left out without --thin.

auto: the networks among which ``auto`` selects, per new frame of their windows, next to Depth Anything V2
Small; only with --auto. Large ones take minutes on a CPU.

steady: a near object passes within five frames while each frame's depth has its own scale and shift.
Parallax is measured at a divergence of 2 % and a width of 1920 pixels.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import accumulate, product
from pathlib import Path
from timeit import repeat

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from stereoreel.cli import passive_waiting

passive_waiting()  # before torch is imported

import torch  # isort: skip
import torch.nn.functional as F
from PIL import Image

from benchmarks.interpolate import peak
from benchmarks.support import depth_3_nets, depth_nets, moge_nets, scenes
from benchmarks.support.depth_nets import PUBLISHED, random_net
from benchmarks.support.depth_scenes import flown_past
from stereoreel.analysis.depth_metrics import boundary_error, boundary_f1, edge_psnr, parallax_step
from stereoreel.analysis.metrics import psnr
from stereoreel.core.clip import ClipInfo, Shot
from stereoreel.core.options import resolve
from stereoreel.image.edge_snap import snap
from stereoreel.models.headless import Headless
from stereoreel.nets import depth_anything
from stereoreel.stages import depth, stereo
from stereoreel.stages.depth.depth_anything import DepthAnything, DepthStage
from stereoreel.stages.depth.stage import depth_type
from stereoreel.stages.depth.windows import SteadyRange
from stereoreel.stages.stereo import builtin

MODELS = {name.replace(" ", "-"): name for name in PUBLISHED}
PUBLISHED_MS = {
    "video small": 7.5,
    "video large": 14.0,
}  # per frame: A100, fp16, 32 at a time, 518x518
# of a clip, for image and for video networks: at most what one window decides, and four windows
FRAMES = {"cpu": (2, 25), "cuda": (32, 91)}
SIZES = {"cpu": ["518x518"], "cuda": ["518x518", "1920x1080"]}
LOW = 518 / 1080
DIVERGENCE = 3.0
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
UPSAMPLED = {
    "bilinear": lambda low, image: F.interpolate(low, image.shape[:2], mode="bilinear", align_corners=False)[
        0, 0
    ],
    "snap": lambda low, image: snap(low[0, 0], image),
}
finish = torch.cuda.synchronize if DEVICE.type == "cuda" else torch.cpu.synchronize


def missing() -> str:
    """Return why transformers cannot be imported; empty if it can."""
    try:
        from transformers import DepthAnythingForDepthEstimation, pipeline  # noqa: F401
    # RuntimeError: one of its packages was built for another torch
    except (ImportError, RuntimeError) as error:
        return str(error).splitlines()[0]
    return ""


def peer(family: depth_anything.Family, lines: int):
    """Return our network with random weights, transformers' with the same, and its pipeline."""
    from transformers import (
        DepthAnythingConfig,
        DepthAnythingForDepthEstimation,
        Dinov2Config,
        DPTImageProcessor,
        pipeline,
    )

    backbone = Dinov2Config(
        hidden_size=family.width,
        num_hidden_layers=family.depth,
        num_attention_heads=family.width // depth_anything.HEAD,
        image_size=518,
        patch_size=14,
        out_indices=[tap + 1 for tap in family.taps],
        reshape_hidden_states=False,
        use_swiglu_ffn=family.gated,
    )
    model = DepthAnythingForDepthEstimation(
        DepthAnythingConfig(
            backbone_config=backbone,
            reassemble_hidden_size=family.width,
            neck_hidden_sizes=list(family.outputs),
            fusion_hidden_size=family.features,
            head_hidden_size=family.last,
        )
    )
    # as initialised, almost nothing of the image reaches the output
    for name, tensor in model.named_parameters():
        if tensor.dim() > 1 and "embeddings" not in name:
            tensor.normal_(0, tensor[0].numel() ** -0.5)
    net = depth_anything.load({key: tensor.clone() for key, tensor in model.state_dict().items()})
    model = model.eval().to(DEVICE, torch.float16 if DEVICE.type == "cuda" else torch.float32)
    processor = DPTImageProcessor(
        size={"height": lines, "width": lines},
        keep_aspect_ratio=True,
        ensure_multiple_of=14,
        image_mean=depth_anything.MEAN,
        image_std=depth_anything.DEVIATION,
    )
    return net, model, pipeline("depth-estimation", model=model, image_processor=processor, device=DEVICE)


def networks(name: str, lines: int, size: str, frames: int | None, rounds: int, alone: bool) -> dict:
    """Return milliseconds per frame and MiB of every way, for one model at one resolution."""
    family, (width, height) = PUBLISHED[name][0], map(int, size.split("x"))
    video = family.frames > 0
    frames = frames or FRAMES[DEVICE.type][video]
    net, model, pipe = (random_net(family), None, None) if video or alone else peer(family, lines)
    # any side, not only the choices of the widget
    options = replace(resolve(depth.OPTIONS, {}), resolution=str(lines))
    shot = Shot(0, ClipInfo(width, height, Fraction(25), frames))
    network = DepthAnything(net, options, False, DEVICE)
    stage = DepthStage(network, options, DEVICE)
    Headless(DEVICE).place(stage.nets, 0)
    images = torch.rand(frames, height, width, 3, generator=torch.Generator().manual_seed(0))
    seen = torch.rand(32 if video else frames, 3, *network.size(shot.info)).to(DEVICE)
    parts = seen.split(8 if DEVICE.type == "cuda" else 1)
    ways = {"stage": (lambda: [len(maps) for maps in stage(shot, images.split(8))], frames)}
    if DEVICE.type == "cuda":
        near = images.to(DEVICE)
        ways["stage, on the GPU"] = lambda: [len(maps) for maps in stage(shot, near.split(8))], frames
    ways |= (
        {"window": (lambda: net(seen[None]), 32)}
        if video
        else {"network": (lambda: [net(part) for part in parts], frames)}
    )
    if model is not None:
        stills = [Image.fromarray(image.mul(255).to(torch.uint8).numpy()) for image in images]
        ways["model"] = lambda: [model(part.to(model.dtype)).predicted_depth for part in parts], frames
        ways["pipeline"] = lambda: [pipe(still) for still in stills], frames
    found = interleaved(ways, rounds)
    return {
        "seen": f"{seen.shape[-1]}x{seen.shape[-2]}",
        "frames": frames,
        "ways": found,
        "ratio": {
            ours: found[theirs]["min_ms"] / found[ours]["min_ms"]
            for ours, theirs in (("stage", "pipeline"), ("network", "model"))
            if theirs in found
        },
    }


def rivals(lines: int, rounds: int) -> dict:
    """Measure the networks among which ``auto`` selects, alone, in the precision of ``auto``."""
    images = torch.rand(1, 3, lines, round(lines * 16 / 9 / 14) * 14, device=DEVICE)

    def placed(net: torch.nn.Module) -> torch.nn.Module:
        net = net.to_empty(device=DEVICE)
        for tensor in net.state_dict().values():
            tensor.fill_(1e-3)  # speed does not depend on values
        return net.to(depth_type("auto", DEVICE))

    two = {name: placed(depth_nets.on_meta(PUBLISHED[name][0])) for name in ("small", "video small")}
    three = {name: placed(depth_3_nets.on_meta(depth_3_nets.PUBLISHED[name][0])) for name in
             ("small", "base", "mono and metric")}  # fmt: skip
    moge = placed(moge_nets.on_meta(moge_nets.LARGE))

    def views(name: str, count: int) -> Callable:
        return partial(three[name], images[None].expand(1, count, -1, -1, -1))

    window = 16 if DEVICE.type == "cuda" else 8
    ways = {
        "depth-anything-v2-small": (partial(two["small"], images), 1),
        "video-depth-anything-small": (
            partial(two["video small"], images[None].expand(1, 32, -1, -1, -1)),
            22,
        ),
        "depth-anything-3-small": (views("small", window), window * 3 // 4),
        "depth-anything-3-base": (views("base", window), window * 3 // 4),
        "depth-anything-3-small alone": (views("small", 1), 1),
        "depth-anything-3-mono-large": (views("mono and metric", 1), 1),
        "moge-2-large": (partial(moge, images), 1),
    }
    found = interleaved(ways, rounds)
    which = "cores_ms" if DEVICE.type == "cpu" else "min_ms"
    one = found["depth-anything-v2-small"][which]
    return {"ways": found, "ratio": {name: round(row[which] / one, 2) for name, row in found.items()}}


def interleaved(ways: dict[str, tuple[Callable, int]], rounds: int) -> dict[str, dict[str, float]]:
    """Run the ways in turn; return milliseconds per frame (minimum, median, CPU time) and MiB of each."""
    memory, times = {name: peak(way) for name, (way, _) in ways.items()}, {name: [] for name in ways}
    for name, (way, frames) in [*ways.items()] * rounds:
        finish()
        begin, busy = time.perf_counter(), time.process_time()
        way()
        finish()
        times[name].append(
            [(time.perf_counter() - begin) / frames * 1e3, (time.process_time() - busy) / frames * 1e3]
        )
    return {
        name: {
            "min_ms": min(some)[0],
            "median_ms": statistics.median(wall for wall, _ in some),
            "cores_ms": min(cores for _, cores in some),
            "peak_mib": memory[name],
        }
        for name, some in times.items()
    }


def edges(height: int, streets: int, thin: bool) -> dict[str, dict[str, float]]:
    """Return the mean accuracy over streets of each depth map and of the view rendered from it."""
    width, rows = height * 16 // 9, {}
    for seed in range(1, streets + 1):
        scene = scenes.street(seed, width, height, divergence=DIVERGENCE)
        scene = (
            scene
            if thin
            else replace(
                scene,
                layers=tuple(one for one in scene.layers if one.shape != "box" or one.radius[0] * LOW > 1),
            )
        )
        source, truth, visible = scene.render(), scene.render(eye=-1.0), ~scene.holes(-1.0)
        low = F.interpolate(source.depth[None, None], (round(height * LOW), round(width * LOW)), mode="area")
        soft = F.avg_pool2d(F.pad(low, (1, 1, 1, 1), mode="replicate"), 3, 1)
        disparity = scene.disparity(truth.depth)
        ways = {"exact": lambda exact=source.depth: exact}
        ways |= {
            name + kind: partial(way, given, source.image)
            for kind, given in (("", low), (" of soft depth", soft))
            for name, way in UPSAMPLED.items()
        }
        for name, way in ways.items():
            result, milliseconds = way(), min(repeat(way, number=1, repeat=5)) * 1e3
            view = right_view(source.image, result)
            accuracy, completeness = boundary_error(result, source.depth)
            rows.setdefault(name, []).append(
                {
                    "psnr_db": psnr(view, truth.image, visible),
                    "edge_db": edge_psnr(view, truth.image, disparity, visible),
                    "f1": boundary_f1(result, source.depth),
                    "f1_1px": boundary_f1(result, source.depth, 1),
                    "accuracy_px": accuracy,
                    "completeness_px": completeness,
                    "ms": milliseconds,
                }
            )
    return {
        name: {key: statistics.mean(row[key] for row in some) for key in some[0]}
        for name, some in rows.items()
    }


def right_view(image: torch.Tensor, near: torch.Tensor) -> torch.Tensor:
    options = {"divergence": DIVERGENCE, "view": "right", "convergence": 0.0, "convergence_mode": "fixed"}
    stage = builtin.load(None, resolve(stereo.OPTIONS, options), Headless("cpu"))
    shot = Shot(0, ClipInfo(near.shape[1], near.shape[0], Fraction(25), 1))
    return next(iter(stage(shot, iter([image[None]]), iter([near[None, ..., None]]))))["clip"][1, 0]


def steady() -> dict[str, dict[str, float]]:
    """Return the largest step of parallax of still objects, in pixels, for each way to find the range."""
    found = {}
    for passing, size in {
        "particle": (6, 8),
        "bird": (40, 40),
        "a third of the frame": (70, 60),
        "nothing": (0, 0),
    }.items():
        raw = flown_past(size)
        still = torch.zeros(raw.shape[1:], dtype=torch.bool)
        still[82:] = True
        ends = torch.stack(raw.flatten(1).aminmax(dim=1))
        slow = list(accumulate(ends.T, lambda mean, new: 0.75 * mean + 0.25 * new))
        ranges = {
            "min and max of each frame": ends,
            "their moving mean (0.75)": torch.stack(slow, 1),
            "2 and 98 % of each frame": raw.flatten(1).quantile(torch.tensor([0.02, 0.98]), 1),
        }
        for name, (low, high) in ranges.items():
            low, high = low[:, None, None], high[:, None, None]
            found.setdefault(name, {})[passing] = parallax_step(
                ((raw - low) / (high - low)).clamp(0, 1), 1920, 2.0, still
            )
        found.setdefault("SteadyRange", {})[passing] = parallax_step(SteadyRange()(raw), 1920, 2.0, still)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for part in ("nets", "edges", "steady", "auto"):
        parser.add_argument(
            f"--{part}",
            action="append_const",
            dest="parts",
            const=part,
            help="run only this part; repeatable",
        )
    parser.add_argument(
        "--model",
        nargs="+",
        choices=MODELS,
        default=["small", "video-small"],
        help="default: small video-small",
    )
    parser.add_argument(
        "--lines",
        nargs="+",
        type=int,
        default=[392, 518],
        help="short side of the model input, a multiple of 14; default: 392 518",
    )
    parser.add_argument("--frame", nargs="+", default=SIZES[DEVICE.type], help="size of the frames")
    parser.add_argument("--frames", type=int, help="per clip; default: 2, video 25; on a GPU 32 and 91")
    parser.add_argument(
        "--rounds", type=int, default=2 if DEVICE.type == "cpu" else 7, help="runs of each way"
    )
    parser.add_argument("--height", type=int, default=1080, help="of the rendered streets; default: 1080")
    parser.add_argument("--thin", action="store_true", help="include bars thinner than two depth pixels")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="smaller and fewer frames, one round, one street of 540 rows",
    )
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    figures, parts = {}, options.parts or ("steady", "edges", "nets")
    if "steady" in parts:
        figures["steady"] = steady()
        table(
            "largest step of parallax of still objects, in pixels, while an object passes",
            figures["steady"],
        )
    if "edges" in parts:
        height, streets = (540, 1) if options.quick else (options.height, 3)
        figures["edges"] = edges(height, streets, options.thin)
        table(f"edges at {height} rows, depth upsampled from {round(height * LOW)}", figures["edges"])
    if "nets" in parts:
        if reason := missing():
            print(f"No comparison with transformers: {reason}")
        figures["nets"] = {
            key: found
            for model in options.model
            for key, found in at_all_sizes(model, options, bool(reason)).items()
        }
    if "auto" in parts:
        lines = 112 if options.quick else 280
        figures["auto"] = found = rivals(lines, 1 if options.quick else options.rounds)
        table(f"networks of auto, per frame, {lines} rows of 16:9, {DEVICE}", found["ways"])
        print("    time over that of Depth Anything V2 Small:", found["ratio"])
    if options.json:
        print(json.dumps({**figures, "device": str(DEVICE), "threads": torch.get_num_threads()}))


def at_all_sizes(model: str, options, alone: bool) -> dict[str, dict]:
    """Measure one model at every frame size and resolution; ``alone``: without transformers."""
    name, found = MODELS[model], {}
    video = "video" in name
    lines, sizes, frames, rounds = options.lines, options.frame, options.frames, options.rounds
    if options.quick:
        lines, sizes, frames, rounds = [112 if video else 252], ["320x320"], 12 if video else 2, 1
    for size, count in product(sizes, lines):
        one = found[f"{model} {size} {count}"] = networks(name, count, size, frames, rounds, alone)
        table(f"{model}, {one['frames']} frames of {size}, model input {one['seen']}, {DEVICE}", one["ways"])
        if one["ratio"]:
            print(
                "    our speed over that of transformers:",
                {way: round(ratio, 2) for way, ratio in one["ratio"].items()},
            )
        if name in PUBLISHED_MS and DEVICE.type == "cuda":
            print(f"    published: {PUBLISHED_MS[name]} ms per frame on an A100, windows of 518x518")
    return found


def table(title: str, rows: dict[str, dict[str, float]]) -> None:
    print(title)
    for name, row in rows.items():
        print(
            f"    {name:26s}",
            *(
                f"{key} {value:.3f}" if abs(value) < 10 else f"{key} {value:.1f}"
                for key, value in row.items()
            ),
            sep="  ",
        )


if __name__ == "__main__":
    main()
