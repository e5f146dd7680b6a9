"""Confidence of the figures: means and differences with bootstrap intervals over places and moments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

RESAMPLES = 2000
BLOCK = 4  # neighbouring moments are similar: they are drawn together
SAYS, WINS = 0.95, 0.99  # the share of resamples within a mean's interval, and that a win must survive
Samples = Sequence[Sequence[float]]  # by place, by moment


class Mean(NamedTuple):
    mean: float
    low: float
    high: float


def mean(samples: Samples, seed: int, level: float = SAYS) -> Mean:
    """Return the mean of all moments, with a percentile interval of ``level``; NaN without moments.

    Places are drawn with replacement, and within each of them blocks of ``BLOCK`` neighbouring moments
    (circular block bootstrap of Politis & Romano, 1992, in two stages as in Davison & Hinkley, "Bootstrap
    methods", 1997). Moments that are NaN are left out.
    """
    lengths = tuple(map(len, samples))
    values = np.array([value for place in samples for value in place], np.float64)
    known = np.isfinite(values)
    if not known.any():
        return Mean(math.nan, math.nan, math.nan)
    draws = _draws(lengths, seed)
    counted = draws @ known
    means = (draws @ np.where(known, values, 0))[counted > 0] / counted[counted > 0]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Mean(float(values[known].mean()), float(low), float(high))


def difference(one: Samples, other: Samples, seed: int, level: float = WINS) -> Mean:
    """Return by how much one order's figures exceed another's at the same moments."""
    return mean([[a - b for a, b in zip(*pair)] for pair in zip(one, other)], seed, level)


@lru_cache(32)
def _draws(lengths: tuple[int, ...], seed: int) -> np.ndarray:
    """Return how often each sample is drawn: ``[RESAMPLES, samples]``."""
    random = np.random.default_rng([seed, *lengths])
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(int)
    draws = np.zeros((RESAMPLES, starts[-1]))
    filled = [place for place, length in enumerate(lengths) if length]
    for drawn in random.choice(filled, (len(filled), RESAMPLES)):
        for place in filled:
            rows, length = np.flatnonzero(drawn == place), lengths[place]
            begins = random.integers(0, length, (len(rows), -(-length // BLOCK)))
            taken = (begins[..., None] + np.arange(BLOCK)).reshape(len(rows), -1)[:, :length] % length
            np.add.at(draws, (rows[:, None], starts[place] + taken), 1)
    return draws
