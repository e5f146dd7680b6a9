"""Project motion to a time between two frames, and render the frame there.

The flow is splatted, not the colour, so colour is resampled once: softmax splatting of motion, weighted by
its consistency with both frames, then a backward warp of each frame and a blend by visibility. Motion is
measured at half the size and stored on a grid of ``CELL`` pixels, its real resolution, so the splat costs
only a few milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from ...image.coarse_flow import coarse_flow
from ...image.cut_detection import correlation, match_exposure, reduced
from ...image.flow import SMALLEST, Search, search
from .scrolling import shifted
from .still import Layer, layers

CELL = 4
WIDEST = 960  # largest side for measuring motion
# OpenCV's own medium: four times as long for 0.1 dB
SEARCHES = {"fast": Search(1, 12, 5, 0), "medium": Search(0, 12, 5, 0)}
# per unit of luma difference, per pixel that forward and backward flow disagree
COLOR_TRUST, ROUND_TRIP_TRUST = 10.0, 0.25
# minimum trust of a pixel that fails both tests, so that unexplained areas are covered
FAINT = 1e-4
FLASH = 12  # levels: difference of the means from which two frames are brought into one light
SAME = 0.5  # their correlation, from which they show the same
NOTHING = 1e-6  # minimum weight of a cell without samples
# sum of two pixels' weights: OpenCV adds 1e-5 to it, which would darken what both frames distrust
WEIGHT = np.float32(1024)


class Motion(NamedTuple):
    """Flow both ways on the grid ``[h, w, 2]``, in cells, its trust ``[h, w]``, and both lumas, 0..1.

    ``layers`` are what stands still, or scrolls, over it.
    """

    forward: np.ndarray
    backward: np.ndarray
    forward_trust: np.ndarray
    backward_trust: np.ndarray
    first: np.ndarray
    second: np.ndarray
    layers: Sequence[Layer] = ()


class Between(NamedTuple):
    """Motion at time ``t`` from first to second frame ``[h, w, 2]``, in cells, and the frames' weights."""

    t: float
    mean: np.ndarray
    first_weight: np.ndarray
    second_weight: np.ndarray
    motion: Motion


def measure(
    first: np.ndarray, second: np.ndarray, quality: str, shape: tuple[int, int] | None = None
) -> Motion:
    """Measure the motion between two frames' luma, uint8 ``[H, W]``.

    Lumas that are smaller than the frames have the size at which motion is measured, and ``shape`` is theirs.
    """
    import cv2

    shape = shape or (first.shape[0], first.shape[1])
    size = measured_size(*shape)
    images = [_resized(image, size, cv2.INTER_AREA) for image in (first, second)]
    alike = _in_one_light(*images)
    forward, backward = (_on_grid(flow, *shape) for flow in _searched(alike, SEARCHES[quality]))
    grid = forward.shape[1::-1]
    left, right = (_resized(image, grid, cv2.INTER_AREA).astype(np.float32) / 255 for image in alike)
    trust, back_trust = _trust(left, right, forward, backward), _trust(right, left, backward, forward)
    if alike[0] is not images[0]:
        left, right = (_resized(image, grid, cv2.INTER_AREA).astype(np.float32) / 255 for image in images)
    return Motion(forward, backward, trust, back_trust, left, right, layers(first, second, forward))


def forward_motion(first: np.ndarray, second: np.ndarray, quality: str) -> np.ndarray:
    """Measure where each cell of the first luma, uint8 ``[H, W]``, went: ``[h, w, 2]``, in cells."""
    import cv2

    size = measured_size(*first.shape)
    small = _in_one_light(*(_resized(image, size, cv2.INTER_AREA) for image in (first, second)))
    if min(small[0].shape) < SMALLEST:
        return np.zeros((*small[0].shape, 2), np.float32)
    flow = search(*small, SEARCHES[quality], coarse_flow(*small))
    return _on_grid(flow, *first.shape)


