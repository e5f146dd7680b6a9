"""Count how many shots' bars are found to the row, how many are invented, and what bars cost a frame.

    python benchmarks/bars.py              240 shots with bars, 200 without, and the cost at 720p
    python benchmarks/bars.py --quick      a tenth of the shots
    python benchmarks/bars.py --json       the same as JSON on the last line
    python benchmarks/bars.py --sheet docs/bars.jpg    the picture in docs/gallery.md, and nothing else

Films of six shots are rendered, coded by x264 at crf 18 to 40 and opened as any file. Costs are CPU time per
720p frame, interleaved with the same work without bars. Clean shots come from the clips in the folder that
STEREOREEL_CLIPS names (default: ../shared/clips), from the sample, and from rendered scenes by day and night.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import median

import av
import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.support import CLIPS
from stereoreel.core.bars import Bars
from stereoreel.core.clip import Clip, ClipInfo, Shot, Step, apply
from stereoreel.core.picture_only import within_bars
from stereoreel.core.pull import frames as pull_frames
from stereoreel.core.tensor_source import TensorSource
from stereoreel.image.bar_sides import profile
from stereoreel.image.bars import NO_BARS, BarFinder
from stereoreel.media.read.decode import FileSource
from stereoreel.models.headless import Headless
from stereoreel.models.lazy_stage import Plan
from stereoreel.sample import FILE
from tests.support.letterbox import RATIOS, Barred, barred, margins_of, safe
from tests.support.media_files import write_video

SIZES = (640, 360), (640, 480), (854, 480), (480, 360)
CRF = (18, 23, 28, 33, 40)
BATCH, DARK_LIGHT = 24, 0.15  # frames, and light
SHOTS, LENGTH = 6, 24  # of a film, and frames of a clean shot


def films(count: int) -> Iterator[tuple[list[Barred], tuple[int, int], int]]:
    """Yield films as shots, size and crf: bars of two of eight ratios, their level and noise the film's."""
    for number in range(count):
        random = np.random.default_rng(number)
        size, crf = SIZES[number % len(SIZES)], CRF[number % len(CRF)]
        usual, other = random.choice(RATIOS, 2, replace=False)
        level, noise = float(random.choice([0, 0, 6, 16, 24])), float(random.choice([0, 2, 5]))
        tilt = crf < 30 and random.random() < 0.2  # coarser coding removes the slant
        shots = []
        for _ in range(SHOTS):
            margins = margins_of(usual if random.random() < 0.75 else other, *size)
            shots.append(
                Barred(
                    margins if max(margins) > 1 else NO_BARS,
                    int(random.integers(12, 24)),
                    level,
                    noise,
                    tilt,
                    text=random.random() < 0.4,
                    logo=random.random() < 0.2,
                    light=float(random.choice([1, 1, 0.7, 0.4])),
                    seed=int(random.integers(1 << 20)),
                )
            )
        yield shots, size, crf


def exact(count: int) -> tuple[int, int]:
    """Return how many shots of films have exactly their bars, and how many there are."""
    right = shown = 0
    with tempfile.TemporaryDirectory() as folder:
        for shots, size, crf in films(count):
            frames = np.concatenate([barred(shot, *size) for shot in shots])
            coding = {"crf": str(crf), "preset": "veryfast"}
            info = FileSource(write_video(Path(folder) / "film.mp4", frames, 25, options=coding)).info
            place = 0
            for shot in shots:
                middle = place + shot.frames // 2
                found = [one.margins for one in info.bars if one.start <= middle][-1:] or [tuple(NO_BARS)]
                fits = found[0] == tuple(safe(shot))
                right, shown, place = right + fits, shown + 1, place + shot.frames
                if not fits:
                    print(
                        f"  {size} crf {crf}: {found[0]} instead of {tuple(safe(shot))}: {shot}", flush=True
                    )
    return right, shown


