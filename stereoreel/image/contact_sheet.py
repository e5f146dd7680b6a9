"""Contact sheets: captioned pictures in a tidy grid, to see a complete chain of stages at a glance."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image
from torch import Tensor

from .page import BACKGROUND, TITLE, WIDTH, Page, Row, even_columns


def to_image(frame: Tensor) -> Image.Image:
    """Convert one frame ``[H, W, C]``, 0..1: grey if C is 1, composited on the background if C is 4."""
    pixels = (frame.detach().float().clamp(0, 1) * 255).round().byte().cpu().numpy()
    if pixels.shape[-1] == 1:
        return Image.fromarray(pixels[..., 0]).convert("RGB")
    picture = Image.fromarray(pixels)
    if picture.mode != "RGBA":
        return picture
    return Image.alpha_composite(Image.new("RGBA", picture.size, BACKGROUND), picture).convert("RGB")


def contact_sheet(rows: Sequence[Row], title: str, width: int = WIDTH) -> Image.Image:
    """Draw rows of pictures of any size below a title; raise ValueError if there is no picture."""
    if not any(rows):
        raise ValueError("A contact sheet needs a picture. Give it at least one row with one.")
    page = Page(width)
    page.write(title, TITLE)
    columns = even_columns(max(map(len, rows)))
    for row in filter(None, rows):
        page.pictures(row, columns)
    return page.finished()
