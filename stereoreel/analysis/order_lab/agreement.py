"""Where orders contradict each other about depth: near and far reversed, or another scale."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from statistics import median
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .runs import Window
from .statistics import Samples

SIDE = 48  # pixels of the longer side at which depth maps are compared
FLAT = 0.01  # standard deviation, in depth, below which a map has neither near nor far
REVERSED = -0.2  # correlation of two maps below which near and far are swapped
ENOUGH = 0.25  # of an excerpt's frames that are reversed, until the excerpt counts
DEEPER = 2.0  # times the relief of another order that counts as another scale

Pair = tuple[str, str]


class Flip(NamedTuple):
    """Excerpts at which two orders contradict each other.

    ``deeper`` is how many times the relief of the first order is that of the second; None if near and far
    are reversed.
    """

    orders: Pair
    places: tuple[Window, ...]
    deeper: float | None = None


class Agreement:
    """Compare the depth maps of all orders, excerpt by excerpt, at the same moments."""

    def __init__(self, orders: Sequence[str]):
        self.orders = orders
        self.correlations: dict[Pair, list[list[float]]] = defaultdict(list)  # by excerpt, by moment
        self._maps: dict[str, dict[int, Tensor]] = {name: {} for name in orders}

    def see(self, order: str, moment: int, depth: Tensor) -> None:
        """Take an order's depth ``[H, W]`` of one moment of the current excerpt."""
        self._maps[order][moment] = _normalised(depth)

    def finish(self) -> None:
        """Compare the maps of the excerpt, and forget them."""
        for pair in combinations(self.orders, 2):
            one, other = (self._maps[name] for name in pair)
            found = [float((one[at] * other[at]).mean()) for at in sorted(one.keys() & other.keys())]
            self.correlations[pair].append([value for value in found if value == value])
        for maps in self._maps.values():
            maps.clear()

    def reversed(self, places: Sequence[Window]) -> Iterator[Flip]:
        """Yield the pairs of orders of which one has near and far swapped at some of the excerpts."""
        for pair, by_place in self.correlations.items():
            swapped = [
                place for place, values in zip(places, by_place)
                if values and sum(value < REVERSED for value in values) >= ENOUGH * len(values)
            ]  # fmt: skip
            if swapped:
                yield Flip(pair, tuple(swapped))

    def figures(self) -> list[dict]:
        """Return the mean correlation of each pair of orders at each excerpt, for JSON."""
        return [
            {
                "pair": list(pair),
                "correlation": [sum(values) / len(values) if values else None for values in by_place],
            }
            for pair, by_place in self.correlations.items()
        ]


def scales(relief: Mapping[str, Samples], places: Sequence[Window]) -> Iterator[Flip]:
    """Yield the pairs of orders of which one sees much more relief at some excerpts, the deeper one first."""
    medians = {
        name: [median(values) if values else 0.0 for values in found] for name, found in relief.items()
    }
    for pair in combinations(relief, 2):
        for one, other in (pair, pair[::-1]):
            ratios = [
                (place, mine / theirs)
                for place, mine, theirs in zip(places, medians[one], medians[other])
                if theirs > 0 and mine >= DEEPER * theirs
            ]
            if ratios:
                yield Flip((one, other), tuple(place for place, _ in ratios), median(r for _, r in ratios))


def _normalised(depth: Tensor) -> Tensor:
    """A small depth map of mean 0 and variance 1; NaN if it is flat."""
    scale = min(1.0, SIDE / max(depth.shape))
    height, width = (max(1, round(edge * scale)) for edge in depth.shape)
    small = F.adaptive_avg_pool2d(depth[None].double(), (height, width))[0]
    spread = small.std(correction=0)
    return (small - small.mean()) / (spread if spread >= FLAT else torch.nan)
