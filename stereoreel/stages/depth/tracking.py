"""Track depth of a shot at working size: measure it from motion, warp it along, complete it by layout."""

from __future__ import annotations

import numpy as np
import torch

from ...image import flow
from .edges import guided
from .evidence import (
    GAP,
    Evidence,
    Flows,
    Picture,
    correlation,
    judge,
    motion_at,
    nothing,
    weighted_percentiles,
)
from .learned import LearnedPrior
from .parallax import falloff
from .prior import Layout, layout, surfaces
from .sign import Decision
from .windows import match

IN_FRONT = 0.4  # nearness by which what moves on its own stands out
GUESSED = 0.25  # pace of depth by layout alone, as a share of that from motion
THIN, NARROW = 100, 43  # half the width of a thin, and of a narrow thing is at most this part of the frame's
UPRIGHT = 6  # half the length over which it has one depth is this part of the frame's height
BROKEN = 12  # half the longest gap in it, where nothing shows that it is near, is this part of that height
APART = 0.1  # difference of nearness between two surfaces
LEARNED = 0.5  # share of the learned prior in the guess, beside that of the layout
HELD = 0.85  # share of the guess that is carried along from the key frame before
AHEAD = 5  # key frames whose evidence counts before the first depth


class ShotDepth:
    """Temporal state of one shot: ``add`` takes key frames; ``next`` returns their depth in order.

    Call ``next`` once ``AHEAD + GAP`` further key frames are known, or the shot has ended.
    """

    def __init__(self, smoothing: float, near_ground: float, learned: LearnedPrior):
        self._learned = learned
        self._keep, self._calm, self._near_ground = 0.6 + 0.38 * smoothing, 0.9 * smoothing, near_ground
        self._flows = Flows()
        self._decision = Decision()
        self._added = self.index = 0
        self._found: dict[int, Evidence] = {}
        self._links: dict[int, float] = {}
        self._layouts: dict[int, Layout] = {}
        # depth, its weight, independent motion, the guess and the last output, each [h, w]
        self._state: dict[str, np.ndarray] = {}
        # flow between the last two key frames, both ways, and from the last to the one after it
        self._forth = self._back = self._ahead = np.zeros((0, 0, 2), np.float32)
        self.sure = 0.0  # confidence 0..1 in depth from motion
        self.travelled = False

    def add(self, picture: Picture) -> None:
        self._flows.pictures[self._added] = picture
        self._added += 1

    def motion(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the flow between the last two key frames that ``next`` returned, both ways."""
        return self._forth, self._back

    def next(self) -> np.ndarray:
        """Return nearness ``[h, w]`` of the next key frame, in the scale of its shot, which is not 0..1."""
        index = self.index
        color = self._flows.pictures[index].color
        carried = self._carry()
        evidence, self.sure = self._decide()
        self.travelled |= self.sure > 0.3
        if carried:
            agree = correlation(evidence.depth, carried["depth"], evidence.trust * carried["weight"])
            carried["weight"] = carried["weight"] * min(
                1, max(0, 1 + 2 * agree)
            )  # it was the wrong way round
        alone = self.sure * evidence.astray + (1 - self.sure) * evidence.alone
        state = fuse(evidence._replace(alone=alone), carried, self._keep)
        drawn, learned = self._layout(index).nearness, self._learned(color, self._near_ground)
        guess = surfaces(drawn + LEARNED * (learned - drawn) + IN_FRONT * state["alone"], color)
        if carried:
            guess = guess + HELD * carried["valid"] * (carried["guess"] - guess)
        depth = complete(state["depth"], state["weight"], guess, color, self.sure)
        if carried:
            calm = 1 - (1 - self._calm) * (GUESSED + (1 - GUESSED) * self.sure)
            apart = APART * (2 - self.sure)
            calm = calm * carried["valid"] * falloff((depth - carried["shown"]) / apart)
            depth = calm * carried["shown"] + (1 - calm) * depth
        self._state = {**state, "guess": guess, "shown": depth}
        self._forth = self._ahead
        if index + 1 < self._added:
            self._ahead = self._flow(index, index + 1)
        self.index += 1
        self._flows.forget(self.index - GAP)
        self._found.pop(index - 1, None)
        self._layouts.pop(index, None)
        return depth

    def _carry(self) -> dict[str, np.ndarray]:
        """Return the state, warped to the current frame; ``valid`` is the confidence of each pixel."""
        if not self._state:
            return {}
        motion = self._back = self._flow(self.index, self.index - 1)
        moved = {name: flow.warp(values, motion, cubic=False) for name, values in self._state.items()}
        moved["valid"] = self._flows.agreement(self.index, self.index - 1)
        moved["weight"] = moved["weight"] * moved["valid"]
        return moved

    def _flow(self, first: int, second: int) -> np.ndarray:
        """Return the flow between two key frames next to each other, refined where the camera travels."""
        refined = self._evidence(first).flows.get(second)
        return self._flows(first, second) if refined is None else refined

    def _decide(self) -> tuple[Evidence, float]:
        """Return the evidence of the current key frame, the right way round, and the confidence in it."""
        places = range(self.index, min(self.index + AHEAD, self._added))
        found = [self._evidence(place) for place in places]
        links = [self._link(place) for place in places]
        held = self._decision.update([one.sign for one in found], [one.travels for one in found], links)
        here = found[0]
        if held < 0:
            here = here._replace(depth=1 - here.depth)
        return here, abs(held)

    def _evidence(self, index: int) -> Evidence:
        if index not in self._found:
            picture = self._flows.pictures[index]
            if self._added < 2:
                self._found[index] = nothing(picture.luma.shape)
            else:
                motion = motion_at(self._flows, index, self._added - 1)
                self._found[index] = judge(self._flows, index, motion, self._layout(index).place)
        return self._found[index]

    def _layout(self, index: int) -> Layout:
        if index not in self._layouts:
            color = self._flows.pictures[index].color
            self._layouts[index] = layout(color, self._near_ground)
        return self._layouts[index]

    def _link(self, index: int) -> float:
        """Return -1..1: the agreement of depth found at a key frame with that found before it."""
        if index not in self._links:
            if index == 0:
                return 1.0
            before, here = self._evidence(index - 1), self._evidence(index)
            motion = self._flows(index, index - 1)
            depth, trust = (flow.warp(part, motion, cubic=False) for part in before.measured)
            self._links[index] = correlation(depth, here.measured[0], trust * here.measured[1])
            self._links.pop(index - AHEAD - 2, None)
        return self._links[index]


def fuse(evidence: Evidence, carried: dict[str, np.ndarray], keep: float) -> dict[str, np.ndarray]:
    """Blend the warped estimate and the new evidence by weight, after fitting the evidence's scale."""
    trust = evidence.trust * evidence.travels
    if not carried:
        return {"depth": evidence.depth, "weight": trust, "alone": evidence.alone}
    both = (trust[::3, ::3] > 0.2) & (carried["weight"][::3, ::3] > 0.2)
    depth = evidence.depth
    if both.sum() > 100:
        scale, shift = map(
            float, match(*(torch.from_numpy(part[::3, ::3][both]) for part in (depth, carried["depth"])))
        )
        depth = depth * scale + shift
    # where a thing's outline moves on, what was there before does not count
    old = keep * carried["weight"] * (1 - evidence.trust * (1 - falloff((depth - carried["depth"]) / APART)))
    weight = old + trust
    fused = (old * carried["depth"] + trust * depth) / (weight + 1e-6)
    low, high = weighted_percentiles(fused, weight, (0.03, 0.97))
    low, high = 0.05 * low, 1 + 0.05 * (high - 1)  # the scale returns slowly to 0..1
    alone = np.maximum(0.985 * carried["alone"] * carried["valid"], evidence.alone)
    return {"depth": (fused - low) / (high - low), "weight": weight, "alone": alone}


def complete(
    depth: np.ndarray, weight: np.ndarray, guess: np.ndarray, color: np.ndarray, sure: float
) -> np.ndarray:
    """Return depth everywhere: from motion as far as it is ``sure`` (0..1), or else from the guess.

    The guess is fitted to depth from motion; edges follow ``color``.
    """
    weight = weight * sure
    guess = filled = bend(guess, depth, weight)
    for reach, base in ((max(depth.shape) // 32, 0.05), (max(depth.shape) // 128, 0.3)):
        filled = filled + blur(weight * (depth - filled), reach) / blur(weight + base, reach)
    filled = (weight * depth + 0.3 * filled) / (weight + 0.3)
    mixed = guess + sure * (filled - guess)
    smooth = guided(mixed[..., None], color, max(1, max(depth.shape) // 100), 1e-4)[..., 0]
    return straightened(smooth, mixed, weight)


def straightened(smooth: np.ndarray, depth: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return ``smooth`` depth ``[h, w]`` with one depth along narrow upright things.

    Such a thing stands out of ``depth`` across it, in most of a stretch of three columns. Gaps in a thin one,
    and its ends, belong to it. It gets the mean of its own depth in the stretch, by ``weight``.
    """
    import cv2

    height, width = depth.shape
    depth, stretch = np.ascontiguousarray(depth, np.float32), (3, 2 * (height // UPRIGHT) + 1)
    thin, narrow = (standing_out(depth, width // part) for part in (THIN, NARROW))
    trust = narrow * narrow * (np.minimum(weight, 1) + 0.01)
    level = cv2.blur(trust * depth, stretch) / (cv2.blur(trust, stretch) + 1e-6)
    closed = cv2.morphologyEx(thin, cv2.MORPH_CLOSE, np.ones((2 * (height // BROKEN) + 1, 1), np.uint8))
    # up to the ends of a thin one, where the stretch is half empty
    ends = cv2.dilate(
        np.clip((cv2.blur(closed, stretch) - 0.5) / 0.2, 0, 1), np.ones((stretch[1], 1), np.uint8)
    )
    whole = np.maximum(closed * ends, narrow * np.clip((cv2.blur(narrow, stretch) - 0.5) / 0.2, 0, 1))
    level = cv2.blur(whole * level, stretch) / (cv2.blur(whole, stretch) + 1e-6)
    return smooth + whole * (level - smooth)


def standing_out(depth: np.ndarray, reach: int) -> np.ndarray:
    """Return 0..1 ``[h, w]``: whether less than ``2 * reach`` pixels of a line are nearer than the rest."""
    import cv2

    ridge = depth - cv2.morphologyEx(depth, cv2.MORPH_OPEN, np.ones((1, 2 * reach + 1), np.uint8))
    return np.clip(ridge / APART - 1, 0, 1)


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
