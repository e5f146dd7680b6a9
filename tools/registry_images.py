"""Render the icon and the banner for the Comfy Registry from the pack's own sample.

    python tools/registry_images.py        writes docs/icon.png (400x400) and docs/banner.jpg (21:9)

From left to right: a frame, its depth (banner only) and its red-cyan anaglyph.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch
from torch import Tensor

from stereoreel.image.page import to_image
from stereoreel.media.layouts.anaglyph import dubois
from stereoreel.sample.clip import render

SLANT = 0.12  # lean of a seam, as a fraction of the height
SEAM = 0.006  # width of a seam, as a fraction of the width


def views(frame: int, width: int, height: int, eye: float) -> list[Tensor]:
    """Return a frame, its depth in grey and its anaglyph, each ``[H, W, 3]`` in 0..1.

    The parallax at depth 1 is ``eye`` pixels.
    """
    image, depth = render(frame, width, height)
    left, right = (render(frame, width, height, side * eye / 2)[0] for side in (-1, 1))
    # the zero-parallax plane in the middle of the scene: half of the image leaves the screen
    shift, columns = round(eye * depth.median().item() / 2), torch.arange(width)
    left, right = (
        one[None, :, (columns + move).clamp(0, width - 1)] for one, move in ((left, -shift), (right, shift))
    )
    return [image, (depth / depth.max()).expand(-1, -1, 3), dubois(left, right)[0]]


def joined(images: list[Tensor], places: list[float]) -> Tensor:
    """Join images from left to right, with slanted white seams at these fractions of the width."""
    height, width, _ = images[0].shape
    across = (torch.arange(width) + 0.5)[None] + (torch.linspace(-1, 1, height) * SLANT * height)[:, None]
    out = images[0]
    for image, place in zip(images[1:], places):
        away = (across - place * width)[..., None]
        out = torch.lerp(out, image, (away + 0.5).clamp(0, 1))
        out = torch.lerp(torch.ones_like(out), out, (away.abs() - SEAM * width / 2 + 0.5).clamp(0, 1))
    return out


def saved(image: Tensor, path: Path, **how) -> None:
    to_image(image).save(path, **how)


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    saved(
        joined(views(40, 1260, 540, 36), [0.36, 0.62]),
        ROOT / "docs" / "banner.jpg",
        quality=88,
        optimize=True,
    )
    whole = [image[:400, 165:565] for image in views(92, 940, 400, 30)]
    saved(joined([whole[0], whole[2]], [0.5]), ROOT / "docs" / "icon.png", optimize=True)


if __name__ == "__main__":
    main()