def _on_grid(flow: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return flow ``[h, w, 2]``, in pixels, on the grid of frames of a size, in its cells."""
    import cv2

    size = flow.shape[1::-1]
    grid = tuple(min(-(-side // CELL), measured) for side, measured in zip((width, height), size))
    cells = np.array([part / whole for part, whole in zip(grid, size)], np.float32)
    return _resized(flow, grid, cv2.INTER_AREA) * cells


def _in_one_light(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two lumas, uint8, in one light: if one is much lighter, as in a flash, motion is lost.

    Those that do not show the same stay as they are.
    """
    apart = abs(float(first.mean()) - float(second.mean())) > FLASH
    same = apart and correlation(reduced(first), reduced(second)) > SAME
    return match_exposure(first, second) if same else (first, second)


def measured_size(height: int, width: int) -> tuple[int, int]:
    """Return the width and height for measuring motion: half, unless that is too small."""
    scale = min(0.5, WIDEST / max(height, width))
    size = round(width * scale), round(height * scale)
    return size if min(size) >= SMALLEST else (width, height)


def _searched(images: Sequence[np.ndarray], how: Search) -> list[np.ndarray]:
    """Return flow both ways, in parallel, because one search keeps few cores busy."""
    if min(images[0].shape) < SMALLEST:
        return [np.zeros((*images[0].shape, 2), np.float32)] * 2
    with ThreadPoolExecutor(2) as pool:
        starts = pool.map(coarse_flow, images, images[::-1])
        return list(pool.map(search, images, images[::-1], (how, how), starts))


def _trust(first: np.ndarray, second: np.ndarray, motion: np.ndarray, back: np.ndarray) -> np.ndarray:
    there = _grid(*first.shape) + motion
    trip = motion + _read(back, there)
    pixels = CELL * np.sqrt(np.square(trip).sum(-1))
    return np.maximum(
        np.exp(-COLOR_TRUST * np.abs(first - _read(second, there)) - ROUND_TRIP_TRUST * pixels), FAINT
    )


def project(motion: Motion, t: float) -> Between:
    """Return the motion through every cell at ``t``, 0 < t < 1; occluded areas take the other frame's motion.

    Both frames are sampled along the same mean motion: errors of the two flows cancel, and the two images
    blend without a shift.
    """
    forward, seen_first = _splat(motion.forward, motion.forward_trust, t)
    backward, seen_second = _splat(motion.backward, motion.backward_trust, 1 - t)
    first, second = (1 - t) * np.minimum(seen_first, 1), t * np.minimum(seen_second, 1)
    mean = (forward * first[..., None] - backward * second[..., None]) / np.maximum(first + second, NOTHING)[
        ..., None
    ]
    return Between(t, mean, first + NOTHING, second + NOTHING, motion)


def _splat(motion: np.ndarray, trust: np.ndarray, part: float) -> tuple[np.ndarray, np.ndarray]:
    """Splat each cell's motion at ``part`` of its way to four cells: mean motion, and weight."""
    height, width = trust.shape
    landing = (_grid(height, width) + np.float32(part) * motion).reshape(-1, 2)
    corner = np.floor(landing)
    right, below = (landing - corner).T
    # the target has a rim of one cell, for motion that leaves the frame
    column, row = (corner.astype(np.int32) + 1).T
    columns = np.clip(np.stack([column, column + 1]), 0, width + 1)
    rows = np.clip(np.stack([row, row + 1]), 0, height + 1)
    index = (rows[:, None] * (width + 2) + columns[None]).reshape(4, -1)
    share = (np.stack([1 - below, below])[:, None] * np.stack([1 - right, right])[None]).reshape(
        4, -1
    ) * trust.reshape(-1)

    def gather(values: np.ndarray) -> np.ndarray:
        total = np.bincount(index.reshape(-1), values.reshape(-1), minlength=(height + 2) * (width + 2))
        return total.reshape(height + 2, width + 2)[1:-1, 1:-1].astype(np.float32)

    weight = gather(share)
    moved = np.dstack([gather(share * motion[..., axis].reshape(-1)) for axis in (0, 1)])
    return moved / np.maximum(weight, NOTHING)[..., None], weight


def disagreement(between: Between) -> np.ndarray:
    """Return the difference ``[h, w]`` of the two warped frames, in luma 0..1, where both have weight."""
    first, second = (
        _read(image, places)
        for image, places in zip(
            (between.motion.first, between.motion.second), _places(between.mean, between.t)
        )
    )
    share = between.first_weight / (between.first_weight + between.second_weight)
    return np.abs(first - second) * (4 * share * (1 - share))


def compose(first: np.ndarray, second: np.ndarray, between: Between, cubic: bool = True) -> np.ndarray:
    """Render the frame ``[H, W, C]``, float32, 0..1, from two of one size, whatever size was measured."""
    height, width = first.shape[:2]
    placed = [_placed(layer, between, width, height) for layer in between.motion.layers]
    mixed = _blended(first, second, between, placed, cubic)
    for layer in placed:
        rows = np.flatnonzero(layer.here.any(1))
        if not rows.size:
            continue
        band = slice(rows[0], rows[-1] + 1)
        one, other = (_shifted_band(image, by, band, cubic) for image, by in zip((first, second), layer.ways))
        laid = one + np.float32(between.t) * (other - one)
        mixed[band] += layer.here[band, :, None] * (laid - mixed[band])
    return np.clip(mixed, 0, 1, out=mixed)


def _blended(
    first: np.ndarray, second: np.ndarray, between: Between, placed: Sequence[_Placed], cubic: bool
) -> np.ndarray:
    import cv2

    height, width, channels = first.shape
    rows, columns = between.first_weight.shape
    pixels = np.array([width / columns, height / rows], np.float32)
    method = cv2.INTER_CUBIC if cubic else cv2.INTER_LINEAR
    places = _places(_resized(between.mean * pixels, (width, height)), between.t)
    warped = [
        # OpenCV's stub lacks None for the second map
        cv2.remap(image, there, None, method, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
        for image, there in zip((first, second), places)
    ]
    weights = [_resized(weight, (width, height)) for weight in (between.first_weight, between.second_weight)]
    # a layer covers what moves behind it
    for layer in placed:
        for weight, there, part in zip(weights, places, (layer.first, layer.second)):
            covered = _read(part, there)
            weight *= np.subtract(1, covered, out=covered)
            weight += NOTHING
    share = WEIGHT / (weights[0] + weights[1])
    for weight in weights:
        weight *= share
    return cv2.blendLinear(*warped, *weights).reshape(height, width, channels)


class _Placed(NamedTuple):
    """A layer's part of each pixel in the first frame, the second and between; its ways to there."""

    first: np.ndarray
    second: np.ndarray
    here: np.ndarray
    ways: tuple[tuple[float, float], tuple[float, float]]


def _placed(layer: Layer, between: Between, width: int, height: int) -> _Placed:
    part = _resized(layer.part, (width, height))
    if not any(layer.speed):
        return _Placed(part, part, part, ((0.0, 0.0), (0.0, 0.0)))
    ratio = width / layer.part.shape[1], height / layer.part.shape[0]
    x, y = (speed * scale for speed, scale in zip(layer.speed, ratio))
    t, back = between.t, between.t - 1
    linear = _linear()
    return _Placed(
        part,
        shifted(part, (x, y), linear),
        shifted(part, (t * x, t * y), linear),
        ((t * x, t * y), (back * x, back * y)),
    )


def _shifted_band(image: np.ndarray, by: tuple[float, float], band: slice, cubic: bool) -> np.ndarray:
    """Return some rows of an image ``[H, W, C]`` moved by (x, y) pixels."""
    import cv2

    if not any(by):
        return image[band]
    margin = 4 + int(abs(by[1]))
    wide = slice(max(0, band.start - margin), min(len(image), band.stop + margin))
    moved = shifted(image[wide], by, cv2.INTER_LANCZOS4 if cubic else cv2.INTER_LINEAR)
    return moved[band.start - wide.start :][: band.stop - band.start]


def _linear() -> int:
    import cv2

    return cv2.INTER_LINEAR


def _places(mean: np.ndarray, t: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the position in each frame of every point at ``t``."""
    import cv2

    here = _grid(*mean.shape[:2])
    return cv2.scaleAdd(mean, -t, here), cv2.scaleAdd(mean, 1 - t, here)


def _grid(height: int, width: int) -> np.ndarray:
    grid = np.empty((height, width, 2), np.float32)
    grid[..., 0], grid[..., 1] = np.arange(width), np.arange(height)[:, None]
    return grid


def _read(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    import cv2

    # OpenCV's stub lacks None for the second map
    return cv2.remap(  # type: ignore[call-overload]
        image, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def _resized(image: np.ndarray, size: tuple[int, int], method: int | None = None) -> np.ndarray:
    import cv2

    return cv2.resize(image, size, interpolation=cv2.INTER_LINEAR if method is None else method)
