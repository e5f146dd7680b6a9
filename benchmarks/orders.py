"""Compare orders of the stages on footage with ground truth, claim by claim.

    python benchmarks/orders.py [--full] [--json FILE] [--seed N]

Scenes with exact depth, second view and intermediate frames are degraded like real sources and processed in
every order of the order lab. The small setting (the default, also ``--quick`` and ``--small``) works at one
eighth of true size: 160x90 stands for 720p, an input of 65 pixels for a depth model's 518. ``--full`` works
at one quarter, with more sources and scenes; ``--scale 1`` is true size. The same seed prints equal tables.
Times follow separately, because they vary from run to run. For each model type, the best learned model with
its weights present and a licence that allows any use takes part, and the claims are judged by it;
``--models builtin`` leaves it out.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from stereoreel.cli import passive_waiting

passive_waiting()  # before torch is imported

import torch  # isort: skip
import cv2
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.order_study.cells import Plan, Row, cells, resizing
from benchmarks.order_study.claims import AFTER, DEFAULT, Setting, outcomes
from benchmarks.order_study.contrasts import Rows
from benchmarks.order_study.degrade import SOURCES
from benchmarks.order_study.tables import (
    answer_table,
    claims_table,
    pixels_table,
    resizing_table,
    scores_table,
    seconds_table,
)
from benchmarks.order_study.truth import DIVERGENCE, FACTOR, Truth
from benchmarks.order_study.workshop import EXACT, Seen
from benchmarks.support.depth_nets import PUBLISHED, on_meta
from benchmarks.support.image_nets import Compact, RRDBNet
from benchmarks.support.scenes import Camera, street
from stereoreel.models import catalog
from stereoreel.models.headless import Headless
from stereoreel.nets.rife import FAMILIES, RIFE
from stereoreel.sample import clip as sample

SIDE = 512  # of the frames for which operations are counted
SCORES = {
    "f1": 3,
    "f1_1px": 3,
    "accuracy": 2,
    "completeness": 2,
    "rank": 3,
    "depth_error": 1,
    "depth_step": 1,
    "frames": 2,
    "between": 2,
    "eyes": 2,
    "edges": 2,
    "flicker": 2,
    "rivalry": 2,
}  # and their digits
LINES = {"720p": (1280, 720), "1080p": (1920, 1080)}
NETWORK = (518, 1036)  # short sides of the input of a depth model
FRAMES = 4  # of a source
# of the output frames: two at source times and two in between, away from both ends
SCORED = slice(2, 6)
MOVES = (
    Camera(truck=(4.0, 0.0)),
    Camera(truck=(-3.0, 2.0)),
    Camera(truck=(4.0, 0.0), zoom=1.01),
    Camera(truck=(6.0, 0.0), pan=(-4.0, 0.0)),
)
TRACED = (6, 66, 30, 86, 18, 76, 42, 56)  # frames of the sample with which shots begin


@dataclass(frozen=True)
class Extent:
    """How much is measured; ``sources`` by the name of their size."""

    scale: int
    streets: int
    traced: int
    sources: dict[str, tuple[str, ...]]
    frames: int = FRAMES
    network: tuple[int, ...] = NETWORK


SMALL = Extent(
    8, 4, 2, {"720p": ("clean", "blurred", "noise 10", "crf 28", "crf 35", "AI-like"), "1080p": ("clean",)}
)
FULL = Extent(4, 8, 4, {size: tuple(SOURCES) for size in LINES})


def source_size(extent: Extent, name: str) -> tuple[int, int]:
    """Return the even width and height that stand for 720p or 1080p."""
    return tuple(2 * round(side / extent.scale / 2 + 0.01) for side in LINES[name])


def network_lines(extent: Extent) -> tuple[int, ...]:
    return tuple(round(lines / extent.scale) for lines in extent.network)


def scene_names(extent: Extent) -> list[str]:
    return [f"street {number + 1}" for number in range(extent.streets)] + [
        f"traced {TRACED[number]}" for number in range(extent.traced)
    ]


def truth_of(name: str, width: int, height: int, seed: int, frames: int) -> Truth:
    """Return a shot of ``2 * frames`` frames: a street, which depends on the seed, or one of the sample."""
    kind, number = name.split()
    if kind == "traced":
        return truth(
            name,
            frames,
            lambda t, eye: sample.render(int(number) + t, width, height, eye * DIVERGENCE / 100 * width),
        )
    move, grow = MOVES[int(number) % len(MOVES)], width / 320
    camera = Camera(
        tuple(grow * step for step in move.truck), tuple(grow * step for step in move.pan), move.zoom
    )
    scene = street(100 * seed + int(number), width, height, camera=camera, divergence=DIVERGENCE)

    def view(t: float, eye: float):
        seen = scene.render(t, eye)
        return seen.image, seen.depth[..., None]

    return truth(name, frames, view)


def truth(name: str, frames: int, view) -> Truth:
    times = [number / FACTOR for number in range(FACTOR * frames)]
    pictures, depth = (torch.stack(some) for some in zip(*(view(t, 0.0) for t in times)))
    eyes = [
        [torch.stack(some) for some in zip(*(view(t, eye) for t in times[SCORED]))] for eye in (0.5, -0.5)
    ]
    return Truth(
        name,
        pictures,
        depth,
        SCORED,
        torch.stack([eye[0] for eye in eyes]),
        torch.stack([eye[1][..., 0] for eye in eyes]),
    )


def one_scene(extent: Extent, name: str, size: str, seed: int, models: str) -> tuple[list[Row], dict]:
    """Return all rows of a scene at one size, and the aliasing of its resizing to a model's input."""
    host = Headless("cpu" if models == "builtin" else None)
    width, height = source_size(extent, size)
    shot = truth_of(name, FACTOR * width, FACTOR * height, seed, extent.frames)
    plan = planned(extent, size, seed, models, host)
    return cells(shot, plan, host), resizing(shot, network_lines(extent)[0], "builtin", host)


