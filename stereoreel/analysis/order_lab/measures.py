"""No-reference measures: fit of depth to the frame, lasting detail, and agreement of both views."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ...image.flow import warp
from ..depth_metrics import REACH, canny, distance_to

NEAR = 2.0  # pixels within which a depth edge counts as aligned with an image edge
HIDDEN = 1.0  # pixels of parallax from which a nearer object occludes
ENDS = (0.02, 0.98)  # of a frame's depths: its range without outliers


def edge_distance(picture: Tensor, reach: float = REACH) -> np.ndarray:
    """Return the pixels to the closest edge (Canny's) of a grey ``picture``, at most ``reach``."""
    return distance_to(canny(picture)).clip(max=reach)


def edge_alignment(depth: Tensor, distance: np.ndarray) -> tuple[float, float, float]:
    """Return how far depth edges are from the image's: mean pixels, share within ``NEAR``, share of pixels.

    The last is the share of edges in all pixels. ``distance`` is the image's ``edge_distance``. The accuracy
    half of iBims-1's depth boundary error (Koch et al., 2018) with the image's edges instead of the true
    ones; edges beyond its reach count as ``reach`` and are not left out, so that an edge without an image
    edge has a cost. An image full of edges is close to any: use the same image for all maps compared. NaN
    without edges.
    """
    edges = canny(depth)
    if not edges.any():
        return math.nan, math.nan, 0.0
    away = distance[edges]
    return float(away.mean()), float((away <= NEAR).mean()), float(edges.mean())


def lasting_detail(first: Tensor, second: Tensor, motion: np.ndarray, visible: Tensor) -> float:
    """Sharpness of lasting detail: ``sqrt(max(0, mean_M(grad V_t . grad W(V_t+1)) / 2))``.

    It is in the unit of the frames. W samples the second frame along ``motion``, M is ``visible`` ``[H, W]``.
    Gradient energy (``metrics.gradient_energy``) counts noise as detail; the product of two moments excludes
    what does not recur in the next one. Noise does not: its covariance is zero. Detail that is wrong and
    stable counts. NaN if nothing is visible.
    """
    moved = torch.from_numpy(warp(second.cpu().numpy(), motion)).view(second.shape)
    inside = visible[1:, 1:] & visible[:-1, 1:] & visible[1:, :-1]
    if not inside.any():
        return math.nan
    total = sum(
        (one * other)[inside].double().mean().item()
        for one, other in zip(_gradients(first.cpu()), _gradients(moved))
    )
    return math.sqrt(max(0.0, total) / 2)


def eye_difference(left: Tensor, right: Tensor, parallax: Tensor) -> float:
    """Mean absolute difference of the left view from the right one, sampled by ``parallax`` ``[H, W]``.

    Parallax is in pixels. ``mean_M |L(x) - R(x - D(x))|``: the photometric error of stereo matching
    (Scharstein & Szeliski, 2002) under a known disparity. M excludes what leaves the frame and what a nearer
    object hides in the right view (a z-buffer of D). NaN if nothing is left.
    """
    height, width = parallax.shape
    column = torch.arange(width, dtype=torch.float32).expand(height, width)
    target = column - parallax
    place = target.round().long().clamp(0, width - 1)
    nearest = torch.full((height, width), -math.inf).scatter_reduce(1, place, parallax, "amax")
    seen = (nearest.gather(1, place) - parallax <= HIDDEN) & (target >= 0) & (target <= width - 1)
    if not seen.any():
        return math.nan
    motion = np.zeros((height, width, 2), np.float32)
    motion[..., 0] = -parallax.numpy()
    shown = torch.from_numpy(warp(right.numpy(), motion)).view(left.shape)
    return (left - shown).abs()[seen].double().mean().item()


def relief(depth: Tensor) -> float:
    """Return the range of a map: from its 2nd to its 98th percentile.

    A flat map is stable and opens no holes.
    """
    seen = depth.flatten()[:: max(1, depth.numel() >> 16)].sort().values
    low, high = (seen[round(end * (len(seen) - 1))] for end in ENDS)
    return float(high - low)


def _gradients(frame: Tensor) -> tuple[Tensor, Tensor]:
    """Return differences from the left and the upper neighbour, ``[H - 1, W - 1, C]`` each."""
    return frame[1:, 1:] - frame[1:, :-1], frame[1:, 1:] - frame[:-1, 1:]
