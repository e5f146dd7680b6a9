"""Measure the quality of builtin VSR and builtin depth on synthetic scenes with exact truth.

    python benchmarks/quality.py [--quick] [--json] [--coded FILE ...]
    python benchmarks/quality.py --trained [--quick] [--json]

VSR: PSNR over Lanczos frame by frame, remaining flicker. Depth: rank correlation with the truth. Both: time
per frame. ``--coded`` also measures builtin VSR at factor 1 on 8 frames of each film, from the 40th on and at
most 640x384 pixels, after several codecs.

``--trained`` measures every trained network at hand instead, and builtin models next to them, on parts of the
real clips: each is upscaled x2 from half its size, or given back every second frame. PSNR and SSIM are those
of all upscaled frames, or of the interpolated ones; flicker is the change of the error from frame to frame,
in levels of 255. Weights come from published packages (see `tests/support/trained_weights.py`).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from stereoreel.cli import passive_waiting

passive_waiting()  # before torch is imported

import torch  # isort: skip
import av
import numpy as np

import stereoreel
from benchmarks.generated import MODELS, RIFE_2X, Model, Workshop
from benchmarks.generated import QUICK as GENERATED_QUICK
from benchmarks.support import depth_scenes, real_film, vsr_scenes
from benchmarks.support.coded_clips import CODECS, coded
from benchmarks.support.scenes import street
from stereoreel.analysis.metrics import psnr
from stereoreel.models.headless import Headless

SEEDS = range(11, 19)  # other ones than those that constants were tuned on
SIGMAS = (10, 4, 0)  # of the noise, in levels of 255


def vsr(moves: list[str]) -> dict:
    """Return the gain over Lanczos in dB by move and noise, the remaining flicker, and seconds per frame."""
    host, gains, seconds = Headless("cpu"), {}, {"vsr": [], "lanczos": []}
    for move in moves:
        truth = vsr_scenes.large(move)
        for sigma in SIGMAS:
            frames = (
                vsr_scenes.noisy(vsr_scenes.small(move), sigma / 255) if sigma else vsr_scenes.small(move)
            )
            begin = time.perf_counter()
            better = vsr_scenes.enhanced(frames, host)
            middle = time.perf_counter()
            plain = vsr_scenes.lanczos(frames)
            seconds["lanczos"].append((time.perf_counter() - middle) / len(frames))
            seconds["vsr"].append((middle - begin) / len(frames))
            gains.setdefault(move, {})[sigma] = round(psnr(better, truth) - psnr(plain, truth), 2)
    still = vsr_scenes.noisy(vsr_scenes.small("still"))
    flicker = float(vsr_scenes.enhanced(still, host).std(0).mean() / vsr_scenes.lanczos(still).std(0).mean())
    return {
        "gain_db": gains,
        "flicker": round(flicker, 2),
        "seconds_median": {name: statistics.median(all) for name, all in seconds.items()},
    }


def compressed(file: str) -> dict[str, float]:
    """Return the gain in dB over the coded frames of a film, by codec."""
    with av.open(file) as container:
        decoded = islice(container.decode(video=0), 40, 48)
        images = np.stack([frame.to_ndarray(format="rgb24")[:384, :640] for frame in decoded])
    truth, host, gains = torch.from_numpy(images) / 255, Headless("cpu"), {}
    for name in CODECS:
        frames = coded(images, name)
        better = vsr_scenes.enhanced(frames, host, factor=1)
        gains[name] = round(psnr(better, truth) - psnr(frames, truth), 2)
    return gains


def depth(seeds: list[int], moves: list[str]) -> dict:
    """Return the rank correlation with the true depth by move, and seconds per frame.

    The correlation is Spearman's, of frames 0, 4 and 9: the mean and the worst of the seeds.
    """
    rows, seconds = {}, []
    for move in moves:
        found = []
        for seed in seeds:
            frames, truth = street(seed, 320, 192, camera=depth_scenes.MOVES[move]).clip(10)
            begin = time.perf_counter()
            estimate = depth_scenes.estimate(frames)
            seconds.append((time.perf_counter() - begin) / len(frames))
            found.append(
                statistics.mean(depth_scenes.rank_correlation(estimate[at], truth[at]) for at in (0, 4, 9))
            )
        rows[move] = {"mean": round(statistics.mean(found), 3), "worst": round(min(found), 3)}
    return {"rank_correlation": rows, "seconds_median": statistics.median(seconds)}


PARTS = {"bigbuckbunny.mp4": (60,), "carphone_pristine.mp4": (0,)}
SIZES = {"bigbuckbunny.mp4": (360, 640), "carphone_pristine.mp4": (144, 176)}
MIDDLE = (144, 192)  # at most, of a part, because networks are slow on a CPU
TRAINED = 6, 5  # frames that are upscaled, and those of which every second is left out
BETWEEN = {"builtin": Model("interpolate", {"model": "builtin", "multiplier": 2}), "RIFE 4.25": RIFE_2X}


def middle(file: str, first: int, count: int) -> torch.Tensor:
    """Return the middle of frames of a film, ``[count, H, W, 3]``."""
    frames = real_film.part(file, first, count, SIZES[file])
    height, width = (min(pair) for pair in zip(frames.shape[1:3], MIDDLE))
    top, left = (frames.shape[1] - height) // 2, (frames.shape[2] - width) // 2
    return frames[:, top : top + height, left : left + width]


def trained(shop: Workshop, quick: bool) -> Iterator[dict]:
    """Yield a row for each part of a film and each model."""
    for file, firsts in PARTS.items():
        for first in firsts[: 1 if quick else None]:
            truth = middle(file, first, TRAINED[0])
            source = stereoreel.from_tensor(real_film.halved(truth), cuts=False)
            for name in GENERATED_QUICK if quick else MODELS:
                frames, _ = shop.computed(MODELS[name](source), [MODELS[name]])
                yield {"kind": "x2", "film": file, "model": name, **scores(frames, truth, slice(None))}
            truth = middle(file, first, TRAINED[1])
            source = stereoreel.from_tensor(truth[::2], cuts=False)
            for name, model in BETWEEN.items():
                doubled = stereoreel.interpolate(source, **model.options)
                frames, _ = shop.computed(doubled, [model])
                frames = frames[: len(truth)]  # after the last frame there is no other
                yield {
                    "kind": "between",
                    "film": file,
                    "model": name,
                    **scores(frames, truth, slice(1, None, 2)),
                }


def scores(frames: torch.Tensor, truth: torch.Tensor, of: slice) -> dict[str, float]:
    """Return PSNR and SSIM of some frames, and the flicker of all."""
    return {
        "psnr": psnr(frames[of], truth[of]),
        "ssim": real_film.ssim(frames[of], truth[of]),
        "flicker": real_film.error_flicker(frames, truth),
    }


def trained_table(rows: list[dict]) -> Iterator[str]:
    """Yield the means over the parts of each film, in Markdown."""
    yield "| | " + " | ".join(f"{film.split('.')[0]}: PSNR | SSIM | flicker" for film in PARTS) + " |"
    yield "| --- |" + " --- | --- | --- |" * len(PARTS)
    for kind, name in dict.fromkeys((row["kind"], row["model"]) for row in rows):
        cells = []
        for film in PARTS:
            own = [row for row in rows if (row["kind"], row["model"], row["film"]) == (kind, name, film)]
            cells += [
                f"{statistics.mean(row[score] for row in own):.{digits}f}" if own else ""
                for score, digits in (("psnr", 2), ("ssim", 4), ("flicker", 2))
            ]
        yield f"| {kind}: {name} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="two moves and two seeds")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--coded", nargs="+", default=[], metavar="FILE", help="films for the codecs")
    parser.add_argument("--trained", action="store_true", help="measure trained networks instead")
    options = parser.parse_args()
    if options.trained:
        torch.set_grad_enabled(False)
        with tempfile.TemporaryDirectory() as folder:
            rows = list(trained(Workshop(Path(folder)), options.quick))
        print(*trained_table(rows), sep="\n")
        if options.json:
            print(json.dumps({"trained": rows}))
        return
    count = 2 if options.quick else None
    torch.set_grad_enabled(False)
    upscaling = vsr(list(vsr_scenes.MOVES)[-2:] if options.quick else list(vsr_scenes.MOVES))
    for move, gains in upscaling["gain_db"].items():
        print(
            f"vsr    {move:<18}"
            + "".join(f"  noise {sigma:>2}: {gain:+.2f} dB" for sigma, gain in gains.items())
        )
    times = upscaling["seconds_median"]
    ratio = times["vsr"] / times["lanczos"]
    print(
        f"vsr    remaining flicker at noise 10: {upscaling['flicker']}; {ratio:.1f} times the time of Lanczos"
    )
    films = {file: compressed(file) for file in options.coded}
    for file, found in films.items():
        print(f"vsr    {Path(file).name}", *(f" {name}: {gain:+.2f} dB" for name, gain in found.items()))
    estimated = depth(list(SEEDS)[:count], list(depth_scenes.MOVES)[:count])
    for move, row in estimated["rank_correlation"].items():
        print(f"depth  {move:<18}  rank correlation: mean {row['mean']}, worst scene {row['worst']}")
    print(f"depth  {1000 * estimated['seconds_median']:.0f} ms per frame at 320x192")
    if options.json:
        print(
            json.dumps(
                {
                    "vsr": upscaling,
                    "coded": films,
                    "depth": estimated,
                    "ratio": {"vsr_over_lanczos_time": round(ratio, 2)},
                }
            )
        )


if __name__ == "__main__":
    main()
