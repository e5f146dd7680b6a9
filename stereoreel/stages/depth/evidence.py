"""Estimate depth from the motion around one frame, with its confidence and its sign."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...image import flow
from .parallax import falloff, fit_camera, fit_turn, inside, inverse_depth, length, unexplained
from .sweep import Sweep

GAP = 2  # largest distance, in key frames, of the two frames used for parallax
PARALLAX = 4.0  # wanted motion in pixels over this distance
NOISE = 0.06  # pixels of flow between two equal frames


class Picture(NamedTuple):
    """A frame at working size: uint8 ``luma`` ``[h, w]`` and float32 ``color`` ``[h, w, 3]``."""

    luma: np.ndarray
    color: np.ndarray


class Evidence(NamedTuple):
    """Depth of one frame from motion, each map ``[h, w]``.

    ``depth`` is nearness, about 0..1, and ``trust`` its confidence 0..1. ``astray`` is the confidence that a
    pixel moves on its own if the camera travels, ``alone`` the same if it turns or stands still, which is
    halved if that does not explain the rest of the frame. ``travels`` 0..1 is the confidence that the camera
    moved through the scene, which depth from motion requires. ``sign`` is the evidence that larger is nearer:
    positive for, negative against, about 1 if all agree. ``measured`` is depth by optical
    flow alone, and its trust. ``flows`` to the frames before and after follow the
    outlines of depth; they are missing if the camera does not travel.
    """

    depth: np.ndarray
    trust: np.ndarray
    astray: np.ndarray
    alone: np.ndarray
    travels: float
    sign: float
    measured: tuple[np.ndarray, np.ndarray]
    flows: dict[int, np.ndarray] = {}


class Motion(NamedTuple):
    """Flow at a frame from both sides ``[h, w, 2]``, its trust, and pixels visible from one side only.

    ``sides`` are the frames on either side that it was measured with.
    """

    flow: np.ndarray
    trust: np.ndarray
    hidden: np.ndarray
    sides: list[int]


class Flows:
    """Flows between key frames, each computed once; over more than one step they are chained."""

    def __init__(self):
        self.pictures: dict[int, Picture] = {}
        self._flows: dict[tuple[int, int], np.ndarray] = {}

    def __call__(self, first: int, second: int) -> np.ndarray:
        if (first, second) not in self._flows:
            between = second - int(np.sign(second - first))
            if between == first:
                motion = flow.flow(self.pictures[first].luma, self.pictures[second].luma)
            else:
                motion = self(first, between)
                motion = motion + flow.warp(self(between, second), motion, cubic=False)
            self._flows[first, second] = motion
        return self._flows[first, second]

    def agreement(self, first: int, second: int) -> np.ndarray:
        """Return the forward-backward consistency, ``[h, w]`` in 0..1; 0 where motion leaves the frame."""
        there = self(first, second)
        error = length(there + flow.warp(self(second, first), there, cubic=False))
        return inside(there) / (1 + (error / (0.4 + 0.05 * length(there))) ** 2)

    def forget(self, before: int) -> None:
        self.pictures = {index: picture for index, picture in self.pictures.items() if index >= before}
        self._flows = {pair: motion for pair, motion in self._flows.items() if min(pair) >= before}


def nothing(shape: tuple[int, int]) -> Evidence:
    """Return the evidence of a frame without neighbours."""
    zero = np.zeros(shape, np.float32)
    return Evidence(zero, zero, zero, zero, 0.0, 0.0, (zero, zero))


def motion_at(flows: Flows, index: int, last: int, parallax: float = PARALLAX) -> Motion:
    """Return the flow at frame ``index``, from earlier and later frames.

    Their distance is chosen so that most of the scene moves by ``parallax`` pixels.
    """
    neighbour = index - 1 if index else 1
    speed = float(np.percentile(length(flows(index, neighbour)), 80))
    gap = int(np.clip(round(parallax / (speed + 1e-3)), 1, min(GAP, max(index, last - index))))
    sides = [other for other in (index - gap, index + gap) if 0 <= other <= last]
    agreement = [flows.agreement(index, other) + 1e-3 for other in sides]
    total = np.sum(agreement, 0)
    motion = np.sum(
        [
            np.sign(other - index) * weight[..., None] * flows(index, other)
            for other, weight in zip(sides, agreement)
        ],
        0,
    )
    trust = np.minimum(1, total) * texture(flows.pictures[index].luma)
    hidden = np.zeros_like(trust)
    if len(sides) == 2:
        in_view = inside(flows(index, sides[0])) * inside(flows(index, sides[1]))
        hidden = in_view * (np.minimum(*agreement) < 0.2) * (np.maximum(*agreement) > 0.7)
    return Motion((motion / total[..., None]).astype(np.float32), trust, hidden, sides)


def texture(luma: np.ndarray) -> np.ndarray:
    """Return whether there is enough detail to measure motion, ``[h, w]`` in 0..1."""
    import cv2

    image = luma.astype(np.float32)
    across = cv2.Sobel(image, cv2.CV_32F, 1, 0, scale=0.125)
    down = cv2.Sobel(image, cv2.CV_32F, 0, 1, scale=0.125)
    energy = np.asarray(cv2.blur(across**2 + down**2, (9, 9)))
    return energy / (energy + 1.0)


def judge(flows: Flows, index: int, motion: Motion, guess: np.ndarray) -> Evidence:
    """Return depth of frame ``index``, trusted if the camera travels and a pixel moves like a still object.

    Its sign is that of the travel with more depth in front of the camera, which may be wrong: see ``sign``.
    """
    camera = fit_camera(motion.flow, motion.trust)
    depth, along, across, seen = inverse_depth(motion.flow, camera)
    residual = unexplained(motion.flow, fit_turn(motion.flow, motion.trust))
    still = stillness(along, across, residual, motion.trust)
    turns = turning(residual, motion.trust, guess)
    travels = travelling(residual, still, motion.trust) * (1 - turns)
    moves = 1 - falloff(residual / (4 * (NOISE + float(np.median(residual[::2, ::2])))))
    known = motion.trust * still * seen
    low, high = weighted_percentiles(depth, known, (0.03, 0.97))
    raw, span = depth, max(high - low, 1e-6)
    depth = np.clip((depth - low) / span, -0.2, 1.4)
    measured = depth, known
    ahead = float((known * np.sign(along)).sum() / (known.sum() + 1e-6))
    sign = 0.3 * ahead + correlation(depth, guess, known) + occlusion(depth, motion)
    refined: dict[int, np.ndarray] = {}
    if travels > 0.1 and high > low:  # after the sign, for which the sweep's choices are no evidence
        sweep = Sweep(camera, raw, known)
        raw, trust, refined = outlined(flows, index, motion, sweep, raw, known)
        depth = np.clip((raw - low) / span, -0.2, 1.4)
    else:
        trust = known
    astray, alone = motion.trust * travels * (1 - still), motion.trust * (0.5 + 0.5 * turns) * moves
    return Evidence(depth, trust, astray, alone, travels, sign, measured, refined)


def outlined(
    flows: Flows, index: int, motion: Motion, sweep: Sweep, depth: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray, dict[int, np.ndarray]]:
    """Return depth, its trust, and the flows to the frames next to ``index``, refined by a plane sweep."""
    ends = weighted_percentiles(depth, known, (0.01, 0.99))
    near = [other for other in (index - 1, index + 1) if other in flows.pictures]
    views = {
        other: sweep.view(flows.pictures[other].luma, flows(index, other)) for other in {*near, *motion.sides}
    }
    luma = flows.pictures[index].luma
    fits = float(known.sum() / (motion.trust.sum() + 1e-6))
    depth, sure = sweep.refine(luma, [views[side] for side in motion.sides], depth, (ends[0], ends[1]))
    sure = sure * min(1.0, 1.25 * fits)
    # what moves on its own keeps its flow
    still = np.maximum(known / (motion.trust + 1e-3), sure)[..., None]
    refined = {
        other: flows(index, other) + still * (sweep.flow(depth, views[other]) - flows(index, other))
        for other in near
    }
    return depth, np.maximum(known, sure), refined


def stillness(along: np.ndarray, across: np.ndarray, residual: np.ndarray, trust: np.ndarray) -> np.ndarray:
    """Return 0..1 ``[h, w]``: whether a pixel moves like a still object, along the arrows.

    If a large part of the frame moves against the arrows, the camera's turn is wrong, not the objects, and
    the sign is ignored.
    """
    slack = np.maximum(4 * NOISE, 0.15 * residual)
    share = (trust * (along < -slack)).sum() / (trust.sum() + 1e-6)
    against = np.maximum(-along, 0) * np.clip((0.35 - share) / 0.1, 0, 1)
    return falloff(np.maximum(across, against) / slack)


def travelling(residual: np.ndarray, still: np.ndarray, trust: np.ndarray) -> float:
    """Return 0..1: whether the camera travels.

    Then much of the frame moves in a way that no turn explains, and nearly all of that along the arrows.
    """
    moving = trust * (residual > 5 * NOISE)
    share = moving.sum() / (trust.sum() + 1e-6)
    agree = (moving * still).sum() / (moving.sum() + 1e-6)
    return float(np.clip((share - 0.1) / 0.15, 0, 1) * np.clip((agree - 0.6) / 0.15, 0, 1))


def turning(residual: np.ndarray, trust: np.ndarray, guess: np.ndarray) -> float:
    """Return 0..1: whether the camera only turns, or stands still.

    Then a turn explains the motion of much of the frame, near and far by layout; what it does not explain
    moves on its own. A travelling camera leaves at most one distance unmoved.
    """
    steady = trust * (residual < 2.5 * NOISE)
    share = float(steady.sum() / (trust.sum() + 1e-6))
    low, high = weighted_percentiles(guess, trust, (0.1, 0.9))
    nearest, farthest = weighted_percentiles(guess, steady, (0.1, 0.9))
    reach = (farthest - nearest) / max(high - low, 1e-6)
    return float(np.clip((share - 0.15) / 0.15, 0, 1) * np.clip((reach - 0.5) / 0.3, 0, 1))


def occlusion(depth: np.ndarray, motion: Motion) -> float:
    """Return -1..1: whether pixels visible from one side only are farther than their surroundings."""
    hidden = motion.hidden > 0
    mean, spread = surroundings(depth, (motion.trust > 0.3).astype(np.float32))
    behind = np.clip((mean - depth) / spread, -2, 2)[hidden]
    return float(np.clip(1.5 * behind.sum() / (behind.size + 100), -1, 1))


def surroundings(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted mean and deviation of ``values`` ``[h, w]`` within 8 pixels."""
    import cv2

    total, first, second = (
        cv2.blur((weights * part).astype(np.float32), (17, 17)) for part in (1, values, values**2)
    )
    mean = first / (total + 1e-3)
    return mean, np.sqrt(np.maximum(second / (total + 1e-3) - mean**2, 1e-6))


def correlation(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> float:
    """Return the weighted correlation of two maps; 0 without weight or without variation."""
    total = float(weights.sum())
    if total < 20:
        return 0.0
    first, second = (part - (weights * part).sum() / total for part in (first, second))
    together = float((weights * first * second).sum())
    return together / (float(np.sqrt((weights * first**2).sum() * (weights * second**2).sum())) + 1e-9)


def weighted_percentiles(values: np.ndarray, weights: np.ndarray, shares: tuple[float, ...]) -> list[float]:
    values, weights = values[::3, ::3].ravel(), weights[::3, ::3].ravel() + 1e-6
    order = np.argsort(values, kind="stable")
    running = np.cumsum(weights[order])
    return [float(values[order[np.searchsorted(running, share * running[-1])]]) for share in shares]
