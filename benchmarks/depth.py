"""Depth: time and memory of Depth Anything compared with transformers', what edge snap keeps of edges, and
what keeps a still scene still.

    python benchmarks/depth.py [--quick] [--json] [--nets | --edges | --steady] python benchmarks/depth.py
    --nets [--model small video-small ...] [--lines 392 518 ...] [--frame 518x518 ...]

nets: random weights, on which speed does not depend, the same for transformers where it can be imported.
"network" is the network alone, "stage" goes from frames in the computer's memory to depth of their size ("on
the GPU": from frames there); "model" and "pipeline" are transformers' ways to the same two ends, the pipeline
from PIL pictures, one by one. A video network's "window" is 32 frames at once, as published; its stage is
given as many frames as some windows decide. Runs are interleaved; "cores_ms" is the time of all processor
cores together, which other programs disturb less; memory is what a first run adds. edges: exact depth of
streets, shrunk to what a network of 518 lines sees of 1080 and brought back; also softened as a network's is.
Bars thinner than two depth pixels, which no way brings back, are left out without --thin. steady: something
near flies past in five frames while each frame's depth has a scale and shift of its own; 2 % divergence at
1920 pixels.
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
from interpolate import peak
from PIL import Image

from benchmarks.support import scenes
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
from stereoreel.stages.depth.windows import SteadyRange
from stereoreel.stages.stereo import builtin

MODELS = {name.replace(" ", "-"): name for name in PUBLISHED}
PUBLISHED_MS = {"video small": 7.5, "video large": 14.0}  # a frame, on an A100 in fp16, 32 at once, 518x518
# of a clip, for networks of pictures and of video: the most that one window decides, and four
FRAMES = {"cpu": (2, 25), "cuda": (32, 91)}
SIZES = {"cpu": ["518x518"], "cuda": ["518x518", "1920x1080"]}
LOW = 518 / 1080
DIVERGENCE = 3.0
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
ENLARGED = {
    "bilinear": lambda low, image: F.interpolate(low, image.shape[:2], mode="bilinear", align_corners=False)[
        0, 0
    ],
    "snap": lambda low, image: snap(low[0, 0], image),
}
finish = torch.cuda.synchronize if DEVICE.type == "cuda" else torch.cpu.synchronize


def missing() -> str:
    """Why there is no transformers to compare with; empty where there is."""
    try:
        from transformers import DepthAnythingForDepthEstimation, pipeline  # noqa: F401
    # the latter where a package it uses is of another build than torch
    except (ImportError, RuntimeError) as error:
        return str(error).splitlines()[0]
    return ""


def peer(family: depth_anything.Family, lines: int):
    """Our network of random weights, transformers' of the same, and its pipeline."""
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
    # as they are made almost nothing of a picture reaches the output
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
    """Milliseconds a frame and MiB of every way for one model at one resolution."""
    family, (width, height) = PUBLISHED[name][0], map(int, size.split("x"))
    video = family.frames > 0
    frames = frames or FRAMES[DEVICE.type][video]
    net, model, pipe = (random_net(family), None, None) if video or alone else peer(family, lines)
    options = resolve(depth.OPTIONS, {})
    options.resolution = str(lines)  # any number of lines, not only those that are offered
    shot = Shot(0, ClipInfo(width, height, Fraction(25), frames))
    network = DepthAnything(net, options, False, DEVICE)
    stage = DepthStage(network, options, DEVICE)
    Headless(DEVICE).place(stage.nets, 0)
    images = torch.rand(frames, height, width, 3, generator=torch.Generator().manual_seed(0))
    seen = torch.rand(32 if video else frames, 3, *network.size(shot.info)).to(DEVICE)
    parts = seen.split(8 if DEVICE.type == "cuda" else 1)
    ways = {"stage": (lambda: [len(made) for made in stage(shot, images.split(8))], frames)}
    if DEVICE.type == "cuda":
        near = images.to(DEVICE)
        ways["stage, on the GPU"] = lambda: [len(made) for made in stage(shot, near.split(8))], frames
    ways |= (
        {"window": (lambda: net(seen[None]), 32)}
        if video
        else {"network": (lambda: [net(part) for part in parts], frames)}
    )
    if model is not None:
        pictures = [Image.fromarray(image.mul(255).to(torch.uint8).numpy()) for image in images]
        ways["model"] = lambda: [model(part.to(model.dtype)).predicted_depth for part in parts], frames
        ways["pipeline"] = lambda: [pipe(picture) for picture in pictures], frames
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


def interleaved(ways: dict[str, tuple[Callable, int]], rounds: int) -> dict[str, dict[str, float]]:
    """Of every way, which does so many frames: milliseconds a frame, the least and the median, those of all
    cores, and MiB.
    """
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
    """Means over streets of how near depth, and the eye made of it, come to the exact ones."""
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
            for name, way in ENLARGED.items()
        }
        for name, way in ways.items():
            made, milliseconds = way(), min(repeat(way, number=1, repeat=5)) * 1e3
            eye = right_eye(source.image, made)
            accuracy, completeness = boundary_error(made, source.depth)
            rows.setdefault(name, []).append(
                {
                    "psnr_db": psnr(eye, truth.image, visible),
                    "edge_db": edge_psnr(eye, truth.image, disparity, visible),
                    "f1": boundary_f1(made, source.depth),
                    "f1_1px": boundary_f1(made, source.depth, 1),
                    "accuracy_px": accuracy,
                    "completeness_px": completeness,
                    "ms": milliseconds,
                }
            )
    return {
        name: {key: statistics.mean(row[key] for row in some) for key in some[0]}
        for name, some in rows.items()
    }


