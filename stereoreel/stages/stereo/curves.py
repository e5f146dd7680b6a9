"""Draw the parallax of a stereo pair over time, with the screen's limits and the cuts."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from ...core.clip import ClipInfo
from .comfort import Screen
from .overlay import Worst
from .score import Moment, jumps

if TYPE_CHECKING:
    from PIL.Image import Image

HEIGHT = 480  # pixels
LEFT, RIGHT, TOP, BOTTOM = 110, 20, 72, 48  # pixels around the plot
SIZE = 20  # of letters
BAND, MIDDLE, CUT = (70, 96, 92), (150, 220, 190), (150, 152, 156)
LIMIT, BEYOND, GRID, WINDOW = (255, 140, 90), (255, 112, 80), (58, 60, 64), (255, 0, 204)
LEAST = 1.15  # of the limits, that are shown at least
# the steps between times, in seconds, and between degrees, that are written
TIMES = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
DEGREES = (0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
TICKS, LEVELS = 9, 9  # of them, at most
APART, TICK = 12, 6  # pixels: if cuts are closer on average, they are short lines below the curve
ROOM = 70  # pixels between cuts at which the jump is written
MARK = 13  # pixels: the radius of a moment's number
CUT_OFF = 0.002  # of the width: a border violation that is marked


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

    def draw(self, width: int, worst: Sequence[int] = ()) -> Image:
        """Return the plot: the range of each frame's parallax, its middle, limits, cuts and worst frames."""
        from PIL import Image

        from ...image.page import BACKGROUND

        plot = _Plot(self, Image.new("RGB", (width, HEIGHT), BACKGROUND))
        plot.axes()
        plot.ranges()
        plot.cuts()
        plot.moments(worst)
        return plot.picture

    def legend(self) -> list[tuple[str, tuple[int, int, int]]]:
        """Return what the plot's colours mean."""
        return [
            ("1st to 99th percentile", BAND),
            ("beyond the limit", BEYOND),
            ("middle of the picture", MIDDLE),
            ("limit", LIMIT),
            ("cut, and the jump there", CUT),
            ("an object in front is cut off", WINDOW),
        ]


