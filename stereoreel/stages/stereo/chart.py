"""Draw a comfort report of a stereo pair: its most straining frame and the histogram of its parallax."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor

from .overlay import BEHIND, FRONT, REACH, STEP, Tally

if TYPE_CHECKING:
    from PIL.Image import Image

WIDTH, PLOT = 1280, 420  # pixels: of the page, and the height of its lower part
LEFT, RIGHT, TOP, BOTTOM = 150, 1130, 70, 290  # of the plot in the lower part
LEAST = 2.0  # minimum range of the plot to either side, in percent of the width
BACKGROUND, INK, QUIET, SHADE = (30, 31, 33), (236, 236, 232), (160, 162, 166), (58, 42, 44)
PLAIN = (150, 176, 150)
UNITS = ("percent", "pixels", "mm")


def page(tally: Tally, worst: Tensor) -> Image:
    """Draw the image ``worst`` ``[h, w, 3]`` above the histogram of all frames, 1280 pixels wide."""
    from PIL import Image

    from ...image.contact_sheet import to_image

    height = max(1, round(worst.shape[0] * WIDTH / worst.shape[1]))
    frame = to_image(worst).resize((WIDTH, height), Image.Resampling.LANCZOS)
    whole = Image.new("RGB", (WIDTH, height + PLOT), BACKGROUND)
    whole.paste(frame, (0, 0))
    whole.paste(_histogram(tally), (0, height))
    return whole


def _histogram(tally: Tally):
    from PIL import Image, ImageDraw, ImageFont

    picture, (small, large) = (
        Image.new("RGB", (WIDTH, PLOT), BACKGROUND),
        (ImageFont.load_default(size) for size in (16, 20)),
    )
    draw, front, behind = ImageDraw.Draw(picture), 100 * tally.screen.front, 100 * tally.screen.behind
    reach = _reach(tally)

    def column(percent: float) -> int:
        return round(LEFT + (min(max(percent, -reach), reach) + reach) / (2 * reach) * (RIGHT - LEFT))

    for start, stop in ((-reach, -behind), (front, reach)):
        if start < stop:
            draw.rectangle([column(start), TOP, column(stop), BOTTOM], SHADE)
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
    for percent, text, side in (
        (0.0, "screen", "m"),
        (front, "comfortable to here", "l"),
        (-behind, "comfortable to here", "r"),
    ):
        if abs(percent) <= reach:
            draw.line([(column(percent), TOP - 4), (column(percent), BOTTOM)], INK, 2)
            draw.text((column(percent), TOP - 8 - 22 * (side == "m")), text, INK, small, anchor=f"{side}d")
    draw.line([(LEFT, BOTTOM), (RIGHT, BOTTOM)], QUIET)
    _axes(draw, tally, reach, column, small)
    draw.text((LEFT, PLOT - 34), "behind the screen", _color(BEHIND), large)
    draw.text((RIGHT, PLOT - 34), "in front of the screen", _color(FRONT), large, anchor="ra")
    draw.text(
        (WIDTH // 2, PLOT - 34),
        f"{tally.frames} frames on a {tally.screen.name} screen",
        INK,
        large,
        anchor="ma",
    )
    return picture


def _axes(draw, tally: Tally, reach: float, column, font) -> None:
    """Draw the same ticks in every unit, one row each."""
    step = next(step for step in (0.25, 0.5, 1.0, 2.0) if 2 * reach / step <= 12)
    for number in range(-int(reach / step), int(reach / step) + 1):
        units = tally.units(number * step)
        for row, unit in enumerate(UNITS):
            draw.text(
                (column(number * step), BOTTOM + 8 + 22 * row), f"{units[unit]:.3g}", QUIET, font, anchor="ma"
            )
    for row, word in enumerate(("%", "px", "mm")):
        draw.text((LEFT - 40, BOTTOM + 8 + 22 * row), word, QUIET, font, anchor="ra")


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
