"""Draw the parallax of a stereo pair over time, with the screen's limits and the cuts."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from ...core.clip import ClipInfo
from .comfort import Screen
from .overlay import Worst
from .score import Moment, jumps

if TYPE_CHECKING:
    from PIL.Image import Image

HEIGHT = 380  # pixels
LEFT, RIGHT, TOP, BOTTOM = 100, 20, 16, 66  # pixels around the plot
BAND, MIDDLE, CUT, LIMIT = (70, 96, 92), (150, 220, 190), (110, 112, 116), (255, 140, 90)
LEAST = 1.15  # of the limits, that are shown at least
TICKS = 8  # times that are written below
APART, TICK = 12, 6  # pixels: if cuts are closer on average, they are short lines below the curve


@dataclass(frozen=True)
class Curves:
    """The moments of a clip, in order, on a screen."""

    moments: Sequence[Moment]
    info: ClipInfo
    screen: Screen

    def caption(self, frame: int) -> str:
        """Return when a frame is shown, such as ``0:12.4, frame 310``."""
        return f"{_clock(float(self.info.time(frame)))}, frame {frame}"

    def figures(self, worst: Sequence[Worst]) -> dict:
        """Return the moments, the jumps at cuts and the worst frames, in degrees, for JSON."""
        return {
            "frames": [one.frame for one in worst],
            "moments": [
                [one.frame, *(round(self._degrees(part), 4) for part in (one.far, one.middle, one.near))]
                for one in self.moments
            ],
            "jumps": {
                cut: round(jump, 4) for cut, jump in jumps(self.moments, self.info.cuts, self.screen).items()
            },
        }

    def _degrees(self, share: float) -> float:
        return self.screen.degrees(share * self.screen.width)

    def draw(self, width: int) -> Image:
        """Return the plot: the range of each frame's parallax, its middle, the limits and the cuts."""
        from PIL import Image, ImageDraw, ImageFont

        from ...image.page import BACKGROUND, INK, QUIET

        picture, font = Image.new("RGB", (width, HEIGHT), BACKGROUND), ImageFont.load_default(20)
        draw = ImageDraw.Draw(picture)
        ends = self._degrees(self.screen.front), self._degrees(-self.screen.behind)
        near = max(LEAST * ends[0], *(self._degrees(one.near) for one in self.moments))
        far = min(LEAST * ends[1], *(self._degrees(one.far) for one in self.moments))

        def x(frame: float) -> float:
            return LEFT + frame / max(1, self.info.frames - 1) * (width - LEFT - RIGHT)

        def y(degrees: float) -> float:
            return TOP + (near - degrees) / (near - far) * (HEIGHT - TOP - BOTTOM)

        for _, shot in groupby(self.moments, lambda one: bisect_right(self.info.cuts, one.frame)):
            _range(draw, list(shot), x, lambda share: y(self._degrees(share)))
        dense = len(self.info.cuts) * APART > width - LEFT - RIGHT
        for cut in self.info.cuts:
            top = HEIGHT - BOTTOM - TICK if dense else TOP
            draw.line([(x(cut - 0.5), top), (x(cut - 0.5), HEIGHT - BOTTOM)], CUT)
        for degrees, color in ((0.0, INK), *((end, LIMIT) for end in ends)):
            draw.line([(LEFT, y(degrees)), (width - RIGHT, y(degrees))], color, 2)
            draw.text((LEFT - 10, y(degrees)), f"{degrees:+.2f}°" if degrees else "screen", color, font, "rm")
        for number in range(TICKS + 1):
            frame = round((self.info.frames - 1) * number / TICKS)
            anchor = "la" if not number else "ra" if number == TICKS else "ma"
            draw.text(
                (x(frame), HEIGHT - BOTTOM + 8), _clock(float(self.info.time(frame))), QUIET, font, anchor
            )
        legend = "green: from the 1st to the 99th percentile, and the middle; orange: limits; grey: cuts"
        draw.text((LEFT, HEIGHT - 4), legend, QUIET, font, "ld")
        return picture


def _range(draw, shot: Sequence[Moment], x, y) -> None:
    """Draw the range and the middle of a shot's moments."""
    if len(shot) == 1:
        shot = [shot[0]._replace(frame=shot[0].frame + step) for step in (0, 1)]
    outline = [(x(one.frame), y(one.near)) for one in shot] + [
        (x(one.frame), y(one.far)) for one in reversed(shot)
    ]
    draw.polygon(outline, BAND)
    draw.line([(x(one.frame), y(one.middle)) for one in shot], MIDDLE, 3)


def _clock(seconds: float) -> str:
    minutes, tenths = divmod(round(10 * seconds), 600)
    return f"{minutes}:{tenths / 10:04.1f}"
