"""The icon and the banner that the Comfy Registry shows, made of the pack's own sample.

    python benchmarks/registry_pictures.py        writes docs/icon.png (400x400) and docs/banner.jpg (21:9)

From left to right a frame, its depth and its red-cyan anaglyph: what the pack makes of a video.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch
from PIL import Image
from torch import Tensor

from stereoreel.media.layouts.anaglyph import dubois
from stereoreel.sample.clip import render

SLANT = 0.12  # of the height: how far a seam leans
SEAM = 0.006  # of the width


def views(frame: int, width: int, height: int, eye: float) -> list[Tensor]:
    """The image, its depth as grey and its anaglyph of a frame, each ``[H, W, 3]`` in 0..1; the eyes are
    ``eye`` pixels apart at depth 1.
    """
    image, depth = render(frame, width, height)
    left, right = (render(frame, width, height, side * eye / 2)[0] for side in (-1, 1))
    # the zero-parallax plane in the middle of the scene: half of the image leaves the screen
    shift, columns = round(eye * depth.median().item() / 2), torch.arange(width)
    left, right = (
        one[None, :, (columns + move).clamp(0, width - 1)] for one, move in ((left, -shift), (right, shift))
    )
    return [image, (depth / depth.max()).expand(-1, -1, 3), dubois(left, right)[0]]


def joined(pictures: list[Tensor], places: list[float]) -> Tensor:
    """The pictures from left to right, with slanted white seams at these shares of the width."""
    height, width, _ = pictures[0].shape
    across = (torch.arange(width) + 0.5)[None] + (torch.linspace(-1, 1, height) * SLANT * height)[:, None]
    out = pictures[0]
    for picture, place in zip(pictures[1:], places):
        away = (across - place * width)[..., None]
        out = torch.lerp(out, picture, (away + 0.5).clamp(0, 1))
        out = torch.lerp(torch.ones_like(out), out, (away.abs() - SEAM * width / 2 + 0.5).clamp(0, 1))
    return out


def saved(picture: Tensor, path: Path, **how) -> None:
    Image.fromarray((picture.clamp(0, 1) * 255).round().byte().numpy()).save(path, **how)


def main() -> None:
    saved(
        joined(views(40, 1260, 540, 36), [0.36, 0.62]),
        ROOT / "docs" / "banner.jpg",
        quality=88,
        optimize=True,
    )
    whole = [picture[:400, 165:565] for picture in views(92, 940, 400, 30)]
    saved(joined([whole[0], whole[2]], [0.5]), ROOT / "docs" / "icon.png", optimize=True)


if __name__ == "__main__":
    main()
