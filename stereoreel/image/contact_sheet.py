"""Contact sheets: labelled pictures in a tidy grid, to see a whole chain of stages at one glance."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

BACKGROUND, INK, QUIET = (30, 31, 33), (236, 236, 232), (160, 162, 166)
MARGIN, GUTTER, GAP = 28, 12, 6  # pixels: round the sheet, between pictures, between a picture and its label
TITLE, LABEL = 28, 16  # letter sizes in pixels
TALLEST = 1.25  # a picture's cell is at most so many times as tall as wide

Row = Sequence[tuple[str, Image.Image]]


def to_image(frame: Tensor) -> Image.Image:
    """One frame ``[H, W, C]``, 0..1, as a picture: grey where C is 1, laid on the sheet's background where C
    is 4.
    """
    pixels = (frame.detach().float().clamp(0, 1) * 255).round().byte().cpu().numpy()
    if pixels.shape[-1] == 1:
        return Image.fromarray(pixels[..., 0]).convert("RGB")
    picture = Image.fromarray(pixels)
    if picture.mode != "RGBA":
        return picture
    return Image.alpha_composite(Image.new("RGBA", picture.size, BACKGROUND), picture).convert("RGB")


def contact_sheet(rows: Sequence[Row], title: str, width: int = 2400) -> Image.Image:
    """Pictures of any size, fitted into columns of one width, each above its label; ValueError where there is
    none.
    """
    columns = max((len(row) for row in rows), default=0)
    if not columns:
        raise ValueError("A contact sheet needs a picture; give it at least one row with one.")
    cell = (width - 2 * MARGIN - (columns - 1) * GUTTER) // columns
    if cell < 1:
        raise ValueError(f"{columns} columns do not fit into {width} pixels; give the sheet more width.")
    heights = [max((_fitted(picture, cell)[1] for _, picture in row), default=0) for row in rows]
    caption = GAP + round(1.4 * LABEL)
    top = MARGIN + round(1.3 * TITLE) + GUTTER
    sheet = Image.new(
        "RGB",
        (width, top + sum(height + caption + GUTTER for height in heights) - GUTTER + MARGIN),
        BACKGROUND,
    )
    draw = ImageDraw.Draw(sheet)
    _text(draw, (MARGIN, MARGIN), title, TITLE, INK, width - 2 * MARGIN)
    for row, height in zip(rows, heights):
        for column, (label, picture) in enumerate(row):
            left = MARGIN + column * (cell + GUTTER)
            small = picture.convert("RGB").resize(_fitted(picture, cell), Image.Resampling.LANCZOS)
            sheet.paste(small, (left + (cell - small.width) // 2, top + (height - small.height) // 2))
            _text(draw, (left, top + height + GAP), label, LABEL, QUIET, cell)
        top += height + caption + GUTTER
    return sheet


def _fitted(picture: Image.Image, cell: int) -> tuple[int, int]:
    """The size that fills a cell's width, or its height where the picture is very tall."""
    scale = min(cell / picture.width, TALLEST * cell / picture.height)
    return max(1, round(picture.width * scale)), max(1, round(picture.height * scale))


def _text(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    text: str,
    size: int,
    color: tuple[int, int, int],
    room: int,
) -> None:
    """Write one line, cut short with dots where there is no room."""
    font = ImageFont.load_default(size)
    if draw.textlength(text, font) > room:
        while text and draw.textlength(text + "...", font) > room:
            text = text[:-1]
        text = text.rstrip() + "..."
    draw.text(place, text, color, font)
