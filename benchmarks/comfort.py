"""Measure Stereo's strength by shot: what it uses of the comfortable range, what goes beyond, and the cuts.

    python benchmarks/comfort.py [--held-out] [--clips FOLDER] [--quick] [--json]

rendered: a film of eight shots of generated scenes with exact depth, some of them flat, far or close up.
real: a film cut together from shots of bigbuckbunny.mp4, carphone_pristine.mp4 and, where it is there,
bikes.mp4 in FOLDER, and of the sample, with builtin depth. The rules of strength were set on these.

With --held-out, films that they were not set on:
rendered: twelve shots of other kinds, seeds, cameras and lengths, in another ratio of the sides; some of them
have objects that appear after the shot began, come nearer, are cut off at both sides, or are steep all over.
real: halves of the first two clips' pictures, backwards and mirrored, again with builtin depth.
A headset is a fourth screen.

For each strength and screen, over all frames of the complete film:

beyond      frames with a pixel beyond the strength's limits
used        mean of the range from the 1st to the 99th percentile of a frame's parallax, of what the limits
            allow; "least" is that of the shot that uses least
cut         the largest change of the median parallax at a cut, in degrees, and the limit
steep       mean share of the points 1.5 degrees apart that differ by more than that; "most" in any frame
by hand     the same for divergence 2, auto convergence and `limit`, for comparison
seconds     CPU time of finding the plan, as a share of that of all depth; nothing is estimated in rendered
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch
from torch import Tensor

import stereoreel
from benchmarks.support import CLIPS, comfort_scenes
from benchmarks.support.scenes import Camera, street
from stereoreel.core.clip import Clip, Shot, apply
from stereoreel.core.pull import frames as pulled
from stereoreel.core.pull import look_ahead
from stereoreel.core.transforms import Recut
from stereoreel.image.resize import resize
from stereoreel.models.headless import Headless
from stereoreel.sample import FILE
from stereoreel.stages.stereo.comfort import STRENGTHS, Screen, screen_of
from stereoreel.stages.stereo.look_ahead import APART
from stereoreel.stages.stereo.parallax import Courses, Parallax, limits_of

SCREENS = ("phone", "tv", "cinema")
OTHER_SCREENS = (*SCREENS, "vr headset")
QUICK = ("tv", "normal")
LENGTH = 40  # frames of a shot
SIZE = (96, 176)  # of the films, rows and columns
OTHER_SIZE = (100, 236)
TOLERANCE = 0.02  # by which a step may exceed its limit: the plan samples other rows and columns
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


def held_out_rendered(quick: bool) -> Film:
    return film(*comfort_scenes.shots(4 if quick else len(comfort_scenes.KINDS), OTHER_SIZE))


def held_out_real(folder: Path, quick: bool) -> Film:
    """Return halves of the clips' pictures, backwards, the right ones mirrored, in turn."""
    shots: list[Tensor] = []
    clips = [stereoreel.open(folder / name) for name in ("bigbuckbunny.mp4", "carphone_pristine.mp4")]
    seen = [start_of(clip, clip.info.frames).flip(0) for clip in clips]
    for first, length in ((0, 70), (70, 45)):
        for number, frames in enumerate(seen):
            half = frames[first : first + length, :, : SIZE[1] // 2]
            if first:
                half = frames[first : first + length, :, -SIZE[1] // 2 :].flip(2)
            shots.append(torch.stack([*resize(half[:, 8 * number : 88], *OTHER_SIZE, "bilinear")]))
    return film(shots[: 2 if quick else None])


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


def figures(shots: list[Tensor], limits: tuple[float, float], screen: Screen) -> dict:
    """Return what the shots use of the limits, and how much they change at cuts."""
    steep = torch.cat([steepness(shot, screen) for shot in shots])
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
        "steep": steep.mean().item(),
        "most": steep.max().item(),
    }


def steepness(parallax: Tensor, screen: Screen) -> Tensor:
    """Return the share of steep pairs of points of each frame, ``[T]``."""
    apart = max(1, round(APART / screen.field * parallax.shape[2]))
    steps = (parallax[..., apart:] - parallax[..., :-apart]).abs()
    return (steps > screen.limits(APART)[0] * (1 + TOLERANCE)).float().mean((1, 2))


def measured(which: Film, host: Headless, quick: bool, screens: Sequence[str]) -> dict:
    begun = time.process_time()
    frames, depth = pulled(which.clip, host), pulled(which.depth, host)
    whole, result = time.process_time() - begun, {}
    for name in QUICK[:1] if quick else screens:
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
    parser.add_argument("--held-out", action="store_true", help="films that the rules were not set on")
    parser.add_argument("--quick", action="store_true", help="one screen, one strength and a few shots")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    host, result = Headless("cpu"), {}
    made, others = (held_out_rendered, held_out_real) if options.held_out else (rendered, real)
    screens = OTHER_SCREENS if options.held_out else SCREENS
    for name, make in (("rendered", made), ("real", lambda quick: others(options.clips, quick))):
        result[name] = measured(make(options.quick), host, options.quick, screens)
        if not options.json:
            print(
                f"{name}\n  {'screen, strength':<22} beyond  used  least   cut   limit  steep   most  seconds"
            )
            for row, one in result[name].items():
                print(
                    f"  {row:<22} {one['beyond']:4}/{one['frames']} {one['used']:5.2f} {one['least']:6.2f} "
                    f"{one['cut']:5.2f} {one['limit']:6.2f} {one['steep']:7.3f} {one['most']:6.3f} "
                    f"{one['seconds']:7.2f}"
                )
    if options.json:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
