"""Measure how burned-in text is found, placed in depth and interpolated, against exact truth.

    python benchmarks/burned_text.py [--quick] [--json] [--clips FOLDER] [--rife FILE]
    python benchmarks/burned_text.py --sheet docs/burned_text.webp    the picture in docs/gallery.md alone

masks     intersection over union of the mask and the truth: three scripts, boxes and half transparent logos
          over four moving scenes; least and mean
planes    share of strokes within 0.1 pixels of parallax of one plane, at a divergence of 2 % of the width
bars      share of the letters of a subtitle over the edge of a bar that an eye shows as the film does, at a
          divergence of 4 % all in front of the screen; least and mean of the looks
false     shots without text in which something is found: rendered ones, still, trembling and moving, and all
          clips in FOLDER (48 frames a shot; text that they really have counts too, so look at the names); in
          the rendered ones also between bars and across their edges
credits   PSNR of interpolated frames with scrolling text, in dB; of the strokes; and both without layers;
          with FILE also of RIFE with its trained weights
cost      CPU milliseconds a 1280x720 frame for finding text, and text across the edge of a bar
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import av
import numpy as np
import torch
from PIL import Image, ImageSequence

from benchmarks.support import CLIPS, text_scenes
from benchmarks.support.scenes import Camera, street
from benchmarks.support.text_scenes import MOVES, Exact, Overlay, credits, laid, lettered, logo, subtitle
from stereoreel.core.bars import Bars
from stereoreel.core.clip import Clip, ClipInfo, Shot, apply
from stereoreel.core.pull import frames as pull_frames
from stereoreel.core.tensor_source import TensorSource
from stereoreel.front import stereo
from stereoreel.image.burned_text.finder import TextFinder
from stereoreel.image.burned_text.lumas import frame_luma
from stereoreel.image.flow import grayscale
from stereoreel.image.resize import resize
from stereoreel.models.catalog import load
from stereoreel.models.headless import Headless
from stereoreel.models.lazy_stage import Plan
from stereoreel.stages.depth.burned_text import TextMask, TextPlanes
from stereoreel.stages.interpolate.pairs import Moment, OutputFrame
from stereoreel.stages.interpolate.projection import compose, measure, project
from stereoreel.stages.stereo.bar_text import BarText
from stereoreel.workflow import build
from stereoreel.workflow.node_specs import BY_ID

WIDTH, HEIGHT, FRAMES = 640, 360, 32
LOGOS = (0.3, 0.4, 0.5, 0.6)  # their opacity
SHOWN, START, APPEARS = 24, 60, 4  # frames of the sheet's clip, the first of them, and that with text
BAR, PAN = 38, 1  # rows of each bar in the sheet; pixels a frame of its pan
LOOKS = (
    ("Latin", "outlined"), ("Cyrillic", "plain"), ("Arabic", "outlined"), ("Greek", "boxed"),
    ("Latin", "shaded"),
)  # fmt: skip
STILLS = (Camera(), Camera(pan=(0.12, 0.07)), Camera(pan=(0.7, 0.0)), Camera(truck=(1.5, 0.0)),
          Camera(truck=(4.0, 0.5)), Camera(truck=(0.0, 2.0), zoom=1.01))  # fmt: skip


def found(frames, fps: float = 25) -> list:
    finder, known = TextFinder(fps), []
    for frame in frames:
        finder.add(frame_luma(frame))
        known += finder.known()
    return [*known, *finder.known(rest=True)]


def overlaps(blocks: list, opacity: torch.Tensor, least: float) -> list[float]:
    shares = []
    for shown, truth in zip(blocks, opacity.numpy() > least):
        mask = np.zeros(truth.shape, bool)
        for block in shown:
            part, window = block.placed(*truth.shape)
            mask[window] |= part > 0.5
        shares.append(np.count_nonzero(mask & truth) / max(1, np.count_nonzero(mask | truth)))
    return shares


def masks_and_planes(moves: list[str]) -> tuple[dict, dict]:
    masks: dict[str, list[float]] = {}
    flat: dict[str, list[float]] = {}
    for move in moves:
        frames, depth = text_scenes.moving(1, move, FRAMES, WIDTH, HEIGHT)
        for name, overlay in (
            *((" ".join(look), subtitle(WIDTH, HEIGHT, *look)) for look in LOOKS),
            *((f"logo {alpha}", logo(WIDTH, HEIGHT, alpha)) for alpha in LOGOS),
        ):
            made, opacity = laid(frames, [overlay])
            least = float(name.split()[1]) / 2 if name.startswith("logo") else 0.5
            masks.setdefault(name, []).extend(overlaps(found(made), opacity, least))
            info = ClipInfo(WIDTH, HEIGHT, Fraction(25), FRAMES)
            planes = torch.cat(list(TextPlanes(Exact(depth), False)(Shot(0, info), iter(made.split(8)))))
            for plane, shown in zip(planes[..., 0], opacity):
                strokes = plane[shown > least]
                apart = (strokes - strokes.median()).abs() * 0.02 * WIDTH
                flat.setdefault(name, []).append(float((apart <= 0.1).float().mean()))
    return (
        {name: {"least": min(values), "mean": float(np.mean(values))} for name, values in part.items()}
        for part in (masks, flat)
    )


def across_bars() -> dict:
    frames, depth = text_scenes.moving(1, "sideways", FRAMES, WIDTH, HEIGHT)
    figures, options = {}, {"divergence": 4.0, "convergence_mode": "fixed", "convergence": 0.0}
    for around, bars in (("letterbox", Bars(0, 48, 48)), ("pillarbox", Bars(0, 0, 0, 80, 80))):
        same = []
        for look in LOOKS:
            text = subtitle(WIDTH, HEIGHT, *look)
            tall = text.opacity.shape[0] / text_scenes.FINE
            place = (text.place[0], HEIGHT - 48 - 0.7 * tall) if bars.top else (20.3, text.place[1])
            made, opacity = laid(barred(frames, bars), [dataclasses.replace(text, place=place)])
            sources = [TensorSource(images, 25, cuts=False) for images in (made, depth)]
            sources[0].info = sources[0].info.replace(bars=(bars,))
            clip, near = map(Clip, sources)
            pair = pull_frames(stereo(clip, near, **options), Headless("cpu"))
            letters = (opacity > 0.95) & (made[..., 0] > 0.6)
            same += [float((eye - made).abs().amax(-1)[letters].le(0.02).float().mean()) for eye in pair]
        figures[around] = {"least": min(same), "mean": float(np.mean(same))}
    return figures


def barred(frames: torch.Tensor, bars: Bars) -> torch.Tensor:
    height, width = frames.shape[1:3]
    full = torch.full_like(frames, 16 / 255)
    rows, columns = slice(bars.top, height - bars.bottom), slice(bars.left, width - bars.right)
    full[:, rows, columns] = frames[:, rows, columns]
    return full


def found_at_bars(frames: list[torch.Tensor]) -> bool:
    """Return whether text is found at the edges of bars over a fifth of the frames, which have none."""
    height, width = frames[0].shape[:2]
    bars = Bars(0, height // 10, height // 10)
    info = ClipInfo(width, height, Fraction(25), len(frames), bars=(bars,))
    full = barred(torch.stack(frames), bars)
    inside = info.replace(height=height - bars.top - bars.bottom, bars=())
    picture = full[:, bars.top : height - bars.bottom]
    plain = torch.zeros_like(picture[..., :1])
    planes = torch.cat(
        list(TextPlanes(Exact(plain), False)(Shot(0, inside, frame=(width, height)), iter([picture])))
    )
    held = torch.cat(list(BarText()(Shot(0, info), iter([full]))))
    return bool(planes.any() or held.any())


def shots(folder: Path | None, seeds: int) -> Iterator[tuple[str, list]]:
    for seed in range(10, 10 + seeds):
        for number, camera in enumerate((*STILLS, *MOVES.values())):
            frames, _ = street(seed, 320, 180, camera=camera).clip(24)
            yield f"scene {seed} camera {number}", list(frames)
    for path in sorted(folder.iterdir()) if folder else ():
        if path.suffix == ".npy":
            frames = [torch.from_numpy(luma)[..., None].float() / 255 for luma in np.load(path)]
        elif path.suffix == ".mp4":
            with av.open(str(path)) as file:
                grey = [frame.to_ndarray(format="gray") for frame in file.decode(video=0)]
            frames = [torch.from_numpy(luma)[..., None].float() / 255 for luma in grey]
        elif path.suffix == ".webp":
            with Image.open(path) as file:
                grey = [np.array(frame.convert("L")) for frame in ImageSequence.Iterator(file)]
            frames = [torch.from_numpy(luma)[..., None].float() / 255 for luma in grey]
        else:
            continue
        for start in range(0, max(1, len(frames) - 24), 48):
            yield f"{path.stem} from {start}", frames[start : start + 48]


def scrolling(moves: dict[str, Camera], rife: Path | None) -> dict:
    line = lettered(("Breaking: the low tide came in at noon and the harbour is closed",), 16.0, outline=1.0)
    figures = {}
    for move, camera in moves.items():
        scene = street(1, 480, 270, camera=camera).clip(3, 0.5)[0]
        for name, overlay in (
            *((f"credits {speed}", credits(480, 270, speed, size=0.13)) for speed in (1.37, 2.71, 4.33)),
            ("news", Overlay(*line, (20.3, 229.5), (-3.3, 0.0))),
        ):
            frames, opacity = laid(scene, [overlay], 2.0, 0.5)
            for what, made in between(frames, rife):
                error = (made - frames[1]).square().mean(-1).numpy()
                figures[f"{move} {name}{what}"] = {
                    "frame": -10 * float(np.log10(error.mean())),
                    "strokes": -10 * float(np.log10(error[opacity[1].numpy() > 0.5].mean())),
                }
    return figures


def between(frames: torch.Tensor, rife: Path | None) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the frame between the first and the last of three, with and without layers of text."""
    first, _, second = frames.numpy()
    motion = measure(*grayscale(frames[[0, 2]]), "medium")
    for layers, what in ((motion.layers, ""), ((), " without")):
        made = compose(first, second, project(motion._replace(layers=layers), 0.5))
        yield what, torch.from_numpy(made)
    if rife is None:
        return
    with torch.inference_mode():
        host = Headless("cpu", models=rife.parent.parent)
        stage = load("interpolate", rife.name, host, precision="fp32")
        host.place(stage.nets, 0)
        for model, what in (
            (stage.interpolator, " RIFE"),
            (stage.interpolator.interpolator, " RIFE without"),
        ):
            pair = [Moment(number, frames[[index]]) for number, index in enumerate((0, 2))]
            made = model.interpolate([OutputFrame(*pair, Fraction(1, 2))])[0].chunks["clip"][0]
            yield what, made.clone()