def right_eye(image: torch.Tensor, near: torch.Tensor) -> torch.Tensor:
    options = {"divergence": DIVERGENCE, "view": "right", "convergence": 0.0, "convergence_mode": "fixed"}
    stage = builtin.load(None, resolve(stereo.OPTIONS, options), Headless("cpu"))
    shot = Shot(0, ClipInfo(near.shape[1], near.shape[0], Fraction(25), 1))
    return next(iter(stage(shot, iter([image[None]]), iter([near[None, ..., None]]))))["clip"][1, 0]


def steady() -> dict[str, dict[str, float]]:
    """The largest step of parallax of what stands still, in pixels, under each way to a range."""
    found = {}
    for what, size in {
        "particle": (6, 8),
        "bird": (40, 40),
        "a third of the picture": (70, 60),
        "nothing": (0, 0),
    }.items():
        raw = flown_past(size)
        still = torch.zeros(raw.shape[1:], dtype=torch.bool)
        still[82:] = True
        ends = torch.stack(raw.flatten(1).aminmax(dim=1))
        slow = list(accumulate(ends.T, lambda mean, new: 0.75 * mean + 0.25 * new))
        shares = raw.flatten(1).quantile(torch.tensor([0.02, 0.98]), 1)
        for name, (low, high) in {"min and max of each "
                                  "frame": ends, "their moving mean (0.75)": torch.stack(slow, 1),
                                  "2 and 98 % of each frame": shares}.items():  # fmt: skip
            low, high = low[:, None, None], high[:, None, None]
            found.setdefault(name, {})[what] = parallax_step(
                ((raw - low) / (high - low)).clamp(0, 1), 1920, 2.0, still
            )
        found.setdefault("SteadyRange", {})[what] = parallax_step(SteadyRange()(raw), 1920, 2.0, still)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for part in ("nets", "edges", "steady"):
        parser.add_argument(
            f"--{part}",
            action="append_const",
            dest="parts",
            const=part,
            help="only this part and those also named",
        )
    parser.add_argument("--model", nargs="+", choices=MODELS, default=["small", "video-small"])
    parser.add_argument(
        "--lines",
        nargs="+",
        type=int,
        default=[392, 518],
        help="the short side that a network sees, multiples of 14",
    )
    parser.add_argument("--frame", nargs="+", default=SIZES[DEVICE.type], help="size of the frames")
    parser.add_argument("--frames", type=int, help="of the clip; default 2, 25 for video, on a GPU 32 and 91")
    parser.add_argument("--rounds", type=int, default=2 if DEVICE.type == "cpu" else 7)
    parser.add_argument("--height", type=int, default=1080, help="of the streets")
    parser.add_argument("--thin", action="store_true", help="keep the streets' thin bars")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="252 lines, 112 and few frames for video, one round; one street of 540 lines",
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    figures, parts = {}, options.parts or ("steady", "edges", "nets")
    if "steady" in parts:
        figures["steady"] = steady()
        table(
            "largest step of parallax of what stands still, in pixels, while this flies past",
            figures["steady"],
        )
    if "edges" in parts:
        height, streets = (540, 1) if options.quick else (options.height, 3)
        figures["edges"] = edges(height, streets, options.thin)
        table(f"edges at {height} lines, depth from {round(height * LOW)}", figures["edges"])
    if "nets" in parts:
        if reason := missing():
            print(f"transformers is not there to compare with: {reason}")
        figures["nets"] = {
            key: found
            for model in options.model
            for key, found in at_all_sizes(model, options, bool(reason)).items()
        }
    if options.json:
        print(json.dumps({**figures, "device": str(DEVICE), "threads": torch.get_num_threads()}))


def at_all_sizes(model: str, options, alone: bool) -> dict[str, dict]:
    name, found = MODELS[model], {}
    video = "video" in name
    lines, sizes, frames, rounds = options.lines, options.frame, options.frames, options.rounds
    if options.quick:
        lines, sizes, frames, rounds = [112 if video else 252], ["320x320"], 12 if video else 2, 1
    for size, count in product(sizes, lines):
        one = found[f"{model} {size} {count}"] = networks(name, count, size, frames, rounds, alone)
        table(f"{model}, {one['frames']} frames of {size} seen as {one['seen']}, {DEVICE}", one["ways"])
        if one["ratio"]:
            print(
                "    speed of ours over transformers':",
                {way: round(ratio, 2) for way, ratio in one["ratio"].items()},
            )
        if name in PUBLISHED_MS and DEVICE.type == "cuda":
            print(f"    published: {PUBLISHED_MS[name]} ms a frame on an A100, windows of 518x518")
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
