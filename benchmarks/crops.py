"""Make the pictures of docs/gallery.md that compare models on a real film.

    python benchmarks/crops.py [FOLDER]

FOLDER is `docs` by default. The film is Big Buck Bunny (c) 2008 Blender Foundation, CC-BY 3.0, from the
folder of test clips; trained networks come from published packages (see `tests/support/trained_weights.py`).

    upscalers.jpg      a frame at half size, enlarged x2 by each model, beside the film's own
    interpolation.jpg  the frame between two, which was left out, with a caption that stands still
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from stereoreel.cli import passive_waiting

passive_waiting()  # before torch is imported

import av  # isort: skip
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

import stereoreel
from benchmarks.generated import MODELS, RIFE_2X, Model, Workshop
from benchmarks.support import CLIPS
from stereoreel.analysis.metrics import psnr
from stereoreel.image.resize import resize

CLIP = CLIPS / "bigbuckbunny.mp4"
MOMENT = 68  # of the upscaled frame
HEAD = (slice(30, 190), slice(360, 616))  # rows and columns
AROUND = 2  # frames before and after, for those models that look at them
APART = 2
ARM = (slice(40, 296), slice(576, 896))
TILES, GAP, LINE = 4, 8, 34
CAPTION = "- Where is everybody?"


def film(first: int, count: int) -> torch.Tensor:
    """Return frames ``[count, 720, 1280, 3]`` of the film."""
    with av.open(str(CLIP)) as file:
        frames = [
            frame.to_ndarray(format="rgb24") for frame in islice(file.decode(video=0), first, first + count)
        ]
    return torch.from_numpy(np.stack(frames)).float() / 255


def upscaled(shop: Workshop) -> dict[str, torch.Tensor]:
    """Return a part of a frame by each model, by what is written below it."""
    rows, columns = HEAD
    whole = film(MOMENT - AROUND, 2 * AROUND + 1)
    truth = whole[:, rows, columns]
    small = resize(truth, truth.shape[1] // 2, truth.shape[2] // 2, "area")
    shown = {"the film": truth[AROUND]}
    for name, model in MODELS.items():
        made, _ = shop.computed(model(stereoreel.from_tensor(small, cuts=False)), [model])
        shown[f"{name}, {psnr(made[AROUND], truth[AROUND]):.1f} dB"] = made[AROUND]
    return shown


def interpolated(shop: Workshop) -> dict[str, torch.Tensor]:
    """Return a part of the frame between two by each method."""
    frames = torch.stack([captioned(frame) for frame in film(39, APART + 1)])
    first, truth, last = frames[0], frames[APART // 2], frames[-1]
    shown = {"before": first, "the film": truth, "after": last}
    pair = stereoreel.from_tensor(torch.stack([first, last]), cuts=False)
    methods = {
        "mean of both": None,
        "builtin": Model("interpolate", {"model": "builtin", "multiplier": 2}),
        "RIFE 4.25": RIFE_2X,
    }
    rows, columns = ARM
    for name, model in methods.items():
        if model is None:
            made = (first + last) / 2
        else:
            options = {"model": "builtin", **model.options}
            made = shop.computed(stereoreel.interpolate(pair, **options), [model])[0][1]
        shown[f"{name}, {psnr(made[rows, columns], truth[rows, columns]):.1f} dB"] = made
    return {name: frame[rows, columns] for name, frame in shown.items()}


def captioned(frame: torch.Tensor) -> torch.Tensor:
    """Return a frame with a line of text over the part that is shown."""
    picture = Image.fromarray((255 * frame + 0.5).byte().numpy())
    left, top = ARM[1].start + 20, ARM[0].stop - 50
    ImageDraw.Draw(picture).text(
        (left, top), CAPTION, "white", ImageFont.load_default(28), stroke_width=2, stroke_fill="black"
    )
    return torch.from_numpy(np.array(picture)).float() / 255


def sheet(shown: Mapping[str, torch.Tensor], tiles: int) -> Image.Image:
    """Return the pictures side by side, each with its name below it, twice as large."""
    height, width = (2 * side for side in next(iter(shown.values())).shape[:2])
    rows = -(-len(shown) // tiles)
    page = Image.new("RGB", (tiles * (width + GAP) + GAP, rows * (height + LINE) + GAP), "#1e1f22")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(20)
    for number, (name, frame) in enumerate(shown.items()):
        x = GAP + number % tiles * (width + GAP)
        y = GAP + number // tiles * (height + LINE)
        picture = Image.fromarray((255 * frame.clamp(0, 1) + 0.5).byte().numpy())
        page.paste(picture.resize((width, height), Image.Resampling.NEAREST), (x, y))
        draw.text((x, y + height + 4), name, "#d0d0d0", font)
    return page


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "docs")
    torch.set_grad_enabled(False)
    with tempfile.TemporaryDirectory() as place:
        shop = Workshop(Path(place))
        for name, shown, tiles in (
            ("interpolation.jpg", interpolated(shop), 3), ("upscalers.jpg", upscaled(shop), TILES),
        ):  # fmt: skip
            page = sheet(shown, tiles)
            page.thumbnail((1280, 1280), Image.Resampling.LANCZOS)
            page.save(folder / name, quality=84, optimize=True)
            print(folder / name, *shown, sep="\n  ")


if __name__ == "__main__":
    main()