def films() -> Iterator[torch.Tensor]:
    """Yield films within bars: subtitles that appear over a still camera, and a logo over a pan."""
    count = (SHOWN + 1) * PAN + WIDTH
    with av.open(str(CLIPS / "bigbuckbunny.mp4")) as file:
        images = [
            frame.reformat(width=count // 2 * 2, height=count * HEIGHT // WIDTH // 2 * 2, format="rgb24")
            for frame in islice(file.decode(video=0), START, START + SHOWN)
        ]
    wide = torch.from_numpy(np.stack([image.to_ndarray() for image in images])).float() / 255
    still, panned = resize(wide, HEIGHT, WIDTH, "area"), wide[:, -HEIGHT:]
    panned = torch.stack([one[:, place * PAN :][:, :WIDTH] for place, one in enumerate(panned)])
    texts = [subtitle(WIDTH, HEIGHT, *look, first=APPEARS) for look in (LOOKS[0], LOOKS[2])]
    texts = [replace(one, place=(one.place[0], one.place[1] - BAR)) for one in texts]
    mark = logo(WIDTH, HEIGHT, 0.6)
    mark = replace(mark, place=(0.06 * WIDTH, mark.place[1] + BAR))
    for film, text in zip((still, still, panned), (*texts, mark)):
        film = film.clone()
        film[:, :BAR], film[:, HEIGHT - BAR :] = 0, 0
        yield laid(film, [text])[0]


def sheet(path: Path) -> None:
    """Write source, text, depth and anaglyph of films with bars and text."""
    host, rows = Headless("cpu"), []
    for film in films():
        source = TensorSource(film, 25, cuts=False)
        source.info = source.info.replace(bars=(Bars(0, BAR, BAR),))
        clip = Clip(source)
        text = apply(TextMask(), clip)["clip"]
        depth = apply(Plan("depth", {"model": "builtin"}, "Depth"), clip)["clip"]
        inputs = {"clip": clip, "depth": depth}
        options = {"model": "builtin", "divergence": 3.0}
        pair = build.stage(BY_ID["StereoReelStereo"], inputs, options, "Stereo")["clip"]
        place = SHOWN // 2
        left, right = pull_frames(pair, host)[:, place]
        maps = [pull_frames(one, host)[place].expand(-1, -1, 3) for one in (text, depth)]
        seen = [pull_frames(clip, host)[place], *maps, torch.cat([left[..., :1], right[..., 1:]], -1)]
        rows.append(torch.cat(seen, 1))
    picture = Image.fromarray((torch.cat(rows).clamp(0, 1) * 255 + 0.5).byte().numpy())
    picture.resize((1600, 675), Image.Resampling.LANCZOS).save(path, quality=80)


def cost() -> float:
    """Return the cost over a moving picture of 48 frames, in which logos and text are looked for."""
    small = text_scenes.moving(1, "sideways", 48, WIDTH, HEIGHT)[0]
    frames = [resize(frame[None], 720, 1280)[0] for frame in small]
    start = time.process_time()
    found(frames)
    return 1000 * (time.process_time() - start) / len(frames)


def cost_across_bars() -> dict[str, float]:
    """Return the cost in a letterbox without text, with one subtitle across its edge, and with four."""
    small = text_scenes.moving(1, "sideways", 48, WIDTH, HEIGHT)[0]
    bars = Bars(0, 96, 96)
    film = barred(torch.cat([resize(frame[None], 720, 1280) for frame in small]), bars)
    info, spent = ClipInfo(1280, 720, Fraction(25), len(film), bars=(bars,)), {}
    for name, looks in (("none", ()), ("one", LOOKS[:1]), ("four", LOOKS[:4])):
        parts = list(film.chunk(max(1, len(looks))))
        for index, look in enumerate(looks):
            text = subtitle(1280, 720, *look)
            down = 720 - bars.bottom - 0.7 * text.opacity.shape[0] / text_scenes.FINE
            parts[index] = laid(parts[index], [replace(text, place=(text.place[0], down))])[0]
        frames = torch.cat(parts)
        start = time.process_time()
        for _ in BarText()(Shot(0, info), iter(frames.split(8))):
            pass
        spent[name] = 1000 * (time.process_time() - start) / len(frames)
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="one scene, one seed, and text that scrolls over a still one"
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--rife", type=Path, help="trained weights, in a folder `interpolate`")
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    if options.sheet:
        sheet(options.sheet)
        return
    torch.set_num_threads(1)
    figures: dict = {"cost": cost()}
    print(f"cost {figures['cost']:.1f} ms a frame", flush=True)
    figures["cost across bars"] = cost_across_bars()
    for name, value in figures["cost across bars"].items():
        print(f"cost across a bar, lines: {name:6}{value:.1f} ms a frame", flush=True)
    figures["masks"], figures["planes"] = masks_and_planes(list(MOVES)[: 1 if options.quick else None])
    for what in ("masks", "planes"):
        for name, values in figures[what].items():
            print(f"{what:8}{name:20}least {values['least']:.3f}  mean {values['mean']:.3f}", flush=True)
    figures["bars"] = across_bars()
    for name, values in figures["bars"].items():
        print(f"bars    {name:20}least {values['least']:.3f}  mean {values['mean']:.3f}", flush=True)
    names, at_bars, count = [], [], 0
    for name, frames in shots(options.clips, 1 if options.quick else 20):
        count += 1
        if any(found(frames)):
            names.append(name)
        if name.startswith("scene") and found_at_bars(frames):
            at_bars.append(name)
    figures["false"] = {"shots": count, "with text": names, "at bars": at_bars}
    print(f"false   {len(names)} of {count} shots: {', '.join(names) or 'none'}", flush=True)
    print(f"false   at bars {len(at_bars)}: {', '.join(at_bars) or 'none'}", flush=True)
    moves = {"still": Camera(), **MOVES}
    figures["credits"] = scrolling(dict(list(moves.items())[: 1 if options.quick else None]), options.rife)
    for name, values in figures["credits"].items():
        print(f"credits {name:28}frame {values['frame']:.1f}  strokes {values['strokes']:.1f} dB", flush=True)
    if options.json:
        print(json.dumps(figures | {"ratio": {}}))


if __name__ == "__main__":
    main()
