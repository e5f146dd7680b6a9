"""Refine depth from motion by a plane sweep: each pixel takes the depth at which frames agree.

Optical flow smears the outline of an object by half its patch and misses thin ones. Once the camera's motion
is known, each depth predicts where a pixel lies in the frames before and after (Collins, "A Space-Sweep
Approach to True Multi-Image Matching", CVPR 1996). What one frame hides, the other one shows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .parallax import Camera, falloff, inside, pixel_rays, travel_field, turn_flow

LEVELS = 16  # depths tried
BEYOND = (0.15, 0.3)  # of the range found by flow: how far the sweep goes past its far and near end
CLIP = 30.0  # largest difference of luma that counts; a larger one is hidden
MARGIN = 0.5  # difference of luma that is no reason to leave the depth from flow
SPACING = 6  # pixels between those to which the motion of a side is fitted


class View(NamedTuple):
    """Another frame: float32 ``luma`` ``[h, w]``, and the flow to it, ``turn + scale * depth * arrows``."""

    luma: np.ndarray
    turn: np.ndarray
    scale: float


class Sweep:
    """The flow at a frame that each depth implies, by ``camera``, for depth from flow ``[h, w]``."""

    def __init__(self, camera: Camera, depth: np.ndarray, trust: np.ndarray):
        self._x, self._y, self._focal = pixel_rays(*depth.shape)
        self._arrows = travel_field(self._x, self._y, self._focal, camera.travel.astype(np.float32))
        self._arrows /= self._focal
        at = np.s_[SPACING // 2 :: SPACING, SPACING // 2 :: SPACING]
        basis = [turn_flow(self._x[at], self._y[at], self._focal, one) for one in np.eye(4)]
        basis.append(depth[at][..., None] * self._arrows[at])
        self._at = at
        self._basis = np.stack(basis, -1).reshape(-1, 5).astype(np.float64)
        self._trust = np.repeat(trust[at].ravel() + 1e-6, 2).astype(np.float64)

    def view(self, luma: np.ndarray, motion: np.ndarray) -> View:
        """Return the frame ``luma`` to which ``motion`` ``[h, w, 2]`` leads, fitted robustly to that flow."""
        target = motion[self._at].reshape(-1).astype(np.float64)
        weight = self._trust
        for _ in range(6):
            weighted = (self._basis * weight[:, None]).T
            normal = weighted @ self._basis
            found = np.linalg.solve(normal + np.diag(1e-6 * np.diag(normal) + 1e-9), weighted @ target)
            weight = self._trust / (1 + ((self._basis @ found - target) / 0.3) ** 2)
        turn = turn_flow(self._x, self._y, self._focal, found[:4]).astype(np.float32)
        return View(luma.astype(np.float32), turn, float(found[4]))

    def flow(self, depth: np.ndarray, view: View) -> np.ndarray:
        """Return the flow ``[h, w, 2]`` of still pixels of this depth to a view."""
        return view.turn + (np.float32(view.scale) * depth)[..., None] * self._arrows

    def refine(
        self, luma: np.ndarray, views: list[View], depth: np.ndarray, ends: tuple[float, float]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return depth ``[h, w]`` by the least difference of luma, and the confidence 0..1 that it is right.

        Depths are tried beyond both ``ends``. Without enough evidence the given depth stays, and also where
        by that depth a pixel leaves every view.
        """
        import cv2

        span = max(ends[1] - ends[0], 1e-9)
        levels = np.linspace(ends[0] - BEYOND[0] * span, ends[1] + BEYOND[1] * span, LEVELS, dtype=np.float32)
        image = luma.astype(np.float32)
        cost = np.stack([self._cost(image, views, level) for level in levels])
        best, least = minimum(cost)
        place = np.clip((depth - levels[0]) / (levels[1] - levels[0]), 0, LEVELS - 1.001).astype(np.float32)
        noise = float(np.median(least[::2, ::2]))
        gain = interpolated(cost, place) - least
        in_view = np.maximum.reduce([inside(self.flow(depth, view)) for view in views])
        wins = in_view * (gain > 0.5 * noise + MARGIN)
        found = cv2.medianBlur(np.where(wins > 0, best, place).astype(np.float32), 5)
        fits = falloff(least / np.float32(3 * noise + 3))
        return levels[0] + found * (levels[1] - levels[0]), wins * fits

    def _cost(self, image: np.ndarray, views: list[View], level: np.float32) -> np.ndarray:
        """Return the difference of luma ``[h, w]``, by the view that agrees best, if all had this depth."""
        import cv2

        costs = []
        for view in views:
            there = view.turn + (np.float32(view.scale) * level) * self._arrows
            middle = (np.float32((image.shape[1] - 1) / 2), np.float32((image.shape[0] - 1) / 2))
            moved = cv2.remap(
                view.luma,
                self._x + middle[0] + there[..., 0],
                self._y + middle[1] + there[..., 1],
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=-255.0,
            )
            difference = np.minimum(np.abs(moved - image), np.float32(CLIP))
            costs.append(cv2.blur(difference, (3, 3)))
        return np.minimum.reduce(costs)


def minimum(cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the place of the least of ``[D, h, w]``, between levels by a parabola, and its cost."""
    least, first = cost[0].copy(), np.zeros(cost.shape[1:], np.uint8)
    for level in range(1, len(cost)):  # a tenth of the time of `argmin` along this axis
        np.maximum(first, (cost[level] < least) * np.uint8(level), out=first)
        np.minimum(least, cost[level], out=least)
    place = first.astype(np.int64)
    inner = np.clip(place, 1, len(cost) - 2)
    before, here, after = (np.take_along_axis(cost, (inner + step)[None], 0)[0] for step in (-1, 0, 1))
    bend = np.maximum(before - 2 * here + after, 1e-3)
    part = np.where(inner == place, np.clip(0.5 * (before - after) / bend, -0.5, 0.5), 0)
    return (place + part).astype(np.float32), least


def interpolated(cost: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Return the cost ``[h, w]`` of ``[D, h, w]`` at places between its levels."""
    lower = place.astype(np.int64)
    part = place - lower
    first, second = (np.take_along_axis(cost, (lower + step)[None], 0)[0] for step in (0, 1))
    return first + part * (second - first)
