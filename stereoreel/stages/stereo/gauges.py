"""Draw the verdicts of a comfort score: each strain on a scale from none to far beyond its limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .score import BANDS, BORDERLINE, FAR_BEYOND, FIRM, SAFE, UNSAFE, Score

if TYPE_CHECKING:
    from PIL.Image import Image

COLORS = {SAFE: (128, 196, 132), BORDERLINE: (240, 196, 94), UNSAFE: (255, 112, 80)}
WORDS = {
    "crossed": ("in front of the screen", "crossed"),
    "uncrossed": ("behind the screen", "uncrossed"),
    "window": ("cut off at the sides", "window"),
    "change": ("jumps at cuts", "change"),
}
ROW, TRACK, SIZE = 46, 14, 22  # pixels: a row, the scale in it, letters
LABEL, SCALE = 400, 640  # pixels: the labels' width, and that of the scale
DIM = 0.35  # of a color, where the strain does not reach


def gauges(score: Score, width: int) -> Image:
    """Return a row for each strain: its name, its scale, its share of the limit and its verdict."""
    from PIL import Image, ImageDraw, ImageFont

    from ...image.page import BACKGROUND, INK, QUIET

    picture = Image.new("RGB", (width, ROW * len(score.strains)), BACKGROUND)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(SIZE)
    for row, (name, strain) in enumerate(score.strains.items()):
        middle, verdict = round(ROW * (row + 0.5)), score.verdict(name)
        words, term = WORDS[name]
        draw.text((0, middle), words, INK, font, "lm")
        draw.text((LABEL - 24, middle), term, QUIET, font, "rm")
        _scale(draw, middle, strain / FIRM[name][1], FIRM[name][0] / FIRM[name][1])
        said = f"{100 * strain / FIRM[name][1]:.0f} % of the limit"
        draw.text((LABEL + SCALE + 210, middle), said, INK, font, "rm")
        draw.text((LABEL + SCALE + 234, middle), verdict, COLORS[verdict], font, "lm")
    return picture


def _scale(draw, middle: int, strain: float, firm: float) -> None:
    """Draw the verdicts' parts of a scale, bright up to the strain; both are parts of a limit."""
    top, bottom = middle - TRACK // 2, middle + TRACK // 2

    def x(part: float) -> int:
        return LABEL + round(SCALE * min(part, FAR_BEYOND) / FAR_BEYOND)

    edges = (0.0, firm, 1.0, FAR_BEYOND)
    for verdict, low, high in zip(BANDS, edges, edges[1:]):
        dim = tuple(round(DIM * value) for value in COLORS[verdict])
        draw.rectangle([x(low), top, x(high) - 2, bottom], dim)
        if strain > low:
            draw.rectangle([x(low), top, max(x(low), x(min(high, strain)) - 2), bottom], COLORS[verdict])
    place = x(strain)
    draw.line([(place, top - 6), (place, bottom + 6)], (236, 236, 232), 3)
