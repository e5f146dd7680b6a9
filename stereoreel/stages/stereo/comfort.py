"""What parallax means to a viewer: pixels, percent of the width, millimetres on a screen and degrees at the eyes, and where comfort ends.

Parallax is counted positive in front of the screen (the left eye's point lies to the right of the right
eye's), negative behind it.
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
KNEE = 0.75  # up to this share of a limit the soft clamp changes nothing


@dataclass(frozen=True)
class Screen:
    """A picture ``width`` mm wide that is looked at from ``distance`` mm.

    A point in front of it is comfortable up to ``COMFORT`` degrees. Behind it the same holds, and the eyes
    must never turn outwards: the parallax there stays below the distance between them, which on a large
    screen is the narrower limit.
    """

    name: str
    width: float
    distance: float

    def millimetres(self, share: float) -> float:
        """Parallax on the screen, of a parallax given as a share of the picture's width."""
        return share * self.width

    def degrees(self, millimetres: float) -> float:
        """How much more the eyes turn inwards than for a point on the screen; negative behind it."""
        return math.degrees(
            2 * (_vergence(EYES + millimetres, self.distance) - _vergence(EYES, self.distance))
        )

    @property
    def front(self) -> float:
        """The largest comfortable parallax in front, as a share of the width."""
        return self._parallax(COMFORT) / self.width

    @property
    def behind(self) -> float:
        """The largest comfortable parallax behind, as a positive share of the width."""
        return min(EYES, -self._parallax(-COMFORT)) / self.width

    def _parallax(self, degrees: float) -> float:
        """Millimetres at which the eyes turn in by so many degrees more than for the screen; past parallel they turn out."""
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
"""A phone of 6.7 inches held as people read on it (Bababekova et al., "Font size and viewing distance of handheld smart phones", 2011);
a television of 55 inches at 3.2 picture heights (ITU-R BT.2022); the middle rows before a cinema's 12 m screen, well inside the 30 degrees
that SMPTE EG 18 asks for; the 60 degrees wide virtual screen of a headset's player, 2 m away, near where its lenses focus."""


def advice(divergence: float, screen: Screen) -> str:
    """One line: what a divergence in percent is on a screen, and what is comfortable there."""
    widest = screen.millimetres(divergence / 100)
    return (
        f"A divergence of {divergence:g} % is {widest:.1f} mm from the farthest to the nearest point on a {screen.name} screen; "
        f"comfortable are {screen.front * screen.width:.1f} mm ({100 * screen.front:.1f} %) in front "
        f"and {screen.behind * screen.width:.1f} mm ({100 * screen.behind:.1f} %) behind."
    )


def soft_clamp(parallax: Tensor, front: float, behind: float) -> Tensor:
    """``parallax`` bent to stay between ``-behind`` and ``front`` (both positive, in the same unit): smooth, monotone.

    Up to three quarters of a limit nothing changes by a bit; beyond that the rest is used up ever more
    slowly.
    """
    bent = torch.where(parallax > KNEE * front, _bend(parallax, front), parallax)
    return torch.where(parallax < -KNEE * behind, -_bend(-parallax, behind), bent)


def _bend(parallax: Tensor, limit: float) -> Tensor:
    knee, rest = KNEE * limit, (1 - KNEE) * limit
    return knee + rest * torch.tanh((parallax - knee) / rest)


def scale_foreground(depth: Tensor, octaves: float) -> Tensor:
    """Depth 0..1 with the relief of the nearest ``2 ** octaves`` times as steep and that of the farthest as much flatter.

    0 and 1 stay where they are, and the opposite number of octaves undoes it.
    """
    depth = depth.clamp(0, 1)
    return depth / (depth + (1 - depth) * 2.0**octaves)


def border_ramp(width: int, reach: float, device: torch.device | None = None) -> Tensor:
    """``[W]``: by what to multiply parallax so that it fades to nothing within ``reach`` pixels of either side, smoothly."""
    column = torch.arange(width, dtype=torch.float32, device=device)
    near = (torch.minimum(column, width - 1 - column) / max(reach, 1e-6)).clamp(max=1)
    return near * near * (3 - 2 * near)
