"""Strength of sensor-like noise."""

from __future__ import annotations

import math

import numpy as np
import torch

from ...core.clip import ClipInfo
from .finding import NOISY, Finding
from .windows import Window

PATCH = 7  # pixels
MOST = 30000  # patches of one frame
LOW, HIGH = 2.0, 253.0  # levels: a patch that touches them may be clipped
FEWEST = 3000  # patches, or a tenth of all: fewer do not determine the components
# the quantile of a normal distribution of the 0.999 of weak-textured patches that the threshold keeps
NORMAL = 3.0902
ROUNDS = 5
MIXED = 0.15  # share of excerpts on either side of the limit from which footage is mixed
APART = 1.5  # times the noise of the others that noisy excerpts of mixed footage have
VISIBLE, STRONG = 1.5, 6.0  # levels


class Noise:
    """Principal components of weak-textured patches (Liu, Tanaka and Okutomi, IEEE TIP 2013).

    One frame of every window is used. Weak-textured patches are those with gradients that noise alone can
    cause. Of their covariance, components without texture are selected by the rule of Chen, Zhu and Heng
    (ICCV 2015): the largest are dropped until mean and median agree.
    """

    def __init__(self) -> None:
        self.found: list[float] = []

    def add(self, window: Window) -> None:
        sigma = noise_level(window.noise[window.own :: 2])
        if not math.isnan(sigma):
            self.found.append(sigma)

    @property
    def sigma(self) -> float:
        return float(np.median(self.found)) if self.found else 0.0

    def findings(self, info: ClipInfo) -> dict[str, Finding]:
        if not self.found:
            return {
                "noise": Finding(
                    0.0,
                    "levels",
                    "The noise cannot be measured: every pixel is black or white.",
                    False,
                )
            }
        sigma = self.sigma
        meaning = (
            "clean"
            if sigma < VISIBLE
            else "visible noise"
            if sigma < STRONG
            else "strong noise, which most upscalers amplify"
        )
        return {
            "noise": Finding(
                sigma,
                "levels",
                f"The noise has a standard deviation of {sigma:.1f} levels of 255: {meaning}.",
            ),
            **self._mixed(),
        }

    def _mixed(self) -> dict[str, Finding]:
        """Return the share of noisy excerpts if the others are clearly cleaner, not all near the limit."""
        clean, noisy = ([one for one in self.found if (one >= NOISY) is dirty] for dirty in (False, True))
        share = len(noisy) / len(self.found)
        if not MIXED <= share <= 1 - MIXED or np.median(noisy) < APART * np.median(clean):
            return {}
        said = f"{len(noisy)} of {len(self.found)} excerpts are noisy, the others not."
        return {"noisy_excerpts": Finding(share, "", said)}


def noise_level(frames: np.ndarray) -> float:
    """Return the standard deviation of white noise in ``[T, H, W]``, in its levels.

    NaN if no patch is free of clipping.
    """
    patches, energy = _patches(frames)
    if len(patches) < 2 * PATCH * PATCH:
        return math.nan
    order, sigma = np.argsort(energy), _least(patches)
    fewest = max(2 * PATCH * PATCH, min(FEWEST, len(patches) // 10))
    for _ in range(ROUNDS):
        weak = int(np.searchsorted(energy[order], _threshold(sigma), side="right"))
        found = _least(patches[order[: max(weak, fewest)]])
        if abs(found - sigma) < 0.01 * sigma:
            return found
        sigma = found
    return sigma


def _patches(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return patches ``[N, 49]`` that are not clipped, and the energy of the gradients inside each."""
    count, height, width = frames.shape
    if min(height, width) < PATCH:
        return np.empty((0, PATCH * PATCH), np.float32), np.empty(0, np.float32)
    every = max(1, math.ceil(math.sqrt(count * (height - PATCH + 1) * (width - PATCH + 1) / MOST)))
    view = np.lib.stride_tricks.sliding_window_view(frames, (PATCH, PATCH), (1, 2))[:, ::every, ::every]
    patches = view.reshape(-1, PATCH, PATCH)
    patches = patches[(patches.min((1, 2)) > LOW) & (patches.max((1, 2)) < HIGH)]
    across, along = patches[:, :, 2:] - patches[:, :, :-2], patches[:, 2:] - patches[:, :-2]
    energy = np.square(across).sum((1, 2)) + np.square(along).sum((1, 2))
    return patches.reshape(len(patches), PATCH * PATCH), energy


def _least(patches: np.ndarray) -> float:
    """Return the square root of the mean eigenvalue after dropping the largest.

    They are dropped until mean and median agree.
    """
    centred = torch.from_numpy(patches - patches.mean(0))
    values = torch.linalg.eigvalsh((centred.T @ centred).double() / (len(patches) - 1)).numpy()[::-1]
    for dropped in range(len(values) - 1):
        remaining = values[dropped:]
        if remaining.mean() <= np.median(remaining):
            break
    return math.sqrt(max(0.0, float(remaining.mean())))


def _threshold(sigma: float) -> float:
    """Return the gradient energy that noise of ``sigma`` exceeds in one of a thousand flat patches.

    It is a quantile of a gamma distribution. Its trace and that of its square come from the operator, as in
    Liu et al.; the quantile by Wilson and Hilferty.
    """
    mean, square = _traces()
    freedom = mean * mean / square  # of a chi-square with the same mean and variance
    return sigma**2 * mean * (1 - 2 / (9 * freedom) + NORMAL * math.sqrt(2 / (9 * freedom))) ** 3


def _traces() -> tuple[float, float]:
    one = np.zeros((PATCH - 2, PATCH))
    one[range(PATCH - 2), range(PATCH - 2)], one[range(PATCH - 2), range(2, PATCH)] = -1, 1
    across, along = np.kron(np.eye(PATCH), one), np.kron(one, np.eye(PATCH))
    both = across.T @ across + along.T @ along
    return float(np.trace(both)), float(np.trace(both @ both))
