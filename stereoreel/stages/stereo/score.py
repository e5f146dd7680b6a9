"""Score a stereo pair's comfort from 0 to 100, and say what costs most.

The score and the verdicts agree: it is 80 to 100 if all four things are safe, 60 to 79 if at least one is
borderline, and below 60 if at least one is unsafe. Within that, each thing takes its share, little at first
and then more and more, as discomfort does in P. Howarth and P. Underwood, "The impact of viewing stereoscopic
displays on the visual system", 2011:

- parallax in front of the screen, and behind it, against one degree, within which it is of minor importance
  (Lambooij et al., "Visual discomfort and visual fatigue of stereoscopic displays: a review", 2009), and
  behind it also against the distance between the eyes. The same angle strains more on a farther screen;
  behind it is worse on a far screen, and in front of it on a near one (Shibata et al., "The zone of comfort:
  predicting visual discomfort with stereo displays", 2011)
- objects in front of the screen that its sides cut off
- jumps of the middle of the picture at cuts, because fast changes of vergence strain more than slow ones
  (Kim, Kane and Banks, "The rate of change of vergence-accommodation conflict affects visual discomfort",
  2014)

The directions are those of the studies; how much each counts is set here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from . import StereoOptions
from .comfort import BY_HAND, COMFORT, STRENGTHS, Screen

SAFE, BORDERLINE, UNSAFE = "safe", "borderline", "unsafe"
ENDS = (0.01, 0.99)  # percentiles of a frame's parallax that count as its ends
WORST = 0.05  # of the frames, or cuts: their mean is the strain of a film
SAMPLES = 1 << 14  # pixels of a frame that are sorted
NEAR, DISTANT = 400.0, 10000.0  # mm: the screens that Shibata et al. compared
# of the limit: up to where a thing is safe, and borderline
FIRM = {"crossed": (0.75, 1.0), "uncrossed": (0.75, 1.0), "window": (0.1, 0.3), "change": (0.75, 1.0)}
# the scores of the worst verdict, from its least to the next one's
BANDS = {SAFE: (80, 100), BORDERLINE: (60, 80), UNSAFE: (0, 60)}
RULE = "80 to 100: all is safe. 60 to 79: something is borderline. Below 60: something is unsafe."
FAR_BEYOND = 1.5  # of the limit: strain that costs half of the scores of unsafe
STEEPNESS = 4  # of the cost over the strain
ROUNDING = 1e-3  # of a limit, at which Stereo's own limit stops
NAMES = {
    "crossed": "parallax in front of the screen",
    "uncrossed": "parallax behind the screen",
    "window": "objects that the sides cut off in front of the screen",
    "change": "jumps of depth at cuts",
}


class Moment(NamedTuple):
    """A frame's parallax, in fractions of the width: far and near end, middle, and that cut off at a side."""

    frame: int
    far: float
    middle: float
    near: float
    border: float


