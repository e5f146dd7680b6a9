"""Visibility of block compression on the grid of 8x8 blocks that MPEG, JPEG, VC-1 and H.264 share."""

from __future__ import annotations

import math

import numpy as np

from ...core.clip import ClipInfo
from .finding import BLOCKY, Finding
from .windows import Window

BLOCK = 8  # pixels
BENT = 1.0  # levels: smaller second differences mean a flat area or a plain ramp
SMALL = 0.8  # levels: smaller orthonormal cosine coefficients count as zero
CHANCE = 0.012  # difference in the share of such coefficients that content alone causes
SURE = 0.006  # evidence at which a grid is as likely as not
LOST = 0.02  # weight of flatness relative to the grid: smooth images are flat even uncompressed
SOFT = 0.06
LIGHT, STRONG = 0.25, BLOCKY  # of the value, for the wording


class Blocks:
    """Blocking and flatness of blocks, combined as in Wang, Sheikh and Bovik, ICIP 2002.

    A coder leaves few frequencies in a block. So second differences vanish inside more often than across its
    edges, and this difference is the evidence of a grid. More cosine coefficients vanish on the true grid
    than on one half a block away, which survives deblocking. If there is a grid, the share of vanished second
    differences also counts a little: filters hide edges, not the loss. ``1 - exp(-(grid + 0.02 flat) /
    0.06)``: 0 uncompressed; x264 gives about 0.4 at crf 33 and 0.6 at crf 38 for animation, a face and
    synthetic scenes, and up to 0.2 more for smooth ray-traced images.
    """

    def __init__(self) -> None:
        # by axis, and column or row in its block
        self.flat, self.total = np.zeros((2, BLOCK)), np.zeros((2, BLOCK))
        self.more: list[float] = []

    def add(self, window: Window) -> None:
        for image in window.luma[window.own :: 2]:
            for axis, turned in enumerate((image, image.T)):
                bends = np.abs(turned[2:] - 2 * turned[1:-1] + turned[:-2]) < BENT
                for row in range(1, BLOCK + 1):
                    some = bends[row - 1 :: BLOCK]
                    self.flat[axis, row % BLOCK] += np.count_nonzero(some)
                    self.total[axis, row % BLOCK] += some.size
        for image in window.luma[window.own :: 4]:
            if min(image.shape) >= 3 * BLOCK:
                half = BLOCK // 2
                self.more.append(_zero_share(image) - _zero_share(image[half:-half, half:-half]))

    def findings(self, info: ClipInfo) -> dict[str, Finding]:
        if not self.more or not self.total.all():
            return {
                "blockiness": Finding(0.0, "0..1", "The frames are too small to detect blocks (0).", False)
            }
        shares = (self.flat / self.total).mean(0)
        # of the edge before each column: both second differences across it
        less = shares.mean() - (shares + np.roll(shares, 1)) / 2
        grid = max(0.0, float(less[0] - max(0.0, less[BLOCK // 2])))
        evidence = grid + max(0.0, float(np.mean(self.more)) - CHANCE)
        flat = float(shares.mean()) * evidence**2 / (evidence**2 + SURE**2)
        value = 1 - math.exp(-(grid + LOST * flat) / SOFT)
        meaning = (
            "no block compression shows" if value < 0.05 else "compression is light" if value < LIGHT
            else "compression removed detail and left some "
                 "blocks" if value < STRONG else "strong block compression, which an upscaler amplifies"
        )  # fmt: skip
        return {
            "blockiness": Finding(
                value, "0..1", f"Blockiness is {value:.2f} on a scale from 0 to 1: {meaning}."
            )
        }


def _zero_share(image: np.ndarray) -> float:
    """Return the share of cosine coefficients of 8x8 blocks that are nearly 0.

    The first row and column of each block are excluded.
    """
    height, width = (edge // BLOCK * BLOCK for edge in image.shape)
    blocks = image[:height, :width].reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK).swapaxes(1, 2)
    cosines = _cosines()
    return float((np.abs(cosines @ blocks @ cosines.T) < SMALL).mean())


def _cosines() -> np.ndarray:
    """Return the orthonormal cosine transform of a block without its constant, ``[7, 8]``."""
    steps = np.arange(BLOCK)
    return np.float32(math.sqrt(2 / BLOCK) * np.cos(np.pi * (2 * steps + 1) * steps[1:, None] / (2 * BLOCK)))
