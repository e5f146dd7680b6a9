"""What the motion round one frame tells about its depth, how far to trust it, and which way round it is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...image import flow
from .parallax import fit_camera, fit_turn, inverse_depth, length, unexplained

AHEAD = 8  # frames seen before the first depth is given
GAP = 4  # frames that may lie between the two pictures that parallax is measured on
PARALLAX = 5.0  # pixels of motion worth such a gap
NOISE = 0.06  # pixels: what is left of a flow between two equal pictures


class Picture(NamedTuple):
    """A frame at working size: uint8 ``luma`` ``[h, w]`` and float32 ``color`` ``[h, w, 3]``."""

    luma: np.ndarray
    color: np.ndarray


class Evidence(NamedTuple):
    """What motion tells about one frame, each ``[h, w]``: nearness about 0..1, trust in it 0..1, and how surely a pixel moves on its own.

    ``travels`` 0..1 says whether the camera moved through the scene, so that depth could be seen at all, and
    ``travel`` ``[3]`` which way.
    """

    depth: np.ndarray
    trust: np.ndarray
    alone: np.ndarray
    travels: float
    travel: np.ndarray


class Motion(NamedTuple):
    """The flow at a frame from both sides ``[h, w, 2]``, its trust, and where only one side saw the pixel, all ``[h, w]``."""

    flow: np.ndarray
    trust: np.ndarray
    hidden: np.ndarray


class Flows:
    """Flows between the pictures near one frame, each computed once."""

    def __init__(self):
        self.pictures: dict[int, Picture] = {}
        self._flows: dict[tuple[int, int], np.ndarray] = {}

    def __call__(self, first: int, second: int) -> np.ndarray:
        if (first, second) not in self._flows:
            self._flows[first, second] = flow.flow(self.pictures[first].luma, self.pictures[second].luma)
        return self._flows[first, second]

    def agreement(self, first: int, second: int) -> np.ndarray:
        """How well the way there and back agrees, ``[h, w]`` in 0..1; 0 where it leaves the picture."""
        there = self(first, second)
        error = length(there + flow.warp(self(second, first), there, cubic=False))
        return inside(there) / (1 + (error / (0.4 + 0.05 * length(there))) ** 2)

    def forget(self, before: int) -> None:
        self.pictures = {index: picture for index, picture in self.pictures.items() if index >= before}
        self._flows = {pair: motion for pair, motion in self._flows.items() if min(pair) >= before}


def inside(motion: np.ndarray) -> np.ndarray:
    """Whether ``x + motion`` lies in the picture, float32 ``[h, w]``."""
    height, width = motion.shape[:2]
    y, x = np.ogrid[:height, :width]
    x, y = x + motion[..., 0], y + motion[..., 1]
    return ((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)).astype(np.float32)


def nothing(shape: tuple[int, int]) -> Evidence:
    """The evidence of a frame that has no neighbour."""
    zero = np.zeros(shape, np.float32)
    return Evidence(zero, zero, zero, 0.0, np.zeros(3))


def motion_at(flows: Flows, index: int, last: int, parallax: float = PARALLAX) -> Motion:
    """Flow at frame ``index`` from the pictures before and after, so far apart that most things move by ``parallax`` pixels."""
    neighbour = index - 1 if index else 1
    speed = float(np.percentile(length(flows(index, neighbour)), 80))
    gap = int(np.clip(round(parallax / (speed + 1e-3)), 1, min(GAP, max(index, last - index))))
    sides = [other for other in (index - gap, index + gap) if 0 <= other <= last]
    agreement = [flows.agreement(index, other) + 1e-3 for other in sides]
    total = sum(agreement)
    motion = sum(
        np.sign(other - index) * weight[..., None] * flows(index, other)
        for other, weight in zip(sides, agreement)
    )
    trust = np.minimum(1, total) * texture(flows.pictures[index].luma)
    hidden = np.zeros_like(trust)
    if len(sides) == 2:
        in_view = inside(flows(index, sides[0])) * inside(flows(index, sides[1]))
        hidden = in_view * (np.minimum(*agreement) < 0.2) * (np.maximum(*agreement) > 0.7)
    return Motion((motion / total[..., None]).astype(np.float32), trust, hidden)


def texture(luma: np.ndarray) -> np.ndarray:
    """Whether there is enough detail to see motion by, ``[h, w]`` in 0..1."""
    import cv2

    image = luma.astype(np.float32)
    energy = (
        cv2.Sobel(image, cv2.CV_32F, 1, 0, scale=0.125) ** 2
        + cv2.Sobel(image, cv2.CV_32F, 0, 1, scale=0.125) ** 2
    )
    energy = cv2.blur(energy, (9, 9))
    return energy / (energy + 1.0)


def judge(motion: Motion, way: np.ndarray | None, guess: np.ndarray) -> Evidence:
    """Depth from a flow, trusted where the camera travels and a pixel moves as a still thing would under the camera's motion.

    ``way`` is the direction the camera is known to travel in, by and large; where it is not known, hidden
    pixels and ``guess`` tell.
    """
    camera = fit_camera(motion.flow, motion.trust)
    depth, along, across, seen = inverse_depth(motion.flow, camera)
    right = way @ camera.travel >= 0 if way is not None else is_right_way_round(depth, motion, guess)
    if not right:
        depth, along, camera = -depth, -along, camera._replace(travel=-camera.travel)
    rest = unexplained(motion.flow, fit_turn(motion.flow, motion.trust))
    still = stillness(along, across, rest, motion.trust)
    travels = travelling(rest, still, motion.trust)
    moves = rest**4 / (rest**4 + (4 * (NOISE + float(np.median(rest)))) ** 4)
    known = motion.trust * still * seen
    low, high = weighted_percentiles(depth, known, (0.03, 0.97))
    depth = np.clip((depth - low) / max(high - low, 1e-6), -0.2, 1.4)
    alone = motion.trust * (travels * (1 - still) + (1 - travels) * moves)
    return Evidence(depth, known, alone, travels, camera.travel)


def stillness(along: np.ndarray, across: np.ndarray, rest: np.ndarray, trust: np.ndarray) -> np.ndarray:
    """0..1 ``[h, w]``: whether a pixel moves as a still thing does, along the arrows and not against them.

    Where a large part of the picture goes against the arrows, the camera's turn is at fault, not the things,
    and that sign is ignored.
    """
    slack = np.maximum(4 * NOISE, 0.15 * rest)
    share = (trust * (along < -slack)).sum() / (trust.sum() + 1e-6)
    against = np.maximum(-along, 0) * np.clip((0.35 - share) / 0.1, 0, 1)
    return 1 / (1 + (np.maximum(across, against) / slack) ** 4)


def travelling(rest: np.ndarray, still: np.ndarray, trust: np.ndarray) -> float:
    """0..1: whether the camera travels: then much of the picture moves as no turn explains, and nearly all of that along the arrows."""
    moving = trust * (rest > 5 * NOISE)
    share = moving.sum() / (trust.sum() + 1e-6)
    agree = (moving * still).sum() / (moving.sum() + 1e-6)
    return float(np.clip((share - 0.1) / 0.15, 0, 1) * np.clip((agree - 0.6) / 0.15, 0, 1))


def is_right_way_round(depth: np.ndarray, motion: Motion, guess: np.ndarray) -> bool:
    """Whether larger ``depth`` is nearer.

    A camera that turns against its travel (a tracking shot through a long lens) makes far things move most,
    which the flow alone cannot tell from the opposite travel. What is hidden from one side lies behind what
    is beside it, and a picture is mostly nearer below.
    """
    clear, hidden = motion.trust > 0.3, motion.hidden > 0
    score = 0.4 + correlation(depth[clear], guess[clear])
    mean, spread = surroundings(depth, clear.astype(np.float32))
    behind = np.clip((mean - depth) / spread, -2, 2)[hidden]
    return bool(score + 1.5 * behind.sum() / (behind.size + 100) >= 0)


def surroundings(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and deviation of ``values`` ``[h, w]`` within 8 pixels."""
    import cv2

    total, first, second = (
        cv2.blur((weights * part).astype(np.float32), (17, 17)) for part in (1, values, values**2)
    )
    mean = first / (total + 1e-3)
    return mean, np.sqrt(np.maximum(second / (total + 1e-3) - mean**2, 1e-6))


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    if first.size < 2:
        return 0.0
    first, second = first - first.mean(), second - second.mean()
    return float((first * second).sum() / (np.sqrt((first**2).sum() * (second**2).sum()) + 1e-9))


def weighted_percentiles(values: np.ndarray, weights: np.ndarray, shares: tuple[float, ...]) -> list[float]:
    values, weights = values[::3, ::3].ravel(), weights[::3, ::3].ravel() + 1e-6
    order = np.argsort(values, kind="stable")
    running = np.cumsum(weights[order])
    return [float(values[order[np.searchsorted(running, share * running[-1])]]) for share in shares]
