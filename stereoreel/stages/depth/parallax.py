"""Depth from motion: the optical flow that remains after removing the camera's rotation.

For a still scene and a small camera motion the flow at a pixel is ``turn(pixel) + inverse_depth *
travel(pixel)`` (Longuet-Higgins and Prazdny, 1980): the turn moves every depth alike, the travel is a field
of arrows from the focus of expansion. The focal length is assumed to be ``FOCAL`` frame widths; a wrong guess
distorts depth slightly and keeps its order.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

FOCAL = 0.9  # of the longer side: a field of view near 58 degrees
FLAT = 2e5  # square of a focal length in pixels: the scale of the turn's faint pull to zero


class Camera(NamedTuple):
    """Camera motion between two frames: unit ``travel`` (x right, y down, z forward), ``turn`` in radians."""

    travel: np.ndarray
    turn: np.ndarray


def pixel_rays(height: int, width: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Return pixel coordinates ``[H, W]`` from the frame's centre, and the assumed focal length in pixels."""
    y, x = np.indices((height, width), dtype=np.float32)
    return x - (width - 1) / 2, y - (height - 1) / 2, FOCAL * max(height, width)


def turn_flow(x: np.ndarray, y: np.ndarray, focal: float, turn: np.ndarray) -> np.ndarray:
    """Return flow ``[..., 2]`` in pixels by ``turn``: pitch, yaw and roll in radians, and relative zoom."""
    pitch, yaw, roll, zoom = (float(angle) for angle in turn)
    bend = x * (pitch / focal) * y - (x * x) * (yaw / focal)
    sink = (y * y) * (pitch / focal) - y * (yaw / focal) * x
    return np.stack(
        [bend + roll * y + zoom * x - focal * yaw, sink - roll * x + zoom * y + focal * pitch], -1
    )


def length(field: np.ndarray) -> np.ndarray:
    """Return the length of vectors ``[..., 2]``."""
    return np.sqrt(field[..., 0] ** 2 + field[..., 1] ** 2)


def inside(motion: np.ndarray) -> np.ndarray:
    """Return whether ``x + motion`` is inside the frame, float32 ``[h, w]``."""
    height, width = motion.shape[:2]
    y, x = np.ogrid[:height, :width]
    x, y = x + motion[..., 0], y + motion[..., 1]
    return ((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)).astype(np.float32)


def falloff(ratio: np.ndarray) -> np.ndarray:
    """Return ``1 / (1 + ratio ** 4)``: about 1 well below 1, about 0 well above."""
    square = ratio * ratio
    return 1 / (1 + square * square)


def travel_field(x: np.ndarray, y: np.ndarray, focal: float, travel: np.ndarray) -> np.ndarray:
    """Return the flow ``[..., 2]`` in pixels per unit of inverse depth due to travel."""
    return np.stack([x * travel[2] - focal * travel[0], y * travel[2] - focal * travel[1]], -1)


def fit_camera(motion: np.ndarray, trust: np.ndarray) -> Camera:
    """Return the camera motion for which flow ``motion`` ``[H, W, 2]`` best follows the travel's arrows.

    The flow is weighted by ``trust`` ``[H, W]``. Directions of travel are tried over a half sphere, then
    finer around the best. For each, the turn is a robust least-squares fit to the part of the flow across the
    arrows, which depth cannot explain. The sign of the travel is the one with more depth in front.
    """
    coarse, fine = (_sample(motion, trust, count) for count in (250, 900))
    travel, turn = _best_travel(_half_sphere(), *coarse)
    for spread in (0.12, 0.04):
        travel, turn = _best_travel(_around(travel, spread), *fine)
    flow, weight, basis, field = fine
    along = ((flow - basis @ turn) * field(travel)).sum(-1)
    return Camera(travel if (weight * np.sign(along)).sum() >= 0 else -travel, turn)


def fit_turn(motion: np.ndarray, trust: np.ndarray) -> np.ndarray:
    """Return the turn ``[4]`` that alone explains most of the flow, for a camera that does not travel."""
    flow, weight, basis, _ = _sample(motion, trust, 900)
    robust = weight
    for _ in range(10):
        weighted = (basis * robust[:, None, None]).reshape(-1, 4).T
        turn = np.linalg.solve(
            weighted @ basis.reshape(-1, 4) + np.eye(4) * 1e-3, weighted @ flow.reshape(-1)
        )
        robust = weight / (1 + (length(flow - basis @ turn) / 0.3) ** 2)
    return turn