class _Plot:
    """The parts of a plot, drawn one after the other."""

    def __init__(self, curves: Curves, picture: Image):
        from PIL import ImageDraw, ImageFont

        self.curves, self.picture = curves, picture
        self.draw, self.font = ImageDraw.Draw(picture), ImageFont.load_default(SIZE)
        self.right, self.bottom = picture.width - RIGHT, HEIGHT - BOTTOM
        degrees, screen = curves._degrees, curves.screen
        self.ends = degrees(screen.front), degrees(-screen.behind)
        self.near = max(LEAST * self.ends[0], *(degrees(one.near) for one in curves.moments))
        self.far = min(LEAST * self.ends[1], *(degrees(one.far) for one in curves.moments))

    def x(self, frame: float) -> float:
        """Return the place of a frame, or of one between two, by when it is shown."""
        info, before = self.curves.info, math.floor(frame)
        start, stop = (float(info.time(place)) for place in (before, before + 1))
        return min(self.right, self._at(start + (frame - before) * (stop - start)))

    def _at(self, seconds: float) -> float:
        length = float(self.curves.info.time(self.curves.info.frames - 1))
        return LEFT + seconds / max(length, 1e-9) * (self.right - LEFT)

    def y(self, degrees: float) -> float:
        return TOP + (self.near - degrees) / (self.near - self.far) * (self.bottom - TOP)

    def axes(self) -> None:
        """Draw the grid, and write degrees and times."""
        from ...image.page import INK, QUIET

        draw, font, info = self.draw, self.font, self.curves.info
        draw.text((4, 4), "degrees in front of (+) and behind (-) the screen", QUIET, font)
        step = next((one for one in DEGREES if (self.near - self.far) / one <= LEVELS), DEGREES[-1])
        for number in range(math.ceil(self.far / step), math.floor(self.near / step) + 1):
            place = self.y(number * step)
            draw.line([(LEFT, place), (self.right, place)], GRID)
            said = f"{number * step:+.3g}\N{DEGREE SIGN}" if number else "screen"
            draw.text((LEFT - 10, place), said, QUIET if number else INK, font, "rm")
        length = float(info.time(info.frames - 1))
        step = next((one for one in TIMES if length / one < TICKS), TIMES[-1])
        for number in range(math.floor(length / step) + 1):
            place = self._at(number * step)
            draw.line([(place, self.bottom), (place, self.bottom + TICK)], QUIET)
            anchor = "ra" if place > self.right - 2 * SIZE else "ma"
            draw.text((place, self.bottom + TICK + 4), _clock(number * step), QUIET, font, anchor)

    def ranges(self) -> None:
        """Draw the range of each shot, what is beyond the limits, the middle, and the screen and limits."""
        from ...image.page import INK

        cuts = self.curves.info.cuts
        shots = [
            list(shot) for _, shot in groupby(self.curves.moments, lambda one: bisect_right(cuts, one.frame))
        ]
        front, behind = self.ends
        for shot in map(_wide, shots):
            self._area(shot, BAND, self.far, self.near)
            self._area(shot, BEYOND, front, self.near)
            self._area(shot, BEYOND, self.far, behind)
            self._cut_off(shot)
        for degrees, color in ((0.0, INK), (front, LIMIT), (behind, LIMIT)):
            self.draw.line([(LEFT, self.y(degrees)), (self.right, self.y(degrees))], color, 2)
        for shot in map(_wide, shots):
            middle = [(self.x(one.frame), self.y(self.curves._degrees(one.middle))) for one in shot]
            self.draw.line(middle, MIDDLE, 3)

    def _area(self, shot: Sequence[Moment], color: tuple[int, int, int], low: float, high: float) -> None:
        """Fill what of a shot's range is between two angles."""

        def within(share: float) -> float:
            return self.y(min(high, max(low, self.curves._degrees(share))))

        if all(
            self.curves._degrees(one.far) >= high or self.curves._degrees(one.near) <= low for one in shot
        ):
            return
        upper = [(self.x(one.frame), within(one.near)) for one in shot]
        lower = [(self.x(one.frame), within(one.far)) for one in reversed(shot)]
        self.draw.polygon(upper + lower, color)

    def _cut_off(self, shot: Sequence[Moment]) -> None:
        for one, other in pairwise(shot):
            if min(one.border, other.border) > CUT_OFF:
                place = self.bottom - 3
                self.draw.line([(self.x(one.frame), place), (self.x(other.frame), place)], WINDOW, 6)

    def cuts(self) -> None:
        """Draw the cuts, and write by how much the middle jumps where there is room."""
        info, drawn = self.curves.info, self.right - LEFT
        dense = len(info.cuts) * APART > drawn
        found = jumps(self.curves.moments, info.cuts, self.curves.screen)
        last = LEFT + 0.0
        for cut in info.cuts:
            place = self.x(cut - 0.5)
            top = self.bottom - TICK if dense else TOP - 4
            for part in range(round(top), self.bottom, 10):
                self.draw.line([(place, part), (place, min(part + 6, self.bottom))], CUT, 2)
            if cut in found and place - last >= ROOM and place < self.right - ROOM / 2:
                said = f"{found[cut]:+.2f}\N{DEGREE SIGN}"
                self.draw.text((place, TOP - 8), said, CUT, self.font, "md")
                last = place

    def moments(self, worst: Sequence[int]) -> None:
        """Write the numbers of the worst frames where they are."""
        from ...image.page import BACKGROUND, INK

        known = {one.frame: one for one in self.curves.moments}
        for number, frame in reversed([*enumerate(worst, 1)]):
            if frame not in known:
                continue
            one = known[frame]
            in_front = one.near * -self.ends[1] >= -one.far * self.ends[0]  # nearer to that limit
            degrees = self.curves._degrees(one.near if in_front else one.far)
            place = self.x(frame), min(self.bottom - MARK, max(TOP + MARK, self.y(degrees)))
            self.draw.ellipse(
                [*(part - MARK for part in place), *(part + MARK for part in place)], INK, BACKGROUND
            )
            self.draw.text(place, str(number), BACKGROUND, self.font, "mm")


def _wide(shot: Sequence[Moment]) -> Sequence[Moment]:
    """Return a shot's moments; a single one twice, so that it has a width."""
    return shot if len(shot) > 1 else [shot[0]._replace(frame=shot[0].frame + step) for step in (0, 1)]


def _clock(seconds: float) -> str:
    minutes, tenths = divmod(round(10 * seconds), 600)
    return f"{minutes}:{tenths / 10:04.1f}"
