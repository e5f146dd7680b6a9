"""Convert parallax to percent of the width, millimetres on a screen and degrees of vergence; comfort limits.

Parallax is positive in front of the screen (the left eye's point is to the right of the right eye's) and
negative behind it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

# mm between an adult's pupils, the mean of N. Dodgson, "Variation and extrema of human interpupillary
# distance", 2004
EYES = 63.0
# degrees of vergence from the screen: Lambooij et al., "Visual discomfort and visual fatigue of stereoscopic
# displays", 2009
COMFORT = 1.0
BY_HAND = "by hand"
# degrees of vergence from the screen that a strength uses in front and behind: a third, two thirds and all of
# what is comfortable; the middle of the picture moves by no more than that at a cut
STRENGTHS = {"gentle": COMFORT / 3, "normal": COMFORT * 2 / 3, "strong": COMFORT}
KNEE = 0.75  # up to this fraction of a limit the soft clamp changes nothing


@dataclass(frozen=True)
class Screen:
    """A screen ``width`` mm wide, watched from ``distance`` mm.

    A point in front of it is comfortable up to ``COMFORT`` degrees. The same holds behind it, and the eyes
    must never diverge: the parallax there stays below the distance between the eyes, which on a large screen
    is the narrower limit.
    """

    name: str
    width: float
    distance: float

    def millimetres(self, share: float) -> float:
        """Return the parallax on the screen from a fraction of the frame width."""
        return share * self.width

    def degrees(self, millimetres: float) -> float:
        """Return how much more the eyes converge than for a point on the screen; negative behind it."""
        return math.degrees(
            2 * (_vergence(EYES + millimetres, self.distance) - _vergence(EYES, self.distance))
        )

    @property
    def field(self) -> float:
        """The angle that it fills horizontally, in degrees."""
        return math.degrees(2 * math.atan(self.width / (2 * self.distance)))

    @property
    def front(self) -> float:
        """The largest comfortable parallax in front, as a fraction of the width."""
        return self.limits(COMFORT)[0]

    @property
    def behind(self) -> float:
        """The largest comfortable parallax behind, as a positive fraction of the width."""
        return self.limits(COMFORT)[1]

    def limits(self, degrees: float) -> tuple[float, float]:
        """Return the parallax at ``degrees`` in front and behind, as positive fractions of the width.

        Behind the screen it stays below the distance between the eyes.
        """
        return self._parallax(degrees) / self.width, min(EYES, -self._parallax(-degrees)) / self.width

    def _parallax(self, degrees: float) -> float:
        """Return the millimetres at which the eyes converge by this many degrees more than for the screen."""
        half = _vergence(EYES, self.distance) + math.radians(degrees) / 2
        return 2 * self.distance * math.tan(half) - EYES


def _vergence(parallax: float, distance: float) -> float:
    return math.atan(parallax / (2 * distance))


SCREENS = {
    screen.name: screen
    for screen in (
        Screen("phone", 155, 340),
        Screen("tv", 1218, 2190),
        Screen("cinema", 12000, 15000),
        Screen("vr headset", 2309, 2000),
    )
}
"""A 6.7-inch phone at reading distance (Bababekova et al., "Font size and viewing distance of handheld smart
phones", 2011); a 55-inch television at 3.2 picture heights (ITU-R BT.2022); the middle rows in front of a
cinema's 12 m screen, well inside the 30 degrees that SMPTE EG 18 requires; the virtual screen of a headset's
player, 60 degrees wide, 2 m away, near the focus of its lenses."""


def screen_of(name: str) -> Screen:
    """Return a screen by its name; a television for ``device`` while no device is known, and for ``none``."""
    return SCREENS.get(name, SCREENS["tv"])


def advice(divergence: float, screen: Screen) -> str:
    """Describe a divergence in percent on a screen, and its comfortable range, in one line."""
    widest = screen.millimetres(divergence / 100)
    return (
        f"A divergence of {divergence:g} % is {widest:.1f} mm from the farthest to the nearest point on a "
        f"{screen.name} screen. The comfortable range is {screen.front * screen.width:.1f} mm "
        f"({100 * screen.front:.1f} %) in front "
        f"and {screen.behind * screen.width:.1f} mm ({100 * screen.behind:.1f} %) behind."
    )


def soft_clamp(parallax: Tensor, front: float, behind: float) -> Tensor:
    """Compress ``parallax`` between ``-behind`` and ``front`` (both positive, in one unit), monotonically.

    Up to three quarters of a limit, values stay bit-identical; beyond that, they approach the limit smoothly.
    """
    bent = torch.where(parallax > KNEE * front, _bend(parallax, front), parallax)
    return torch.where(parallax < -KNEE * behind, -_bend(-parallax, behind), bent)


def _bend(parallax: Tensor, limit: float) -> Tensor:
    knee, rest = KNEE * limit, (1 - KNEE) * limit
    return knee + rest * torch.tanh((parallax - knee) / rest)


def scale_foreground(depth: Tensor, octaves: float) -> Tensor:
    """Scale the relief of the nearest depth (0..1) by ``2 ** octaves``, and that of the farthest inversely.

    0 and 1 stay unchanged, and the opposite number of octaves reverses it.
    """
    depth = depth.clamp(0, 1)
    return depth / (depth + (1 - depth) * 2.0**octaves)


def border_ramp(width: int, reach: float, device: torch.device | None = None) -> Tensor:
    """Return factors ``[W]`` that fade parallax smoothly to zero within ``reach`` pixels of either side."""
    column = torch.arange(width, dtype=torch.float32, device=device)
    near = (torch.minimum(column, width - 1 - column) / max(reach, 1e-6)).clamp(max=1)
    return near * near * (3 - 2 * near)
