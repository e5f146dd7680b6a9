"""Repeated frames, and the rate of the material without them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from ...core.clip import ClipInfo
from ...image.flow import SMALLEST, warp
from .finding import Finding
from .motion import MOVES
from .windows import Window

BLOCK = 8  # pixels of the reduced frame
ALIKE = 0.2  # of the usual change: a repeat changes less, which allows for coding noise
EXACT = 1e-3  # levels: nothing changed at all
FOLLOWED = 0.75  # largest residual of a change that motion explains, noise aside
# levels by which a frame's mean, or its most changed blocks, must change without motion
LIGHT, NEW = 0.3, 25.0
PERIODS = range(2, 31)  # of a cadence, in frames
STRAY = 0.05  # largest share of pairs that may violate it


class Repeats:
    """Pairs of frames that change far less than usual in their window.

    The change is that of the most changed blocks, like ``mpdecimate``. Usual is the median of the pairs with
    a change; a window without any is a still image and does not count.
    """

    def __init__(self) -> None:
        self.pairs: dict[int, bool] = {}  # by the number of the second frame
        self.still = self.exact = 0

    def add(self, window: Window) -> list[bool]:
        """Return for every frame but the first whether it repeats the previous one.

        A frame that could not be decoded does, but is not evidence about the film.
        """
        changes = [_change(a, b) for a, b in zip(window.small, window.small[1:])]
        pairs = zip(changes, window.small, window.small[1:], window.motion)
        moving = [change for change, *pair in pairs if change > EXACT and _happens(change, *pair)]
        if not moving:
            decoded = [
                change
                for number, change in enumerate(changes, window.start + 1)
                if number not in window.repeated
            ]
            self.still += len(decoded)
            self.exact += sum(change <= EXACT for change in decoded)
            return [False] * len(changes)
        usual = float(np.median(moving))
        repeats = [change <= max(EXACT, ALIKE * usual) for change in changes]
        self.pairs.update(
            (number, repeat)
            for number, repeat in enumerate(repeats, window.start + 1)
            if number not in window.repeated
        )
        return repeats

    def findings(self, info: ClipInfo) -> dict[str, Finding]:
        if not self.pairs:
            if not self.still:
                return {
                    "duplicates": Finding(
                        0.0, "share of frames", "One frame is too few to find repeated frames.", False
                    )
                }
            equal = "exactly equal" if self.exact == self.still else "equal except for noise"
            text = (
                f"Nothing moves in the {self.still} pairs of frames sampled ({equal}): a "
                "still image, not counted as repeats."
            )
            return {"duplicates": Finding(0.0, "share of frames", text, False)}
        share, period = self._cadence()
        if not share:
            text = f"0 % of the frames repeat the previous one: {float(info.fps):.5g} new frames per second."
            return {"duplicates": Finding(0.0, "share of frames", text)}
        rate = float(info.fps * (1 - share))
        every = f", {share.numerator * period // share.denominator} of every {period}" if period else ""
        meaning = f"the true rate is {rate:.5g} fps, not {float(info.fps):.5g}"
        text = f"{100 * float(share):.0f} % of the frames repeat the previous one{every}: {meaning}."
        return {"duplicates": Finding(float(share), "share of frames", text)}

    def _cadence(self) -> tuple[Fraction, int]:
        """Return the share of repeats, and the shortest period of a pattern that explains them (0 for none).

        Each position of the pattern must occur twice.
        """
        for period in PERIODS:
            places: dict[int, list[bool]] = {}
            for number, repeat in self.pairs.items():
                places.setdefault(number % period, []).append(repeat)
            repeated = sum(2 * sum(seen) > len(seen) for seen in places.values())
            stray = sum(min(sum(seen), len(seen) - sum(seen)) for seen in places.values())
            enough = len(places) == period and min(map(len, places.values())) > 1
            if enough and 0 < repeated < period and stray <= STRAY * len(self.pairs):
                return Fraction(repeated, period), period
        return Fraction(sum(self.pairs.values()), len(self.pairs)), 0


def _happens(change: float, first: np.ndarray, second: np.ndarray, flow: np.ndarray) -> bool:
    """Whether a pair of frames shows a change that is not noise."""
    if change > NEW or abs(float(second.mean() - first.mean())) > LIGHT:
        return True
    if min(first.shape) < SMALLEST or np.percentile(np.hypot(flow[..., 0], flow[..., 1]), 98) < MOVES:
        return False
    return _change(first, warp(second, flow)) < FOLLOWED * change


def _change(first: np.ndarray, second: np.ndarray) -> float:
    """Return the mean difference of the fiftieth of the blocks that differ most, in levels."""
    import cv2

    height, width = first.shape
    size = max(1, width // BLOCK), max(1, height // BLOCK)
    blocks = np.sort(cv2.resize(np.abs(first - second), size, interpolation=cv2.INTER_AREA), axis=None)
    return float(blocks[-max(1, blocks.size // 50) :].mean())
