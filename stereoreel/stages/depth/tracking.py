"""Track depth of a shot at working size: measure it from motion, warp it along, complete it by layout."""

from __future__ import annotations

import numpy as np
import torch

from ...image import flow
from .edges import guided
from .evidence import GAP, PARALLAX, Evidence, Flows, Picture, judge, motion_at, nothing, weighted_percentiles
from .prior import layout
from .windows import match


class ShotDepth:
    """Temporal state of one shot: ``add`` takes frames; ``next`` returns depth in order, any number later."""

    def __init__(self, smoothing: float, near_ground: float):
        self._keep, self._calm, self._near_ground = 0.6 + 0.38 * smoothing, 0.9 * smoothing, near_ground
        self._flows = Flows()
        self._added = self._index = 0
        # depth, its weight, independent motion, and the last output, each [h, w]
        self._state: dict[str, np.ndarray] = {}
        self._travels = 0.0
        self._way: np.ndarray | None = None

    def add(self, picture: Picture) -> None:
        self._flows.pictures[self._added] = picture
        self._added += 1

    def next(self) -> np.ndarray:
        """Return nearness ``[h, w]`` of the next frame; its scale is constant in the shot but not 0..1."""
        color = self._flows.pictures[self._index].color
        carried = self._carry()
        guess = layout(color, self._near_ground, carried.get("alone"))
        evidence = self._believe(self._measure(guess))
        state = fuse(evidence, carried, self._keep)
        if not carried:  # later frames take independent motion from the previous frame
            guess = layout(color, self._near_ground, state["alone"])
        depth = complete(state["depth"], state["weight"], guess, color)
        if carried:
            calm = self._calm * carried["valid"]
            depth = calm * carried["shown"] + (1 - calm) * depth
        self._state = {**state, "shown": depth}
        self._index += 1
        self._flows.forget(self._index - GAP)
        return depth

    def _carry(self) -> dict[str, np.ndarray]:
        """Return the state, warped to the current frame; ``valid`` is the confidence of each pixel."""
        if not self._state:
            return {}
        motion = self._flows(self._index, self._index - 1)
        moved = {name: flow.warp(values, motion, cubic=False) for name, values in self._state.items()}
        moved["valid"] = self._flows.agreement(self._index, self._index - 1)
        moved["weight"] = moved["weight"] * moved["valid"]
        return moved

    def _measure(self, guess: np.ndarray) -> Evidence:
        if self._added < 2:
            return nothing(guess.shape)
        last, way = self._added - 1, self._way
        # the sign is most reliable at the middle of the available frames
        if self._index == 0 and last >= 2:
            way = judge(motion_at(self._flows, last // 2, last, 2 * PARALLAX), None, guess).travel
        return judge(motion_at(self._flows, self._index, last), way, guess)

    def _believe(self, evidence: Evidence) -> Evidence:
        """Reduce trust while travel is new or doubtful: a brief apparent travel is ignored."""
        self._travels = evidence.travels if self._index == 0 else 0.8 * self._travels + 0.2 * evidence.travels
        sure = float(np.clip((self._travels - 0.4) / 0.4, 0, 1))
        self._way = evidence.travel if sure > 0 else None
        return evidence._replace(trust=evidence.trust * min(sure, evidence.travels))


def fuse(evidence: Evidence, carried: dict[str, np.ndarray], keep: float) -> dict[str, np.ndarray]:
    """Blend the warped estimate and the new evidence by weight, after fitting the evidence's scale."""
    if not carried:
        return {"depth": evidence.depth, "weight": evidence.trust, "alone": evidence.alone}
    both = (evidence.trust[::3, ::3] > 0.2) & (carried["weight"][::3, ::3] > 0.2)
    depth = evidence.depth
    if both.sum() > 100:
        scale, shift = map(
            float, match(*(torch.from_numpy(part[::3, ::3][both]) for part in (depth, carried["depth"])))
        )
        depth = depth * scale + shift
    old = keep * carried["weight"]
    weight = old + evidence.trust
    fused = (old * carried["depth"] + evidence.trust * depth) / (weight + 1e-6)
    low, high = weighted_percentiles(fused, weight, (0.03, 0.97))
    low, high = 0.05 * low, 1 + 0.05 * (high - 1)  # the scale returns slowly to 0..1
    alone = np.maximum(0.985 * carried["alone"] * carried["valid"], evidence.alone)
    return {"depth": (fused - low) / (high - low), "weight": weight, "alone": alone}


def complete(depth: np.ndarray, weight: np.ndarray, guess: np.ndarray, color: np.ndarray) -> np.ndarray:
    """Return depth everywhere: from motion, or else from the guess, fitted to it; edges follow ``color``."""
    guess = bend(guess, depth, weight)
    for reach, base in ((max(depth.shape) // 32, 0.05), (max(depth.shape) // 128, 0.3)):
        guess = guess + blur(weight * (depth - guess), reach) / blur(weight + base, reach)
    filled = (weight * depth + 0.3 * guess) / (weight + 0.3)
    return guided(filled[..., None], color, max(1, max(depth.shape) // 100), 1e-4)[..., 0]


def blur(image: np.ndarray, reach: int) -> np.ndarray:
    import cv2

    return cv2.blur(image.astype(np.float32), (2 * reach + 1,) * 2, borderType=cv2.BORDER_REFLECT)


def bend(guess: np.ndarray, depth: np.ndarray, weight: np.ndarray, hold: float = 0.02) -> np.ndarray:
    """Scale and shift ``guess`` to fit ``depth`` by ``weight``; with little weight it stays unchanged."""
    weight = weight / weight.size
    total = weight.sum() + 1e-9
    middle, level = (weight * guess).sum() / total, (weight * depth).sum() / total
    variance, together = (
        (weight * (guess - middle) ** 2).sum(),
        (weight * (guess - middle) * (depth - level)).sum(),
    )
    pull = hold * 0.05
    slope = max((together + pull) / (variance + pull), 0.0)
    share = total / (total + hold)
    return guess * (1 + share * (slope - 1)) + share * (level - slope * middle)
