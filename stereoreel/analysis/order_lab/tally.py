"""The measures of the orders, and the figures of one order, frame by frame."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import torch
from torch import Tensor

from ..depth_metrics import flow_consistency
from ..metrics import gradient_energy, warping_error
from .measures import edge_alignment, eye_difference, lasting_detail, relief
from .reference import Position, Reference
from .runs import Seen

LEVELS = 255
STILL = 0.01  # minimum still fraction of the frame for measuring temporal stability


class Measure(NamedTuple):
    """One measure; ``better`` is 1 for more, -1 for less, 0 if it is only reported.

    A difference below ``floor`` is too small to see.
    """

    name: str
    unit: str
    better: int
    floor: float
    text: str


MEASURES = (
    Measure("flicker", "levels", -1, 0.05, "change from frame to frame along the source's motion"),
    Measure("static flicker", "levels", 0, 0.05, "change where the source stands still"),
    Measure("sharpness", "levels", 1, 0.1, "gradients that are still there one source frame later"),
    Measure("gradients", "levels", 0, 0.1, "all gradients, including those of noise"),
    Measure("edge distance", "px", -1, 0.1, "distance of depth edges from image edges"),
    Measure("edges near", "%", 0, 1, "share of depth edges within 2 pixels of an image edge"),
    Measure("depth edges", "%", 0, 0.1, "share of pixels on a depth edge"),
    Measure(
        "parallax jitter", "px", -1, 0.02, "change of parallax from frame to frame along the source's motion"
    ),
    Measure("relief", "px", 0, 0.5, "parallax between the farthest and the nearest 2 % of a frame"),
    Measure("holes", "%", 0, 0.05, "share of the right view that the source never showed"),
    Measure(
        "eye difference", "levels", -1, 0.05, "difference between the two views after matching by parallax"
    ),
)
BY_NAME = {measure.name: measure for measure in MEASURES}


class Tally:
    """Measure the frames of one order over one window.

    ``samples`` are its figures by name, one per measured frame or step. ``positions`` of the moments in the
    source are the same for every order, so that samples correspond one by one. ``percent`` is the divergence,
    the parallax of depth 1 in percent of the width. At most three frames are kept.
    """

    def __init__(self, reference: Reference, positions: Sequence[Position], percent: float):
        self.samples: dict[str, list[float]] = defaultdict(list)
        self._reference, self._positions, self._pixels = reference, positions, percent / 100 * reference.width
        self._last: Seen | None = None
        # fractions of the way from one source frame to the next for measuring sharpness
        self._phases = {0, _middle(positions)}
        self._earlier: dict[Fraction | int, tuple[Position, Tensor]] = {}  # the last frame at each of them
        self._sums: list[Tensor] = []
        self._count = 0

    def see(self, number: int, seen: Seen) -> None:
        """Take the frame of moment ``number``."""
        position = self._positions[number]
        self._add("holes", 100 * seen.holes.mean().item())
        self._add("relief", self._pixels * relief(seen.depth))
        self._add("eye difference", LEVELS * eye_difference(seen.left, seen.right, seen.parallax))
        if self._last is not None and (way := self._reference.between(self._positions[number - 1], position)):
            motion, visible = way[0][None], way[1][None]
            error = warping_error(torch.stack([self._last.left, seen.left]), motion, visible)
            self._add("flicker", LEVELS * math.sqrt(error))
            depths = torch.stack([self._last.depth, seen.depth])
            self._add("parallax jitter", self._pixels * flow_consistency(depths, motion, None, visible))
        self._last = seen
        earlier = self._earlier.get(position[1])
        if position[1] in self._phases and (earlier is None or earlier[0] != position):
            self._detail(position, seen.left)
            if not position[1]:
                self._whole(position[0], seen)

    def _detail(self, position: Position, left: Tensor) -> None:
        """Measure a frame's sharpness, and the part of it that recurs a source frame later."""
        self._add("gradients", LEVELS * gradient_energy(left[None]))
        if position[1] in self._earlier:
            before, shown = self._earlier[position[1]]
            if (moved := self._reference.between(before, position)) is not None:
                self._add("sharpness", LEVELS * lasting_detail(shown, left, *moved))
        self._earlier[position[1]] = position, left

    def _whole(self, frame: int, seen: Seen) -> None:
        """Measure what can be compared with a frame of the source."""
        away, near, edges = edge_alignment(seen.depth, self._reference.edge_distance(frame))
        self._add("edge distance", away)
        self._add("edges near", 100 * near)
        self._add("depth edges", 100 * edges)
        light = seen.left.double()
        parts = light, light.square()
        self._sums = [total + part for total, part in zip(self._sums, parts)] if self._sums else list(parts)
        self._count += 1

    def finish(self) -> dict[str, list[float]]:
        where = self._reference.still
        if self._count > 1 and where.float().mean() >= STILL:
            mean, square = (total[where] / self._count for total in self._sums)
            self._add("static flicker", LEVELS * (square - mean.square()).clamp(min=0).mean().sqrt().item())
        else:
            self._add("static flicker", math.nan)
        return {measure.name: self.samples[measure.name] for measure in MEASURES}

    def _add(self, name: str, value: float) -> None:
        self.samples[name].append(value)


def _middle(positions: Sequence[Position]) -> Fraction | int:
    """Return the fraction of the way between two source frames that is closest to one half."""
    return min((part for _, part in positions), key=lambda part: abs(part - Fraction(1, 2)))
