"""Measure Stereo's strength by shot: what it uses of the comfortable range, what goes beyond, and the cuts.

    python benchmarks/comfort.py [--clips FOLDER] [--quick] [--json]

rendered: a film of eight shots of generated scenes with exact depth, some of them flat, far or close up.
real: a film cut together from shots of bigbuckbunny.mp4, carphone_pristine.mp4 and, where it is there,
bikes.mp4 in FOLDER, and of the sample, with builtin depth.

For each strength and screen, over all frames of the complete film:

beyond      frames with a pixel beyond the strength's limits
used        mean of the range from the 1st to the 99th percentile of a frame's parallax, of what the limits
            allow; "least" is that of the shot that uses least
cut         the largest change of the median parallax at a cut, in degrees, and the limit
by hand     the same for divergence 2, auto convergence and `limit`, for comparison
seconds     CPU time of finding the plan, as a share of that of all depth; nothing is estimated in rendered
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch
from torch import Tensor

import stereoreel
from benchmarks.support import CLIPS
from benchmarks.support.scenes import Camera, street
from stereoreel.core.clip import Clip, Shot, apply
from stereoreel.core.pull import frames as pulled
from stereoreel.core.pull import look_ahead
from stereoreel.core.transforms import Recut
from stereoreel.image.resize import resize
from stereoreel.models.headless import Headless
from stereoreel.sample import FILE
from stereoreel.stages.stereo.comfort import STRENGTHS, screen_of
from stereoreel.stages.stereo.parallax import Courses, Parallax, limits_of

SCREENS = ("phone", "tv", "cinema")
QUICK = ("tv", "normal")
LENGTH = 40  # frames of a shot
SIZE = (96, 176)  # of the films, rows and columns
# what a shot shows of the scene's range of depth
RANGES = ((0, 1), (0, 0.5), (0.4, 1), (0.3, 0.6), (0, 0.9), (0.5, 1), (0, 1), (0.1, 0.4))


@dataclass
class Film:
    """Frames ``[T, H, W, 3]`` and depth of a film, and the first frames of its shots but the first."""

    clip: Clip
    depth: Clip


def film(shots: list[Tensor], depth: list[Tensor] | None = None) -> Film:
    """Cut shots together; ``depth`` is estimated if it is not given."""
    starts = torch.tensor([len(shot) for shot in shots]).cumsum(0)[:-1].tolist()
    cuts = ", ".join(map(str, starts))
    clip, *others = (
        apply(Recut(cuts, "Cuts"), stereoreel.from_tensor(torch.cat(part), 25, cuts=False))["clip"]
        for part in ([shots, depth] if depth else [shots])
    )
    return Film(clip, others[0] if others else stereoreel.depth(clip, model="builtin"))


def rendered(quick: bool) -> Film:
    frames, depth = [], []
    for number, (low, high) in enumerate(RANGES[:: 3 if quick else 1]):
        camera = Camera(truck=(0.6 * (-1) ** number, 0.0), zoom=1.0)
        seen, truth = street(number, SIZE[1], SIZE[0], camera=camera).clip(LENGTH)
        frames.append(seen)
        depth.append(low + (high - low) * truth.clamp(0, 1))
    return film(frames, depth)


def real(folder: Path, quick: bool) -> Film:
    """Return shots from the clips, in turn."""
    files = [folder / name for name in ("bigbuckbunny.mp4", "carphone_pristine.mp4", "bikes.mp4")] + [FILE]
    files, shots = files[:2] if quick else files, list[Tensor]()
    for place in range(1 if quick else 3):
        for file in filter(Path.is_file, files):
            clip = stereoreel.open(file)
            if clip.info.frames < LENGTH * (place + 1):
                continue
            shots.append(start_of(clip, LENGTH * (place + 1))[LENGTH * place :])
    return film(shots)


def start_of(clip: Clip, count: int) -> Tensor:
    """Return the first frames of a clip at the size of the films."""
    found: list[Tensor] = []
    with closing(stereoreel.frames(clip)) as chunks:
        for chunk in chunks:
            found.extend(resize(chunk[..., :3], *SIZE, "bilinear"))
            if len(found) >= count:
                break
    return torch.stack(found[:count])


def parallaxes(pair: Clip, frames: Tensor, depth: Tensor) -> list[Tensor]:
    """Return the parallax of each shot, in fractions of the width."""
    info, options, found = pair.info, pair.maker.recipe.settings, []
    courses = Courses(options)
    for start, stop in info.shots:
        shot = Shot(start, info)
        parallax = Parallax(options, float(info.fps), courses.of(shot))
        found.append(parallax(depth[start:stop], frames[start:stop]) / info.width)
    return found


def figures(shots: list[Tensor], limits: tuple[float, float], screen) -> dict:
    """Return what the shots use of the limits, and how much they change at cuts."""
    front, behind = limits
    near, far = ([shot.flatten(1).quantile(share, 1) for shot in shots] for share in (0.99, 0.01))
    beyond = sum(
        int(((shot > front * (1 + 1e-6)) | (shot < -behind * (1 + 1e-6))).flatten(1).any(1).sum())
        for shot in shots
    )
    used = [((one - other) / (front + behind)).mean().item() for one, other in zip(near, far)]
    middles = [(shot[0].median().item(), shot[-1].median().item()) for shot in shots]
    cuts = [
        abs(screen.degrees(after[0] * screen.width) - screen.degrees(before[1] * screen.width))
        for before, after in zip(middles, middles[1:])
    ]
    return {
        "beyond": beyond,
        "frames": sum(map(len, shots)),
        "used": sum(used) / len(used),
        "least": min(used),
        "cut": max(cuts, default=0.0),
    }


def measured(which: Film, host: Headless, quick: bool) -> dict:
    begun = time.process_time()
    frames, depth = pulled(which.clip, host), pulled(which.depth, host)
    whole, result = time.process_time() - begun, {}
    for name in QUICK[:1] if quick else SCREENS:
        screen = screen_of(name)
        for strength in QUICK[1:] if quick else STRENGTHS:
            degrees = STRENGTHS[strength]
            pair = stereoreel.stereo(which.clip, which.depth, strength=strength, screen=name)
            begun = time.process_time()
            look_ahead([pair], host, lambda label, text: None)
            spent = time.process_time() - begun
            found = figures(parallaxes(pair, frames, depth), limits_of(pair.maker.recipe.settings), screen)
            result[f"{name}, {strength}"] = {**found, "limit": degrees, "seconds": spent / whole}
        pair = stereoreel.stereo(which.clip, which.depth, screen=name, limit=True)
        found = figures(parallaxes(pair, frames, depth), (screen.front, screen.behind), screen)
        result[f"{name}, by hand"] = {**found, "limit": 1.0, "seconds": 0.0}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, default=CLIPS)
    parser.add_argument("--quick", action="store_true", help="one screen, one strength and a few shots")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    host, result = Headless("cpu"), {}
    for name, made in (("rendered", rendered), ("real", lambda quick: real(options.clips, quick))):
        result[name] = measured(made(options.quick), host, options.quick)
        if not options.json:
            print(f"{name}\n  {'screen, strength':<22} beyond  used  least   cut   limit  seconds")
            for row, one in result[name].items():
                print(
                    f"  {row:<22} {one['beyond']:4}/{one['frames']} {one['used']:5.2f} {one['least']:6.2f} "
                    f"{one['cut']:5.2f} {one['limit']:6.2f} {one['seconds']:7.2f}"
                )
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