def moment(frame: int, parallax: Tensor, borders: Tensor, width: int) -> Moment:
    """Return what counts of a frame's parallax ``[H, W]`` (NaN: unknown) and border violations, in pixels.

    ``width`` is that of the frame, bars included.
    """
    known = parallax[~parallax.isnan()]
    if not known.numel():
        return Moment(frame, 0.0, 0.0, 0.0, 0.0)
    seen = known[:: max(1, known.numel() // SAMPLES)].sort().values / width
    far, middle, near = (float(seen[round(share * (len(seen) - 1))]) for share in (ENDS[0], 0.5, ENDS[1]))
    return Moment(frame, far, middle, near, float(borders.max()) / width)


@dataclass(frozen=True)
class Score:
    """The strain of each thing as a fraction of its limit, and its weight on this screen."""

    strains: Mapping[str, float]
    weights: Mapping[str, float]

    @property
    def exact(self) -> float:
        """The score, 0 to 100, before rounding."""
        low, high = BANDS[self.overall]
        return low + (high - low) * math.prod(1 - cost for cost in self.costs.values())

    @property
    def points(self) -> int:
        """The score as a whole number, of the same verdict."""
        return min(round(self.exact), 100 if self.overall == SAFE else BANDS[self.overall][1] - 1)

    @property
    def costs(self) -> dict[str, float]:
        """The share of what the worst verdict leaves that each thing takes: half at that verdict's end."""
        return {name: self._cost(name, strain * self.weights[name]) for name, strain in self.strains.items()}

    def _cost(self, name: str, strain: float) -> float:
        firm, limit = FIRM[name]
        end = {SAFE: firm, BORDERLINE: limit, UNSAFE: FAR_BEYOND * limit}[self.overall]
        power = (strain / end) ** STEEPNESS
        return power / (power + 1)

    def verdict(self, name: str) -> str:
        """Return safe, borderline or unsafe."""
        (firm, limit), strain = FIRM[name], self.strains[name]
        return SAFE if strain <= firm else BORDERLINE if strain <= limit + ROUNDING else UNSAFE

    @property
    def overall(self) -> str:
        """The worst of the verdicts."""
        return max((self.verdict(name) for name in self.strains), key=[*BANDS].index)

    @property
    def worst(self) -> str:
        """The name of what costs most, one of the worst verdict; empty if nothing costs a point."""
        if self.points == 100:
            return ""
        costs = self.costs
        return max((name for name in costs if self.verdict(name) == self.overall), key=costs.__getitem__)

    def advice(self, options: StereoOptions | None) -> str:
        """Say what costs most and what to set instead; ``options`` are those of Stereo, None if unknown."""
        if not (name := self.worst):
            return "Nothing about it costs a point."
        safe = ", within what is safe" if self.verdict(name) == SAFE else ""
        return f"What costs most: {NAMES[name]}{safe}. {_remedy(name, self.strains, options)}"

    def text(self) -> str:
        """Return the score and the verdicts in a line."""
        verdicts = (f"{name} {self.verdict(name)}" for name in self.strains)
        return f"Comfort score {self.points} of 100, {self.overall}: {', '.join(verdicts)}."

    def figures(self) -> dict:
        """Return it for JSON."""
        return {
            "points": self.points,
            "verdict": self.overall,
            **{
                name: {"of_limit": strain, "verdict": self.verdict(name)}
                for name, strain in self.strains.items()
            },
        }


def score(moments: Sequence[Moment], cuts: Iterable[int], screen: Screen) -> Score:
    """Return the score of a film by these frames of it; cuts count where both of their frames are there."""
    far, near = _weights(screen)
    strains = {
        "crossed": _most(max(0.0, one.near) / screen.front for one in moments),
        "uncrossed": _most(max(0.0, -one.far) / screen.behind for one in moments),
        "window": sum(one.border for one in moments) / max(1, len(moments)) / screen.front,
        "change": _most(map(abs, jumps(moments, cuts, screen).values())) / COMFORT,
    }
    return Score(strains, {"crossed": near, "uncrossed": far, "window": 1.0, "change": 1.0})


def jumps(moments: Sequence[Moment], cuts: Iterable[int], screen: Screen) -> dict[int, float]:
    """Return by how many degrees the middle of the picture comes nearer at each cut."""
    degrees = {one.frame: screen.degrees(one.middle * screen.width) for one in moments}
    return {cut: degrees[cut] - degrees[cut - 1] for cut in cuts if cut in degrees and cut - 1 in degrees}


def _remedy(name: str, strains: Mapping[str, float], options: StereoOptions | None) -> str:
    """Return a sentence about what to set for less of this strain."""
    if options and name == "window" and not options.floating_window and not options.border:
        return "Switch Stereo's floating_window on."
    if options and options.strength != BY_HAND:
        weaker = [one for one, degrees in STRENGTHS.items() if degrees < STRENGTHS[options.strength]]
        return f"Set Stereo's strength to {weaker[-1]}." if weaker else "Edit the shot in Stereo's plan."
    if name == "change":
        return "Stereo's strength eases cuts: set it to normal." if options else "Ease them in the edit."
    other = strains["uncrossed" if name == "crossed" else "crossed"]
    if options and name != "window" and options.convergence_mode == "fixed" and other < strains[name] / 2:
        return f"Set Stereo's convergence {'higher' if name == 'crossed' else 'lower'}, or its mode to auto."
    part = min(0.99, FIRM[name][0] / strains[name])
    if options:
        return f"Set Stereo's divergence to {options.divergence * part:.1f}, or its strength to normal."
    return f"Reduce the parallax to about {math.floor(100 * part)} % of what it is."


def _weights(screen: Screen) -> tuple[float, float]:
    """Return how much parallax behind and in front of a screen counts at its distance."""
    distance = math.log(screen.distance / NEAR) / math.log(DISTANT / NEAR)
    away = min(1.0, max(0.0, distance))
    return 0.95 + 0.15 * away, 1.0 + 0.05 * away


def _most(values: Iterable[float]) -> float:
    """Return the mean of the largest values, at least of one."""
    ordered = sorted(values, reverse=True)
    worst = ordered[: math.ceil(WORST * len(ordered))]
    return sum(worst) / len(worst) if worst else 0.0