def clean(count: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yield shots without bars, ``[T, H, W]`` uint8, and what they are."""
    for path in (*sorted(CLIPS.glob("*.mp4")), FILE):
        with av.open(str(path)) as file:
            grays = [frame.reformat(format="gray").to_ndarray() for frame in file.decode(video=0)]
        for start in range(0, len(grays), LENGTH):
            for light in (1.0, 0.25):
                shot = np.stack(grays[start : start + LENGTH : 3]) * light
                yield f"{path.name} from frame {start} at light {light}", shot.astype(np.uint8)
    for seed in range(count):
        light = (1.0, 0.5, 0.2, 0.08)[seed % 4]
        frames = barred(Barred(frames=8, light=light, noise=3.0 * (seed % 3), seed=seed), 640, 360)
        yield f"scene {seed} at light {light}", frames.mean(-1).astype(np.uint8)


def invented(count: int) -> tuple[int, int]:
    """Return how many of clean shots have bars, and how many there are."""
    wrong = shown = 0
    for name, frames in clean(count):
        if shown == count:
            break
        finder = BarFinder(frames.shape[2:0:-1])
        for frame in frames:
            finder.add(profile(frame))
        found, shown = finder.margins()[0], shown + 1
        if any(found):
            wrong += 1
            print(f"  {name}: {tuple(found)}")
    return wrong, shown


class Nothing:
    """A stage that returns its input, so that what remains is the cost of bars."""

    label, picture_only = "Nothing", True

    def describe(self, clip: ClipInfo) -> ClipInfo:
        return clip

    def run(self, shot: Shot, chunks):
        for (chunk,) in chunks:
            yield chunk


def cost(repeats: int) -> dict[str, float]:
    """Return milliseconds of CPU time per 720p frame: to find bars, and to leave them out of one stage.

    Batches are IMAGE batches of one shot without bars; a dark one has edges as dark as bars.
    """
    gray = np.random.default_rng(0).integers(0, 255, (720, 1280), np.uint8)
    images, bars = torch.rand(6, 720, 1280, 3), (Bars(0, 92, 92),)
    source = TensorSource(images, 25, cuts=False)
    source.info = source.info.replace(bars=bars)
    stage = Nothing()
    step = apply(stage, Clip(source))["clip"].maker
    assert isinstance(step, Step)
    times: dict[str, list[float]] = {"find": [], "leave out": [], "batch": [], "dark batch": []}
    bright = torch.from_numpy(barred(Barred(frames=BATCH, seed=1), 1280, 720)) / 255
    batches = {"batch": TensorSource(bright, 25), "dark batch": TensorSource(bright * DARK_LIGHT, 25)}
    for _ in range(repeats):
        finder, start = BarFinder((1280, 720)), time.process_time()
        for _ in range(12):
            finder.add(profile(gray, 16, 235))
        times["find"].append((time.process_time() - start) / 12 / 3)  # every third frame is searched
        start = time.process_time()
        for _ in within_bars(step, Shot(0, source.info), 6, iter([(images,)]), stage.run):
            pass
        times["leave out"].append((time.process_time() - start) / 6)
        for name, one in batches.items():
            start = time.process_time()
            one._find_bars(())
            times[name].append((time.process_time() - start) / BATCH)
    return {name: round(1000 * median(found), 2) for name, found in times.items()}


def draw(path: Path) -> None:
    """Write depth and an anaglyph of a film with bars and a subtitle: bars as picture above, kept below."""
    with av.open(str(CLIPS / "bigbuckbunny.mp4")) as file:
        images = [
            frame.reformat(width=640, height=360, format="rgb24").to_ndarray()
            for frame in islice(file.decode(video=0), 60, 72)
        ]
    shot = Barred(margins_of(2.39, 640, 360), level=8, noise=3, text=True, seed=1)
    host, rows = Headless("cpu"), []
    with tempfile.TemporaryDirectory() as folder:
        film = write_video(Path(folder) / "film.mp4", barred(shot, 640, 360, np.stack(images)), 25)
        for bars in ("off", "keep"):
            clip = Clip(FileSource(film, bars=bars))
            depth = apply(Plan("depth", {"model": "builtin"}, "Depth"), clip)["clip"]
            options = {"model": "builtin", "divergence": 4.0}
            pair = apply(Plan("stereo", options, "Stereo"), clip, depth)["clip"]
            left, right = pull_frames(pair, host)[:, 8]
            anaglyph = torch.cat([left[..., :1], right[..., 1:]], -1)
            rows.append(torch.cat([pull_frames(depth, host)[8].expand(-1, -1, 3), anaglyph], 1))
    sheet = (torch.cat(rows).clamp(0, 1) * 255 + 0.5).byte().numpy()
    Image.fromarray(sheet).resize((960, 540), Image.Resampling.LANCZOS).save(path, quality=80)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--films", type=int, default=40, help="of six shots with bars")
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    if options.sheet:
        draw(options.sheet)
        return
    right, shown = exact(4 if options.quick else options.films)
    print(f"bars exact to the row in {right} of {shown} shots", flush=True)
    wrong, plain = invented(20 if options.quick else 200)
    print(f"bars invented in {wrong} of {plain} shots", flush=True)
    spent = cost(3 if options.quick else 15)
    print("CPU time per 720p frame: " + ", ".join(f"{name} {value} ms" for name, value in spent.items()))
    if options.json:
        figures = {"exact": right, "shots": shown, "invented": wrong, "clean": plain, "milliseconds": spent}
        print(json.dumps({"ratio": {"exact": right / shown}, **figures}))


if __name__ == "__main__":
    main()
