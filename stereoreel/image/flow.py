"""Optical flow without a neural network, and warping by it.

The flow is dense inverse search (Kroeger et al., ECCV 2016) from OpenCV.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..core import cancel
from .host_copy import Download


class Search(NamedTuple):
    """Parameters of dense inverse search.

    ``finest`` level of the pyramid (0 is the images themselves), ``steps`` of a patch, ``stride`` between
    patches in pixels of that level, rounds of variational ``refinement``.
    """

    finest: int
    steps: int
    stride: int
    refinement: int


# OpenCV's own
PRESETS = {"ultrafast": Search(2, 12, 4, 0), "fast": Search(2, 16, 4, 5), "medium": Search(1, 25, 3, 5)}
WEIGHTS = (0.299, 0.587, 0.114)  # of luma, as OpenCV has it
PATCH = 8  # pixels, of OpenCV's search
SMALLEST = 24  # pixels; smaller images have no pyramid for dense inverse search, and zero flow


def grayscale(frames: Tensor) -> np.ndarray:
    """Return uint8 luma ``[T, H, W]`` of frames ``[T, H, W, C]`` in 0..1; extra channels are ignored."""
    import cv2

    if frames.is_cuda:  # a byte of each pixel crosses the bus, not three floats
        return Download(luma_levels(frames)).wait().numpy()
    frames = frames[..., : 3 if frames.shape[-1] >= 3 else 1].cpu().float().contiguous()
    if frames.shape[-1] == 1:
        luma = frames[..., 0].clone()
    else:
        luma = torch.empty(frames.shape[:3])
        for index, frame in enumerate(frames.numpy()):  # one at a time, so that chunks cannot matter
            luma[index] = torch.from_numpy(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY))
    return _levels(luma).numpy()


def luma_levels(frames: Tensor) -> Tensor:
    """Return the same on the device of the frames, within a rounding."""
    frames = frames[..., : 3 if frames.shape[-1] >= 3 else 1]
    return _levels(_weighted(frames, WEIGHTS if frames.shape[-1] == 3 else WEIGHTS[:1]))


def _weighted(frames: Tensor, weights: tuple[float, ...]) -> Tensor:
    """Return luma as OpenCV has it, float32, within a rounding; never by a matrix product of few bits."""
    first, *others = frames.float().unbind(-1)
    luma = first * weights[0] if others else first.clone()
    for channel, weight in zip(others, weights[1:]):
        luma.add_(channel, alpha=weight)
    return luma


def _levels(luma: Tensor) -> Tensor:
    return luma.mul_(255).add_(0.5).clamp_(0, 255).to(torch.uint8)


def flow(first: np.ndarray, second: np.ndarray, preset: str = "medium", scale: float = 1.0) -> np.ndarray:
    """Where each pixel of ``first`` went in ``second``: float32 ``[H, W, 2]``, (x, y) in pixels.

    ``first`` and ``second`` are uint8 ``[H, W]``; ``scale`` below 1 estimates on smaller images, faster and
    coarser.
    """
    import cv2

    how, (height, width) = PRESETS[preset], first.shape
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    if min(small) < SMALLEST:
        if min(first.shape) < SMALLEST:
            return np.zeros((height, width, 2), np.float32)
        small = (width, height)
    if small != (width, height):
        first, second = (cv2.resize(image, small, interpolation=cv2.INTER_AREA) for image in (first, second))
    motion = search(first, second, how)
    if small == (width, height):
        return motion
    grown = cv2.resize(motion, (width, height), interpolation=cv2.INTER_LINEAR)
    return grown * np.array([width / small[0], height / small[1]], np.float32)


def search(first: np.ndarray, second: np.ndarray, how: Search, start: np.ndarray | None = None) -> np.ndarray:
    """Return the same for images at their own size; the shorter side must have ``SMALLEST`` pixels.

    The search begins at the flow ``start``, or at no motion.
    """
    import cv2

    cancel.check()
    searching = cv2.DISOpticalFlow.create()
    # a wide image with fewer than four patches in its height would crash OpenCV at the third level
    searching.setFinestScale(how.finest if min(first.shape) >= 4 * PATCH else min(how.finest, 1))
    searching.setGradientDescentIterations(how.steps)
    searching.setPatchStride(how.stride)
    searching.setVariationalRefinementIterations(how.refinement)
    begin: Any = start  # OpenCV's stubs do not declare None
    return np.asarray(searching.calc(np.ascontiguousarray(first), np.ascontiguousarray(second), begin))


def warp(image: np.ndarray, motion: np.ndarray, cubic: bool = True) -> np.ndarray:
    """Sample ``image`` ``[H, W]`` or ``[H, W, C]`` at ``x + motion``; pixels outside repeat the border."""
    import cv2

    rows, columns = np.indices(motion.shape[:2], dtype=np.float32)
    method = cv2.INTER_CUBIC if cubic else cv2.INTER_LINEAR
    return cv2.remap(
        image, columns + motion[..., 0], rows + motion[..., 1], method, borderMode=cv2.BORDER_REPLICATE
    )
