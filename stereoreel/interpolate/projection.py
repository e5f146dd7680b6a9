"""Motion carried to a time between two frames, and the picture there.

What is splatted is the flow, not the colour, so that colour is resampled once: softmax splatting of motion, weighted by how well
it explains both frames, then a backward warp of each frame and a blend by visibility. Motion lives on a grid of ``CELL`` pixels:
dense inverse search measures no finer, and the splat then costs a few milliseconds.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..flow import flow

CELL = 4
WIDEST = 1920  # larger frames are measured at this size
COLOR_TRUST, ROUND_TRIP_TRUST = 10.0, 0.25  # per unit of luma difference, per pixel that forward and backward flow disagree
FAINT = 1e-4  # the trust that even a pixel which fails both tests keeps, so that something covers what nothing explains
NOTHING = 1e-6  # keeps the weights of a cell that nothing landed on from being zero


class Motion(NamedTuple):
    """Flow both ways on the grid ``[h, w, 2]``, in cells, how far each is to be trusted ``[h, w]``, and both frames' luma on it, 0..1."""

    forward: np.ndarray
    backward: np.ndarray
    forward_trust: np.ndarray
    backward_trust: np.ndarray
    first: np.ndarray
    second: np.ndarray


class Between(NamedTuple):
    """For a time between two frames: where to read each of them ``[h, w, 2]``, as offsets in cells, and with what weight ``[h, w]``."""

    to_first: np.ndarray
    to_second: np.ndarray
    first_weight: np.ndarray
    second_weight: np.ndarray
    motion: Motion


def measure(first: np.ndarray, second: np.ndarray, preset: str) -> Motion:
    """Motion between two frames' luma, uint8 ``[H, W]``."""
    import cv2

    height, width = first.shape
    grid = (-(-width // CELL), -(-height // CELL))
    cells = np.array([grid[0] / width, grid[1] / height], np.float32)
    scale = min(1.0, WIDEST / max(height, width))
    forward, backward = (
        _resized(flow(*pair, preset, scale), grid, cv2.INTER_AREA) * cells for pair in ((first, second), (second, first))
    )
    small = [_resized(image, grid, cv2.INTER_AREA).astype(np.float32) / 255 for image in (first, second)]
    return Motion(forward, backward, _trust(*small, forward, backward), _trust(*small[::-1], backward, forward), *small)


def _trust(first: np.ndarray, second: np.ndarray, motion: np.ndarray, back: np.ndarray) -> np.ndarray:
    there = _grid(*first.shape) + motion
    trip = motion + _read(back, there)
    pixels = CELL * np.sqrt(np.square(trip).sum(-1))
    return np.maximum(np.exp(-COLOR_TRUST * np.abs(first - _read(second, there)) - ROUND_TRIP_TRUST * pixels), FAINT)


def project(motion: Motion, t: float) -> Between:
    """The motion through every cell at ``t``, 0 < t < 1; what one frame hides takes its motion from the other.

    Both frames are read along the one mean motion: errors of the two flows cancel, and the two pictures blend without a shift.
    """
    forward, seen_first = _splat(motion.forward, motion.forward_trust, t)
    backward, seen_second = _splat(motion.backward, motion.backward_trust, 1 - t)
    first, second = (1 - t) * np.minimum(seen_first, 1), t * np.minimum(seen_second, 1)
    mean = (forward * first[..., None] - backward * second[..., None]) / np.maximum(first + second, NOTHING)[..., None]
    return Between(-t * mean, (1 - t) * mean, first + NOTHING, second + NOTHING, motion)


def _splat(motion: np.ndarray, trust: np.ndarray, part: float) -> tuple[np.ndarray, np.ndarray]:
    """Each cell's motion, carried ``part`` of its way and shared out among the four cells it lands on: mean motion, and weight."""
    height, width = trust.shape
    landing = (_grid(height, width) + np.float32(part) * motion).reshape(-1, 2)
    corner = np.floor(landing)
    right, below = (landing - corner).T
    column, row = (corner.astype(np.int32) + 1).T  # of a target with a rim of one cell, which gathers what leaves the frame
    columns = np.clip(np.stack([column, column + 1]), 0, width + 1)
    rows = np.clip(np.stack([row, row + 1]), 0, height + 1)
    index = (rows[:, None] * (width + 2) + columns[None]).reshape(4, -1)
    share = (np.stack([1 - below, below])[:, None] * np.stack([1 - right, right])[None]).reshape(4, -1) * trust.reshape(-1)

    def gather(values: np.ndarray) -> np.ndarray:
        total = np.bincount(index.reshape(-1), values.reshape(-1), minlength=(height + 2) * (width + 2))
        return total.reshape(height + 2, width + 2)[1:-1, 1:-1].astype(np.float32)

    weight = gather(share)
    moved = np.dstack([gather(share * motion[..., axis].reshape(-1)) for axis in (0, 1)])
    return moved / np.maximum(weight, NOTHING)[..., None], weight


def disagreement(between: Between) -> np.ndarray:
    """How far the two moved frames differ ``[h, w]``, in luma 0..1, where both of them count."""
    place = _grid(*between.first_weight.shape)
    first, second = (_read(image, place + offset) for image, offset in
                     ((between.motion.first, between.to_first), (between.motion.second, between.to_second)))  # fmt: skip
    share = between.first_weight / (between.first_weight + between.second_weight)
    return np.abs(first - second) * (4 * share * (1 - share))


def compose(first: np.ndarray, second: np.ndarray, between: Between, cubic: bool = True) -> np.ndarray:
    """The picture ``[H, W, C]``, float32, 0..1, from two of any one size, which need not be the size that was measured."""
    import cv2

    height, width, channels = first.shape
    rows, columns = between.first_weight.shape
    pixels = np.array([width / columns, height / rows], np.float32)
    method = cv2.INTER_CUBIC if cubic else cv2.INTER_LINEAR
    here = _grid(height, width)
    warped = [
        cv2.remap(image, here + _resized(offset * pixels, (width, height)), None, method, borderMode=cv2.BORDER_REPLICATE)
        for image, offset in ((first, between.to_first), (second, between.to_second))
    ]
    weights = [_resized(weight, (width, height)) for weight in (between.first_weight, between.second_weight)]
    mixed = cv2.blendLinear(*warped, *weights)
    return np.clip(mixed, 0, 1, out=mixed).reshape(height, width, channels)


def _grid(height: int, width: int) -> np.ndarray:
    grid = np.empty((height, width, 2), np.float32)
    grid[..., 0], grid[..., 1] = np.arange(width), np.arange(height)[:, None]
    return grid


def _read(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.remap(image, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _resized(image: np.ndarray, size: tuple[int, int], method: int | None = None) -> np.ndarray:
    import cv2

    return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR if method is None else method)