def planned(extent: Extent, size: str, seed: int, models: str, host: Headless) -> Plan:
    sides = network_lines(extent)
    depths = [Seen(model, side) for model in chosen("depth", models, host) for side in sides]
    upscalers = [(kind, model) for kind in ("vsr", "upscale") for model in chosen(kind, models, host)]
    depths += [Seen(EXACT, sides[0]), Seen(EXACT, None)]
    return Plan(
        extent.sources[size], tuple(upscalers), tuple(depths), chosen("interpolate", models, host)[0], seed
    )


def chosen(kind: str, models: str, host: Headless) -> list[str]:
    """Return the best learned model with its weights present, and builtin."""
    learned = [
        name
        for name, entry in catalog.models(kind).items()
        if name != "builtin" and models == "all" and catalog.ready(entry, host)
    ]
    return [*learned[:1], "builtin"]


def experiment(
    extent: Extent, seed: int, models: str = "all", workers: int | None = None
) -> tuple[list[Row], dict]:
    """Return the rows of all scenes, and the effect of resizing by scene and size.

    The order of the rows does not depend on ``workers``.
    """
    tasks = [
        (extent, name, size, seed, models)
        for size in reversed(LINES)
        if extent.sources.get(size)
        for name in reversed(scene_names(extent))
    ]
    rows, sizes = [], {}
    with ProcessPoolExecutor(
        workers or min(os.cpu_count() or 1, len(tasks)), get_context("spawn"), one_core
    ) as pool:
        for (_, name, size, *_), (some, found) in zip(tasks, pool.map(one_scene, *zip(*tasks))):
            rows += some
            sizes[f"{name}, {size}"] = found
            print(f"{name}, {size}: done", file=sys.stderr, flush=True)
    return rows, sizes


