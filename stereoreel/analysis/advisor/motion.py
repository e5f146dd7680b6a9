"""Motion from frame to frame, and frequency of cuts."""

from __future__ import annotations

import numpy as np

from ...core.clip import ClipInfo
from ...image.cut_detection import LONG_SIDE, CutDetector
from ...image.flow import SMALLEST
from .finding import Finding
from .windows import Window

# pixels of the reduced frame: least motion of the fastest fiftieth of a frame for a pair of frames to count
# as moving
MOVES = 0.1
CALM, FAST = 0.5, 16.0  # pixels per frame, for the wording
ENOUGH = 30.0  # seconds of film for a reliable number of cuts


class Motion:
    """Length of optical flow (dense inverse search, Kroeger et al., ECCV 2016) within shots.

    Repeated frames are skipped. Measured on frames of at most 480 pixels and given in the clip's own pixels.
    """

    def __init__(self) -> None:
        self.typical: list[float] = []
        self.large: list[float] = []

    def add(self, window: Window, cuts: list[bool], repeats: list[bool]) -> None:
        for flow, cut, repeat in zip(window.motion, cuts, repeats):
            if not cut and not repeat:
                typical, large = np.percentile(np.hypot(flow[..., 0], flow[..., 1]), (50, 95)) / window.scale
                self.typical.append(float(typical))
                self.large.append(float(large))

    def findings(self, info: ClipInfo) -> dict[str, Finding]:
        if not self.typical or min(info.width, info.height) < SMALLEST:
            why = (
                f"frames below {SMALLEST} pixels"
                if min(info.width, info.height) < SMALLEST
                else "non-consecutive frames"
            )
            text = f"Motion cannot be measured on {why}; 0 is assumed."
            return {
                "motion": Finding(0.0, "pixels a frame", text, False),
                "large_motion": Finding(0.0, "pixels a frame", text, False),
            }
        typical, large = float(np.median(self.typical)), float(np.percentile(self.large, 95))
        word = "calm" if large < CALM else "fast" if large > FAST else "moderate"
        moves = f"Half of the pixels move by {typical:.1f} pixels or more from frame to frame"
        meaning = {
            "calm": "interpolation is easy and gains little",
            "moderate": "well within reach of interpolation",
            "fast": "interpolation gains much, and is hard for motion this large",
        }[word]
        return {
            "motion": Finding(typical, "pixels a frame", f"{moves}."),
            "large_motion": Finding(
                large,
                "pixels a frame",
                f"The fastest parts move by about {large:.1f} pixels a frame: {meaning}.",
            ),
        }


class Cuts:
    """The number of cuts, by the pack's own detector on pairs of sampled frames, or as known to the clip."""

    def __init__(self) -> None:
        self.pairs = self.found = 0

    def add(self, window: Window) -> list[bool]:
        """Return for every frame but the first whether it begins a shot."""
        detector = CutDetector()
        cuts = [detector.feed(_thumbnail(gray)) for gray in window.gray][1:]
        self.pairs += len(cuts)
        self.found += sum(cuts)
        return cuts

    def findings(self, info: ClipInfo, known: bool) -> dict[str, Finding]:
        minutes = max(float(info.duration), 1e-9) / 60
        if known:
            count = len(info.cuts)
            return {
                "cuts": Finding(
                    count / minutes,
                    "a minute",
                    f"The clip has {count} {_cuts(count)}, {count / minutes:.1f} a minute.",
                )
            }
        seconds = self.pairs / float(info.fps)
        if not self.pairs:
            return {"cuts": Finding(0.0, "a minute", "One frame is too few to find cuts.", False)}
        rate, sure = 60 * self.found / seconds, seconds >= ENOUGH or self.pairs >= info.frames - 1
        text = (
            f"{self.found} {_cuts(self.found)} in the {seconds:.1f} seconds sampled, about {rate:.1f} a "
            "minute"
        )
        return {
            "cuts": Finding(
                rate, "a minute", text + ("." if sure else "; cuts between the samples are not seen."), sure
            )
        }


def _cuts(count: int) -> str:
    return "cut" if count == 1 else "cuts"


def _thumbnail(gray: np.ndarray) -> np.ndarray:
    import cv2

    shrink = LONG_SIDE / max(gray.shape)
    if shrink >= 1:
        return gray
    size = tuple(max(1, round(edge * shrink)) for edge in gray.shape[::-1])
    return cv2.resize(gray, size, interpolation=cv2.INTER_AREA)
