"""Pages of text, tables and pictures, and contact sheets; readable at half size."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

BACKGROUND, INK, QUIET = (30, 31, 33), (236, 236, 232), (160, 162, 166)
ACCENT, WARNING = (240, 196, 94), (255, 140, 90)
WIDTH = 1600  # pixels
# pixels: around the page, between pictures, between a picture and its caption
MARGIN, GUTTER, GAP = 28, 12, 6
TITLE, HEADING, TEXT = 36, 28, 22  # letter sizes in pixels
LINE, PARAGRAPH = 1.35, 0.5  # of the letter size
TALLEST = 1.25  # a picture's cell is at most so many times as tall as wide
COLUMNS = 4  # pictures next to each other, at most
SWATCH = 34  # pixels: the width of a colour in a legend

Color = tuple[int, int, int]
Row = Sequence[tuple[str, Image.Image]]


class Page:
    """A page that grows downwards."""

    def __init__(self, width: int = WIDTH):
        self.width = width
        self._picture, self._y = Image.new("RGB", (width, 1024), BACKGROUND), MARGIN
        self._draw = ImageDraw.Draw(self._picture)

    def write(self, text: str, size: int = TEXT, color: Color = INK) -> None:
        """Write a paragraph over the width of the page."""
        self._y += round(PARAGRAPH * size)
        self._paragraph(text, size, color, MARGIN, self.width - 2 * MARGIN)

    def item(self, word: str, sentence: str, color: Color = INK, label: int = 250) -> None:
        """Write a word, and a sentence ``label`` pixels to the right of it."""
        top = self._y
        self._paragraph(word, TEXT, QUIET, MARGIN, label - GUTTER)
        bottom, self._y = self._y, top
        self._paragraph(sentence, TEXT, color, MARGIN + label, self.width - 2 * MARGIN - label)
        self._y = max(self._y, bottom)

    def table(
        self,
        header: Sequence[str],
        rows: Sequence[tuple[Sequence[str], Color]],
        label: int = 400,
        marked: int | None = None,
    ) -> None:
        """Write rows of cells, the first ``label`` pixels wide, column ``marked`` in the accent colour."""
        column = (self.width - 2 * MARGIN - label) // max(1, len(header) - 1)
        self._y += GUTTER
        for cells, color in ((header, QUIET), *rows):
            top = bottom = self._y
            for number, cell in enumerate(cells):
                self._y = top
                left = MARGIN + (label + (number - 1) * column if number else 0)
                paint = ACCENT if number and number == marked else QUIET if not number else color
                self._paragraph(cell, TEXT, paint, left, (column if number else label) - GUTTER)
                bottom = max(bottom, self._y)
            self._y = bottom

    def pictures(self, row: Row, columns: int | None = None) -> None:
        """Draw pictures of any size in cells of one width, each above its caption, ``columns`` to a line."""
        columns = columns or even_columns(len(row))
        cell = (self.width - 2 * MARGIN - (columns - 1) * GUTTER) // columns
        if cell < 1:
            raise ValueError(f"{columns} columns do not fit into {self.width} pixels. Widen the page.")
        for first in range(0, len(row), columns):
            self._line(row[first : first + columns], cell)

    def legend(self, entries: Sequence[tuple[str, Image.Image | Color]]) -> None:
        """Write what colours mean, each after a sample of it."""
        self._y += GAP
        left, height = MARGIN, round(LINE * TEXT)
        self._room(height)
        for text, sample in entries:
            if isinstance(sample, tuple):
                sample = Image.new("RGB", (SWATCH, TEXT), sample)
            room = sample.width + GAP + round(self._draw.textlength(text, _font(TEXT)))
            if left > MARGIN and left + room > self.width - MARGIN:
                left, self._y = MARGIN, self._y + height
                self._room(height)
            self._picture.paste(sample, (left, self._y + 3))
            self._draw.text((left + sample.width + GAP, self._y), text, INK, _font(TEXT))
            left += room + 2 * GUTTER
        self._y += height

    def image(self, picture: Image.Image) -> None:
        """Draw a picture over the width of the page."""
        height = max(1, round(picture.height * (self.width - 2 * MARGIN) / picture.width))
        self._y += GUTTER
        self._room(height)
        size = (self.width - 2 * MARGIN, height)
        self._picture.paste(picture.convert("RGB").resize(size, Image.Resampling.LANCZOS), (MARGIN, self._y))
        self._y += height + GUTTER

    def finished(self) -> Image.Image:
        self._room(MARGIN)
        return self._picture.crop((0, 0, self.width, self._y + MARGIN))

    def _line(self, row: Row, cell: int) -> None:
        self._y += GUTTER
        sizes = [fitted(picture, cell) for _, picture in row]
        height = max(size[1] for size in sizes)
        self._room(height + GAP)
        top = self._y
        bottom = top
        for column, ((caption, picture), size) in enumerate(zip(row, sizes)):
            left = MARGIN + column * (cell + GUTTER)
            small = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
            place = (left + (cell - small.width) // 2, top + (height - small.height) // 2)
            self._picture.paste(small, place)
            self._y = top + height + GAP
            self._paragraph(caption, TEXT, QUIET, left, cell)
            bottom = max(bottom, self._y)
        self._y = bottom

    def _paragraph(self, text: str, size: int, color: Color, left: int, room: int) -> None:
        font = _font(size)
        for line in wrapped(text, size, room):
            self._room(round(LINE * size))
            self._draw.text((left, self._y), line, color, font)
            self._y += round(LINE * size)

    def _room(self, height: int) -> None:
        """Enlarge the picture if ``height`` more pixels, and the margin, do not fit."""
        if (needed := self._y + height + MARGIN) <= self._picture.height:
            return
        larger = Image.new("RGB", (self.width, max(needed, 2 * self._picture.height)), BACKGROUND)
        larger.paste(self._picture, (0, 0))
        self._picture, self._draw = larger, ImageDraw.Draw(larger)


def even_columns(count: int) -> int:
    """Return how many of ``count`` pictures share a line, so that lines are about equally long."""
    return -(-count // max(1, -(-count // COLUMNS)))


def fitted(picture: Image.Image, cell: int) -> tuple[int, int]:
    """Return the size that fills a cell's width, or its height if the picture is very tall."""
    scale = min(cell / picture.width, TALLEST * cell / picture.height)
    return max(1, round(picture.width * scale)), max(1, round(picture.height * scale))


def wrapped(text: str, size: int, room: int) -> list[str]:
    """Return the lines of a text that fit into ``room`` pixels; words that do not are divided."""
    font, lines = _font(size), [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= room:
            lines[-1] = longer
            continue
        if lines[-1]:
            lines.append("")
        while font.getlength(word) > room and len(word) > 1:
            count = next(
                count
                for count in range(len(word) - 1, 0, -1)
                if count == 1 or font.getlength(word[:count]) <= room
            )
            lines[-1:] = [word[:count], ""]
            word = word[count:]
        lines[-1] = word
    return lines


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


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
