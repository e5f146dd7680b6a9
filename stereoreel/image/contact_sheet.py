"""Contact sheets: labelled images in a grid that shows a chain of stages at a glance."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

BACKGROUND, INK, QUIET = (30, 31, 33), (236, 236, 232), (160, 162, 166)
MARGIN, GUTTER, GAP = 28, 12, 6  # pixels: around the sheet, between images, from image to label
TITLE, LABEL = 28, 16  # letter sizes in pixels
TALLEST = 1.25  # largest ratio of height to width of an image's cell

Row = Sequence[tuple[str, Image.Image]]


def to_image(frame: Tensor) -> Image.Image:
    """Convert one frame ``[H, W, C]``, 0..1: grey if C is 1, composited on the background if C is 4."""
    pixels = (frame.detach().float().clamp(0, 1) * 255).round().byte().cpu().numpy()
    if pixels.shape[-1] == 1:
        return Image.fromarray(pixels[..., 0]).convert("RGB")
    picture = Image.fromarray(pixels)
    if picture.mode != "RGBA":
        return picture
    return Image.alpha_composite(Image.new("RGBA", picture.size, BACKGROUND), picture).convert("RGB")


def contact_sheet(rows: Sequence[Row], title: str, width: int = 2400) -> Image.Image:
    """Arrange images of any size in columns of one width, each above its label.

    Raise ValueError if there is no image.
    """
    columns = max((len(row) for row in rows), default=0)
    if not columns:
        raise ValueError("The contact sheet has no images. Pass at least one row with an image.")
    cell = (width - 2 * MARGIN - (columns - 1) * GUTTER) // columns
    if cell < 1:
        raise ValueError(f"{columns} columns do not fit into {width} pixels. Choose a larger width.")
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
    """Return the size that fills a cell's width, or its height if the image is very tall."""
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
    """Write one line, truncated with dots if there is no room."""
    font = ImageFont.load_default(size)
    if draw.textlength(text, font) > room:
        while text and draw.textlength(text + "...", font) > room:
            text = text[:-1]
        text = text.rstrip() + "..."
    draw.text(place, text, color, font)
