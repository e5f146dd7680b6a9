"""Flicker: changes of brightness and texture from frame to frame that motion does not explain."""

from __future__ import annotations

import numpy as np

from ...core.clip import ClipInfo
from ...image.flow import SMALLEST, warp
from .finding import Finding
from .windows import Window

SMOOTH = 1.5  # pixels of the reduced frame: finer changes are noise and compensation errors
BLOCK = 8
VISIBLE = 1.0  # levels


class Flicker:
    """Residual of motion compensation (warping error, Lai et al., ECCV 2018), smoothed, in two parts.

    Smoothing reduces noise. ``global``: its median over the frame, less its usual drift in the window (a fade
    is not flicker). ``texture``: the median over blocks of its root mean square, which a few occlusions and
    motion errors do not affect. Noise is subtracted by its share that passes the smoothing.
    """

    def __init__(self) -> None:
        self.pumping: list[float] = []
        self.texture: list[float] = []
        self.scale = 1.0

    def add(self, window: Window, cuts: list[bool], repeats: list[bool]) -> None:
        shifts, self.scale = [], window.scale
        if min(window.small.shape[1:]) < SMALLEST:
            return
        for index, (flow, back) in enumerate(zip(window.motion, window.back)):
            if cuts[index] or repeats[index]:
                continue
            left, seen = _residual(window.small[index], window.small[index + 1], flow, back)
            if seen.mean() < 0.2:
                continue
            shifts.append(float(np.median(left[seen])))
            self.texture.append(_typical(left - shifts[-1], seen))
        if len(shifts) > 2:
            self.pumping += list(np.square(np.array(shifts) - np.median(shifts)))

    def findings(self, info: ClipInfo, noise: float) -> dict[str, Finding]:
        if not self.texture:
            return {
                "flicker": Finding(
                    0.0, "levels", "Flicker cannot be measured: too few consecutive frames.", False
                )
            }
        left = 2 * (noise * min(1.0, self.scale)) ** 2 * _passed()
        texture = max(0.0, float(np.mean(np.square(self.texture))) - left)
        pumping = float(np.mean(self.pumping)) if self.pumping else 0.0
        value = (texture + pumping) ** 0.5
        parts = (
            f"Without motion, pixels change by {value:.1f} of 255 levels from frame to frame (brightness "
            f"{pumping**0.5:.1f}, texture {texture**0.5:.1f})"
        )
        meaning = (
            "temporally stable"
            if value < VISIBLE
            else "it flickers; stabilise it before depth and interpolation"
        )
        return {"flicker": Finding(value, "levels", f"{parts}: {meaning}.")}


def _residual(
    first: np.ndarray, second: np.ndarray, flow: np.ndarray, back: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the smoothed difference of the warped second frame from the first, and a visibility mask.

    The mask is true where both show the same point.
    """
    import cv2

    left = cv2.GaussianBlur(warp(second, flow) - first, (0, 0), SMOOTH)
    seen = np.abs(flow + warp(back, flow, cubic=False)).max(-1) < 0.5
    return left, cv2.erode(seen.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)


def _typical(left: np.ndarray, seen: np.ndarray) -> float:
    height, width = (edge // BLOCK * BLOCK for edge in left.shape)
    blocks = [
        part[:height, :width]
        .reshape(height // BLOCK, BLOCK, -1, BLOCK)
        .swapaxes(1, 2)
        .reshape(-1, BLOCK * BLOCK)
        for part in (left, seen)
    ]
    inside = blocks[1].mean(1) > 0.9
    if not inside.any():
        return 0.0
    return float(np.median(np.square(blocks[0][inside]).mean(1)) ** 0.5)


def _passed() -> float:
    """Return the share of white noise's variance that passes the smoothing."""
    return 1 / (4 * np.pi * SMOOTH**2)