def unexplained(motion: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Return the flow ``[H, W]``, in pixels, that a turn does not explain."""
    x, y, focal = pixel_rays(*motion.shape[:2])
    return length(motion - turn_flow(x, y, focal, turn))


def _sample(motion: np.ndarray, trust: np.ndarray, count: int):
    """Sample about ``count`` pixels: flow ``[N, 2]``, trust ``[N]``, turn basis ``[N, 2, 4]``, travel."""
    height, width = trust.shape
    step = max(1, min(height, width, int(np.sqrt(height * width / count))))
    x, y, focal = pixel_rays(height, width)
    cut = (slice(step // 2, None, step), slice(step // 2, None, step))
    x, y, flow, weight = (
        part[cut].reshape(-1, *part.shape[2:]).astype(np.float64) for part in (x, y, motion, trust)
    )
    basis = np.stack([turn_flow(x, y, focal, one) for one in np.eye(4)], -1)
    return flow, weight + 1e-6, basis, lambda travel: travel_field(x, y, focal, travel)


def _half_sphere() -> np.ndarray:
    """Return directions ``[N, 3]`` about 12 degrees apart; opposite ones give the same arrows."""
    index = np.arange(120) + 0.5
    z, angle = index / 120, np.pi * (1 + 5**0.5) * index
    ring = np.sqrt(1 - z * z)
    return np.stack([ring * np.cos(angle), ring * np.sin(angle), z], -1)


def _around(travel: np.ndarray, spread: float) -> np.ndarray:
    """Return ``travel`` and a grid of directions around it, ``[25, 3]``."""
    side = np.cross(travel, [1.0, 0, 0] if abs(travel[0]) < 0.7 else [0, 1.0, 0])
    side /= np.linalg.norm(side)
    other = np.cross(travel, side)
    steps = np.linspace(-spread, spread, 5)
    near = np.stack([travel + a * side + b * other for a in steps for b in steps])
    return near / np.linalg.norm(near, axis=1, keepdims=True)


def _best_travel(directions: np.ndarray, flow, weight, basis, field) -> tuple[np.ndarray, np.ndarray]:
    """Return the direction of ``[D, 3]`` with the least flow across its arrows, and its turn."""
    arrows = field(directions.T[:, :, None])  # [D, N, 2]
    lengths = length(arrows) + 1e-6
    across = -arrows[..., 1] / lengths, arrows[..., 0] / lengths
    # samples are contiguous, so that each step is one loop over them
    turns = np.ascontiguousarray(basis.transpose(1, 2, 0))
    design = across[0][:, None] * turns[0] + across[1][:, None] * turns[1]  # [D, 4, N]
    target = across[0] * flow[:, 0] + across[1] * flow[:, 1]
    ridge = np.eye(4) * max(1e-4 * FLAT * weight.sum(), 1e-6)
    robust = np.broadcast_to(weight, target.shape)
    for _ in range(4):
        weighted = design * robust[:, None]
        turn = np.linalg.solve(weighted @ design.transpose(0, 2, 1) + ridge, weighted @ target[..., None])
        error = np.abs(target - (turn.transpose(0, 2, 1) @ design)[:, 0])
        robust = weight / (1 + np.square(error / 0.3))
    winner = int((weight * error / (error + 0.5)).sum(1).argmin())
    return directions[winner], turn[winner, :, 0]


def inverse_depth(
    motion: np.ndarray, camera: Camera
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return inverse depth up to scale, its parallax, the flow across the arrows, and depth's visibility.

    All are ``[H, W]``; the second and third are in pixels. Near the focus of expansion nothing moves, and the
    last is 0.
    """
    x, y, focal = pixel_rays(*motion.shape[:2])
    rest = motion - turn_flow(x, y, focal, camera.turn)
    field = travel_field(x, y, focal, camera.travel.astype(np.float32))
    arrow = length(field) + 1
    along = (rest[..., 0] * field[..., 0] + rest[..., 1] * field[..., 1]) / arrow
    across = np.abs(rest[..., 0] * field[..., 1] - rest[..., 1] * field[..., 0]) / arrow
    return along / arrow * focal, along, across, arrow**2 / (arrow**2 + (0.1 * focal) ** 2)
