"""Draw a comfort report of a stereo pair: the verdict, its most straining frame, and its parallax."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from . import StereoOptions
from .curves import Curves
from .gauges import COLORS, gauges
from .overlay import BEHIND, BORDER, FAINT, FRONT, REACH, STEP, STRONG, Tally, Worst
from .score import RULE, Score

if TYPE_CHECKING:
    from PIL.Image import Image

WIDTH, PLOT = 1544, 490  # pixels of the histogram
LEFT, RIGHT, TOP, BOTTOM = 170, 1390, 90, 340  # of the plot in it
ROW = 30  # pixels from one row of numbers to the next
LEAST = 2.0  # minimum range of the plot to either side, in percent of the width
SHADE, PLAIN = (58, 42, 44), (150, 176, 150)
UNITS = ("percent", "pixels", "mm")
GREY = 0.5  # brightness of the frame under the colours of the legend


def page(
    tally: Tally,
    score: Score,
    options: StereoOptions | None,
    curves: Curves,
    worst: Sequence[Worst],
    note: str = "",
) -> Image:
    """Draw score and verdicts, the parallax over time, the worst moments and the histogram on one page.

    ``options`` are those of Stereo, None if unknown.
    """
    from ...image.page import ACCENT, HEADING, QUIET, TEXT, TITLE, Page, to_image

    paper = Page()
    paper.write(f"Stereo Comfort on a {tally.screen.name} screen", TITLE)
    paper.write(f"{score.points} of 100: {score.overall}", TITLE, COLORS[score.overall])
    paper.write(score.advice(options))
    paper.image(gauges(score, WIDTH))
    paper.write(RULE, TEXT, QUIET)
    paper.write("What was measured", HEADING, ACCENT)
    paper.write(tally.verdict())
    for line in tally.findings():
        word, _, sentence = line.partition(": ")
        paper.item(word, sentence)
    if note:
        paper.write(note, TEXT, QUIET)
    if len(curves.moments) > 1:
        paper.write("The parallax over time", HEADING, ACCENT)
        paper.image(curves.draw(WIDTH, [one.frame for one in worst]))
        paper.legend(curves.legend())
    paper.write("The least comfortable moments", HEADING, ACCENT)
    paper.legend(_legend())
    first, *others = worst
    paper.image(to_image(first.picture))
    paper.write(f"1: {curves.caption(first.frame)}", TEXT, QUIET)
    if others:
        captions = (f"{number}: {curves.caption(one.frame)}" for number, one in enumerate(others, 2))
        paper.pictures([(said, to_image(one.picture)) for said, one in zip(captions, others)], 4)
    paper.write("How much of the picture is how far from the screen", HEADING, ACCENT)
    paper.image(_histogram(tally))
    return paper.finished()


def _legend() -> list[tuple[str, tuple[int, int, int]]]:
    """Return what the overlay's colours mean."""
    return [
        ("in front of the screen", _mixed(FRONT, FAINT)),
        ("too far in front", _mixed(FRONT, STRONG)),
        ("behind the screen", _mixed(BEHIND, FAINT)),
        ("too far behind", _mixed(BEHIND, STRONG)),
        ("grey: at the screen", _mixed(FRONT, 0)),
        ("side border: cuts off an object in front", _color(BORDER)),
    ]


def _mixed(color: tuple[float, float, float], share: float) -> tuple[int, int, int]:
    """The tint of a grey pixel, as in the overlay."""
    red, green, blue = (GREY + (value - GREY) * share for value in color)
    return _color((red, green, blue))


def _histogram(tally: Tally):
    from PIL import Image, ImageDraw, ImageFont

    from ...image.page import BACKGROUND, INK, QUIET

    picture, (small, large) = (
        Image.new("RGB", (WIDTH, PLOT), BACKGROUND),
        (ImageFont.load_default(size) for size in (22, 24)),
    )
    draw, front, behind = ImageDraw.Draw(picture), 100 * tally.screen.front, 100 * tally.screen.behind
    reach = _reach(tally)

    def column(percent: float) -> int:
        return round(LEFT + (min(max(percent, -reach), reach) + reach) / (2 * reach) * (RIGHT - LEFT))

    for start, stop in ((-reach, -behind), (front, reach)):
        if start < stop:
            draw.rectangle([column(start), TOP, column(stop), BOTTOM], SHADE)
    _bars(draw, tally, column)
    for percent, text, side in (
        (0.0, "screen", "m"),
        (front, "comfortable to here", "l"),
        (-behind, "comfortable to here", "r"),
    ):
        if abs(percent) <= reach:
            draw.line([(column(percent), TOP - 4), (column(percent), BOTTOM)], INK, 2)
            draw.text((column(percent), TOP - 8 - ROW * (side == "m")), text, INK, small, anchor=f"{side}d")
    draw.line([(LEFT, BOTTOM), (RIGHT, BOTTOM)], QUIET)
    _axes(draw, tally, reach, column, small)
    draw.text((LEFT, PLOT - 40), "behind the screen", _color(BEHIND), large)
    draw.text((RIGHT, PLOT - 40), "in front of the screen", _color(FRONT), large, anchor="ra")
    draw.text(
        (WIDTH // 2, PLOT - 40),
        f"{tally.frames} frames on a {tally.screen.name} screen",
        INK,
        large,
        anchor="ma",
    )
    return picture


def _bars(draw, tally: Tally, column: Callable[[float], int]) -> None:
    """Draw how many pixels have which parallax, in the colours of the overlay."""
    front, behind = 100 * tally.screen.front, 100 * tally.screen.behind
    most = max(1, int(tally.histogram.max()))
    for bin_, count in enumerate(tally.histogram.tolist()):
        low = bin_ * STEP - REACH
        if count:
            color = (
                _color(FRONT)
                if low + STEP / 2 > front
                else _color(BEHIND)
                if low + STEP / 2 < -behind
                else PLAIN
            )
            # square roots, so that small objects stay visible next to a sky
            tall = math.ceil(math.sqrt(count / most) * (BOTTOM - TOP - 10))
            draw.rectangle(
                [column(low) + 1, BOTTOM - tall, max(column(low) + 1, column(low + STEP) - 1), BOTTOM], color
            )


def _axes(draw, tally: Tally, reach: float, column, font) -> None:
    """Draw the same ticks in every unit, one row each."""
    from ...image.page import QUIET

    step = next(step for step in (0.25, 0.5, 1.0, 2.0) if 2 * reach / step <= 12)
    for number in range(-int(reach / step), int(reach / step) + 1):
        units = tally.units(number * step)
        for row, unit in enumerate(UNITS):
            draw.text(
                (column(number * step), BOTTOM + 8 + ROW * row),
                f"{units[unit]:.3g}",
                QUIET,
                font,
                anchor="ma",
            )
    for row, word in enumerate(("%", "px", "mm")):
        draw.text((LEFT - 40, BOTTOM + 8 + ROW * row), word, QUIET, font, anchor="ra")


def _reach(tally: Tally) -> float:
    """Return the range in percent that shows all data, and limits if they are near."""
    limits = [limit for limit in (100 * tally.screen.front, 100 * tally.screen.behind) if limit < REACH]
    filled = [
        abs(bin_ * STEP - REACH + STEP * (bin_ * STEP >= REACH))
        for bin_, count in enumerate(tally.histogram.tolist())
        if count
    ]
    return min(REACH, max(LEAST, 1.15 * max([*filled, *limits], default=0)))


def _color(share: tuple[float, float, float]) -> tuple[int, int, int]:
    red, green, blue = (round(255 * value) for value in share)
    return red, green, blue
