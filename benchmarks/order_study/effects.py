"""Significance of differences: means over scenes with bootstrap intervals, equal for equal seeds."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 4000
LEVEL = 0.95


@dataclass(frozen=True)
class Effect:
    """A mean and its confidence interval, over ``count`` scenes."""

    mean: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return self.format()

    def format(self, digits: int = 2, unit: str = "") -> str:
        return f"{self.mean:+.{digits}f}{unit} [{self.low:+.{digits}f}, {self.high:+.{digits}f}]"


def mean_effect(
    values: Sequence[float], seed: int = 0, name: str = "", resamples: int = RESAMPLES, level: float = LEVEL
) -> Effect:
    """Return the mean of one value per scene, with an expanded percentile bootstrap interval.

    Plain percentile intervals of few values are too narrow. Here the percentiles are those at which the
    interval of a normal mean has Student's width (Hesterberg, "What teachers should know about the
    bootstrap", 2015). Values that are not finite are left out. The interval of a single value is unbounded.
    ``name`` gives different effects different random numbers.
    """
    kept = np.array([value for value in values if math.isfinite(value)], np.float64)
    count = len(kept)
    if count < 2:
        mean = float(kept.mean()) if count else math.nan
        return Effect(mean, -math.inf, math.inf, count)
    random = np.random.default_rng([seed, zlib.crc32(name.encode())])
    means = kept[random.integers(0, count, (resamples, count))].mean(1)
    tail = _normal_tail(math.sqrt(count / (count - 1)) * student(count - 1, (1 + level) / 2))
    low, high = np.quantile(means, [tail, 1 - tail])
    return Effect(float(kept.mean()), float(low), float(high), count)


def student(freedom: int, share: float) -> float:
    """Return the quantile of Student's t.

    It is a sum over ``t = sqrt(n) tan(angle)``, which has the density ``cos(angle) ** (n - 1)``.
    """
    angle = np.linspace(-math.pi / 2, math.pi / 2, 20001)
    density = np.cos(angle).clip(0) ** (freedom - 1)
    steps = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return math.sqrt(freedom) * math.tan(float(np.interp(share, steps / steps[-1], angle)))


def _normal_tail(z: float) -> float:
    return 0.5 * math.erfc(z / math.sqrt(2))