def one_core() -> None:
    """Use one core, because scenes are processed in parallel."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.set_grad_enabled(False)


def setting_of(extent: Extent, rows: Rows) -> Setting:
    """Return what the tables need about the rows."""
    seen: dict[str, list[str]] = {}
    for depth in rows.values("depth"):
        seen.setdefault(depth.rsplit(" ", 1)[0], []).append(depth)
    small, large = (source_size(extent, size)[1] for size in LINES)
    upscaler, single = (
        rows.values("upscaler")[0],
        next(name for name in rows.values("upscaler") if name.startswith("upscale ")),
    )
    return Setting(
        small,
        large,
        tuple(next(iter(seen.values()))),
        *seen[EXACT],
        upscaler,
        single,
        operations(rows, small),
        extent.frames,
        25 / extent.frames * extent.scale**2,
    )


def operations(rows: Rows, lines: int) -> dict[str, float]:
    """Return ratios of costs that are counted, not timed.

    They are depth at 4K over 1080p, and interpolating first over upscaling first.
    """
    pixels = [rows.where(order=order, lines=lines)[0].pixels for order in (AFTER, DEFAULT)]
    before, after = (
        sum(count for kind, count in some.items() if kind in ("vsr", "upscale", "interpolate"))
        for some in pixels
    )
    return {**network_operations(), "first: builtin (pixels)": before / after}


@cache
def network_operations() -> dict[str, float]:
    """Return the ratios for networks, in operations counted on tensors without data."""
    depth = on_meta(PUBLISHED["small"][0])
    small, large = (counted(depth, (1, 3, *side)) for side in ((1078, 1918), (2156, 3836)))
    with torch.device("meta"):
        rife = RIFE(next(family for family in FAMILIES if "4.25," in family.names))
        upscalers = {"RealESRGAN x2plus": RRDBNet(2, 64, 23), "RealESR general-x4v3": Compact(4, 64, 32)}
    between = counted(rife, (1, 3, SIDE, SIDE), (1, 3, SIDE, SIDE), (1,))
    found = {
        "4K: operations of Depth Anything V2 Small at frame size": large / small,
        "4K: pixels of its input at frame size": 4.0,
        "4K: operations and pixels of any model at 518": 1.0,
        "4K: pixels of stages at frame size (edge snap, stereo)": 4.0,
    }
    for name, net in upscalers.items():
        upscaled = counted(net, (1, 3, SIDE, SIDE))
        found[f"first: {name} with RIFE 4.25 (operations)"] = (2 * upscaled + between) / (
            upscaled + FACTOR**2 * between
        )
    return found


def counted(net: torch.nn.Module, *shapes: tuple[int, ...]) -> int:
    """Return the operations of a network on tensors of these shapes."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        net.eval()(*(torch.empty(shape, device="meta") for shape in shapes))
    return counter.get_total_flops()


def tables(extent: Extent, rows: Rows, sizes: dict) -> dict[str, str]:
    """Return every table that depends on the seed only, by title."""
    setting = setting_of(extent, rows)
    size, plan = (f"{setting.small} and {setting.large} pixels high", ", ".join(setting.guesses))
    return {
        f"The claims (sources {size})": claims_table(outcomes(rows, setting)),
        f"Both views near depth edges, dB, depth by {plan}": answer_table(rows, setting, setting.guesses),
        f"The same with {setting.perfect}": answer_table(rows, setting, [setting.perfect]),
        "All scores, mean of all sources": scores_table(
            rows, setting, SCORES, setting.guesses, rows.values("source"), setting.small
        ),
        "All scores with exact depth": scores_table(
            rows, setting, SCORES, [setting.perfect], rows.values("source"), setting.small
        ),
        f"Effect of resizing to {network_lines(extent)[0]} pixels alone": resizing_table(sizes),
        "Millions of pixels in and out, per second of 720p": pixels_table(rows, setting),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--small", "--quick", action="store_true", help="the small setting (default)")
    parser.add_argument("--full", action="store_true", help="larger frames, more sources and scenes")
    parser.add_argument("--json", type=Path, help="write all rows and tables to this file")
    parser.add_argument("--rows", type=Path, help="print the tables of such a file instead of measuring")
    parser.add_argument("--seed", type=int, default=1, help="of the scenes and the noise; default: 1")
    parser.add_argument("--models", choices=("all", "builtin"), default="all", help="default: all")
    parser.add_argument("--scale", type=int, help="divisor of all sizes (default: 8, with --full 4)")
    parser.add_argument("--jobs", type=int, help="scenes processed in parallel (default: one per core)")
    options = parser.parse_args()
    extent, begin = FULL if options.full else SMALL, time.perf_counter()
    extent = replace(extent, scale=options.scale or extent.scale)
    if options.rows:
        known = json.loads(options.rows.read_text())
        extent, rows = Extent(**known["extent"]), [Row(**row) for row in known["rows"]]
        sizes, seconds = known["resizing"], known["seconds"]
    else:
        rows, sizes = experiment(extent, options.seed, options.models, options.jobs)
        seconds = time.perf_counter() - begin
    measured = Rows(rows, options.seed)
    same = tables(extent, measured, sizes)
    for title, text in same.items():
        print(f"\n## {title}\n\n{text}")
    times = seconds_table(measured, setting_of(extent, measured))
    print(f"\n## Milliseconds per source frame (varies from run to run)\n\n{times}")
    print(f"\nTotal time: {seconds:.0f} s.")
    if options.json:
        record = {
            "extent": asdict(extent), "rows": [asdict(row) for row in rows], "resizing": sizes,
            "tables": same, "times": times, "seconds": seconds,
        }  # fmt: skip
        options.json.write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
