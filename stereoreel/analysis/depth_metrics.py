"""Metrics of depth: accuracy at edges and temporal stability of maps ``[..., H, W]``.

Each has its formula and source. Relative depth is inverse: larger is nearer, 0 is infinitely far. Unless a
scale is named, any is valid. Boundary F1 counts edges by ratios, which an added constant changes: compare
only maps with the same zero.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..image.flow import warp
from .metrics import psnr

RATIOS = (1.05, 1.25, 10)  # of neighbouring depths that make an edge: from, to, how many (Depth Pro)
FLOOR = 1e-3  # of a map's largest value; distances below it cannot be distinguished
# Canny's: a Gaussian's sigma in pixels, and thresholds of Sobel's sums over a map of 0..1
BLUR, WEAK, STRONG = math.sqrt(2), 0.15, 0.3
REACH = 10.0  # pixels beyond which an edge counts as a different one
PHOTOMETRIC = 50.0  # how fast the weight of a pixel falls with its square error in colour (NVDS)


def boundary_f1(depth: Tensor, truth: Tensor, tolerance: int = 0) -> float:
    """Scale-invariant boundary F1 of Depth Pro (Bochkovskii et al., 2024), 0..1, of ``[..., H, W]``.

    The edges of all frames are counted together. An edge is a pair of neighbours with a depth ratio above t,
    in one of four directions; the F1 of found and true pairs is averaged over ten t from 1.05 to 1.25,
    weighted by t. Inverse depth gives the same as depth. A pair must be at the exact position; with
    ``tolerance`` it may be off by so many pixels in any direction, which changes precision and recall
    independently. A t at which neither has an edge is left out (the original counts 0); NaN if that is every
    t.
    """
    total = weights = 0.0
    for ratio in np.linspace(*RATIOS).tolist():
        found, true = _occlusions(depth, ratio), _occlusions(truth, ratio)
        hits = [
            (one & _dilated(other, tolerance)).sum().item()
            for pair in zip(found, true)
            for one, other in (pair, pair[::-1])
        ]
        counts = sum(part.sum().item() for part in found), sum(part.sum().item() for part in true)
        if not any(counts):
            continue
        precision, recall = (
            sum(some) / max(count, 1) for some, count in zip((hits[::2], hits[1::2]), counts)
        )
        total += ratio * 2 * precision * recall / max(precision + recall, 1e-12)
        weights += ratio
    return total / weights if weights else math.nan


def boundary_error(depth: Tensor, truth: Tensor, reach: float = REACH) -> tuple[float, float]:
    """Depth boundary error of iBims-1 (Koch et al., 2018) of ``[H, W]``, in pixels, 0 is best.

    Returns accuracy and completeness, the truncated chamfer distances: how far the found edges within
    ``reach`` of a true one are from it, and how far true edges are from found ones, at most ``reach``. Edges
    of either map are Canny's after it is scaled to 0..1, so neither scale nor shift matters, and a ramp
    counts as an edge in its middle. Both are ``reach`` if no found edge is near a true one, and NaN if there
    is no true one.
    """
    found, true = canny(depth), canny(truth)
    if not true.any():
        return math.nan, math.nan
    away = distance_to(true)[found]
    if not (near := away < reach).any():
        return reach, reach
    return float(away[near].mean(dtype=np.float64)), float(
        distance_to(found)[true].clip(max=reach).mean(dtype=np.float64)
    )


def canny(depth: Tensor) -> np.ndarray:
    """Return True ``[H, W]`` on the edges of a map ``[H, W]``, one pixel wide; none if it is flat."""
    import cv2

    values = depth.detach().double().cpu().numpy()
    low, high = values.min(), values.max()
    if not high > low:
        return np.zeros(values.shape, bool)
    smooth = cv2.GaussianBlur(((values - low) / (high - low)).astype(np.float32), (0, 0), BLUR)
    unit = 4096  # a slope of Sobel's, at most 4, in whole numbers
    across, down = (
        np.rint(cv2.Sobel(smooth, cv2.CV_32F, *axis) * unit).astype(np.int16) for axis in ((1, 0), (0, 1))
    )
    return np.asarray(cv2.Canny(across, down, WEAK * unit, STRONG * unit, L2gradient=True)) > 0


def distance_to(edges: np.ndarray) -> np.ndarray:
    """Return the pixels ``[H, W]`` to the nearest of ``edges`` (True); infinite if there is none."""
    import cv2

    if not edges.any():
        return np.full(edges.shape, np.inf, np.float32)
    return cv2.distanceTransform((~edges).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def edge_band(disparity: Tensor, reach: int = 8, step: float = 1.0) -> Tensor:
    """Return True ``[..., H, W]`` near jumps of ``disparity`` (pixels).

    A jump is a difference of neighbours above ``step``; near is within ``reach`` pixels.
    """
    jump = torch.zeros_like(disparity, dtype=torch.bool)
    for axis in (-1, -2):
        size = disparity.shape[axis] - 1
        steps = (disparity.narrow(axis, 1, size) - disparity.narrow(axis, 0, size)).abs() > step
        jump.narrow(axis, 1, size).logical_or_(steps)
    return _dilated(jump, reach)


def edge_psnr(
    image: Tensor, truth: Tensor, disparity: Tensor, visible: Tensor | None = None, reach: int = 8
) -> float:
    """PSNR in dB of a view ``[..., H, W, C]`` near the jumps of its true ``disparity`` ``[..., H, W]``.

    Disparity is in pixels. This measures rubber sheets. Only the pixels ``visible`` ``[..., H, W]`` in the
    source count, because filled holes are a guess. Infinite if equal, NaN if nothing is left.
    """
    band = edge_band(disparity, reach)
    band = band if visible is None else band & visible
    return psnr(image, truth, band) if band.any() else math.nan


def temporal_alignment_error(
    depth: Tensor, intrinsics: Tensor, poses: Tensor, where: Tensor | None = None
) -> float:
    """TAE of Video Depth Anything (Chen et al., CVPR 2025), of a still scene with a moving camera.

    Published figures are 100 times it. Each frame's ``depth`` ``[T, H, W]`` (linear, any unit, 0 or infinite
    if unknown) is projected to the next and the previous frame, by ``intrinsics`` ``[3, 3]`` and ``poses``
    ``[T, 4, 4]`` (camera to world, the depth's unit), and compared: the mean of ``|d' - d| / d``. Of points
    that meet in a pixel the nearest counts, and between pixels inverse depth is linear, so that planes are
    exact; the original takes the last point and the nearest pixel. Outlines are not exact: ``where`` ``[T, H,
    W]`` says which pixels count, both as source and as target. Relative depth must first be brought to the
    truth's scale and shift. NaN if nothing is visible twice.
    """
    depth, intrinsics, poses = depth.double(), intrinsics.double(), poses.double()
    where = torch.ones_like(depth, dtype=torch.bool) if where is None else where
    errors = []
    for first in range(len(depth) - 1):
        for here, there in ((first, first + 1), (first + 1, first)):
            way = torch.linalg.inv(poses[there]) @ poses[here]
            error = _reprojection_errors(depth[[here, there]], where[[here, there]], intrinsics, way)
            errors += [error.mean()] if len(error) else []
    return torch.stack(errors).mean().item() if errors else math.nan


def flow_consistency(
    depth: Tensor, motion: np.ndarray, frames: Tensor | None = None, visible: Tensor | None = None
) -> float:
    """OPW of NVDS (Wang et al., ICCV 2023): mean of ``|D_t - W(D_t+1)|``, 0 is best.

    It is in the unit of ``depth`` ``[T, H, W]``. W samples the next frame along ``motion`` ``[T - 1, H, W,
    2]``. A pixel has the weight ``exp(-50 |I_t - W(I_t+1)|^2)`` by its colour in ``frames`` ``[T, H, W, C]``,
    as in NVDS, and none if it leaves the frame or is not ``visible`` ``[T - 1, H, W]``. The sum is divided by
    that of the weights, so that hidden pixels do not flatter. Depth is assumed to be constant along the
    motion: approaching objects count as errors. NaN if nothing is visible.
    """
    total = weights = 0.0
    for t, way in enumerate(motion):
        weight = _inside(way) if visible is None else _inside(way) * visible[t].cpu()
        if frames is not None:
            weight *= torch.exp(
                -PHOTOMETRIC * (frames[t].cpu() - _warped(frames[t + 1], way)).double().square().sum(-1)
            )
        total += (weight * (depth[t].cpu() - _warped(depth[t + 1], way)).abs()).sum().item()
        weights += weight.sum().item()
    return total / weights if weights else math.nan


def parallax_step(
    depth: Tensor, width: int = 1920, divergence: float = 2.0, where: Tensor | None = None
) -> float:
    """Largest change of parallax from one frame to the next in a still area, in pixels.

    ``depth`` ``[T, H, W]`` is 0..1 as Stereo takes it, in a frame ``width`` pixels wide; 1 is ``divergence``
    percent of the width. ``where`` ``[H, W]`` or ``[T - 1, H, W]`` marks the still area. NaN if it is empty,
    or if there is only one frame.
    """
    steps = (depth[1:].double() - depth[:-1].double()).abs() * (divergence / 100 * width)
    steps = steps.flatten() if where is None else steps[where.expand(steps.shape)]
    return steps.max().item() if len(steps) else math.nan


def _occlusions(depth: Tensor, ratio: float) -> list[Tensor]:
    """Return where a pixel is nearer than its right, left, lower or upper neighbour, by over ``ratio``."""
    depth = depth.double()
    depth = depth.clamp(min=max(FLOOR * depth.max().item(), 1e-300))
    pairs = (depth[..., 1:], depth[..., :-1]), (depth[..., 1:, :], depth[..., :-1, :])
    return [one > ratio * other for pair in pairs for one, other in (pair, pair[::-1])]


def _dilated(mask: Tensor, reach: int) -> Tensor:
    """Return True within ``reach`` pixels, in a square, of a mask ``[..., H, W]``."""
    if not reach:
        return mask
    planes = F.max_pool2d(mask.float().reshape(-1, 1, *mask.shape[-2:]), 2 * reach + 1, 1, reach)
    return (planes > 0).view(mask.shape)


def _reprojection_errors(depth: Tensor, where: Tensor, intrinsics: Tensor, way: Tensor) -> Tensor:
    """Return relative errors ``[n]`` of one frame's points against the depth of another, at their targets.

    Both frames are ``[2, H, W]``.
    """
    height, width = depth.shape[1:]
    known = torch.isfinite(depth) & (depth > 0)
    y, x = known[0].nonzero(as_tuple=True)
    points = torch.linalg.inv(intrinsics) @ torch.stack([x, y, torch.ones_like(x)]).to(depth) * depth[0, y, x]
    points = way[:3, :3] @ points + way[:3, 3:]
    away, (u, v) = points[2], (intrinsics @ points)[:2] / points[2]
    inside = (away > 0) & (u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1)
    away, u, v, counts = away[inside], u[inside], v[inside], where[0, y, x][inside]
    pixel = v.round().long() * width + u.round().long()
    nearest = torch.full((height * width,), math.inf).to(depth).scatter_reduce(0, pixel, away, "amin")
    inverse = torch.where(known[1] & where[1], 1 / depth[1], math.nan)
    place = torch.stack([u / max(width - 1, 1), v / max(height - 1, 1)], -1) * 2 - 1
    seen = F.grid_sample(inverse[None, None], place[None, None], align_corners=True)[0, 0, 0]
    counts &= (away <= nearest[pixel]) & torch.isfinite(seen)
    return (1 - away[counts] * seen[counts]).abs()


def _inside(way: np.ndarray) -> Tensor:
    """Return 1 ``[H, W]`` where motion ends within the frame, else 0."""
    ends = np.indices(way.shape[:2])[::-1] + np.moveaxis(way, -1, 0)
    last = np.array(way.shape[1::-1])[:, None, None] - 1
    return torch.from_numpy(((ends >= 0) & (ends <= last)).all(0).astype(np.float64))


def _warped(image: Tensor, way: np.ndarray) -> Tensor:
    """Sample an image ``[H, W]`` or ``[H, W, C]`` along motion, bilinear."""
    return torch.from_numpy(warp(image.float().cpu().numpy(), way, cubic=False)).view(image.shape)
