"""No-reference measures: how well depth fits the frame, which detail lasts, and whether both views agree.

Each has its formula and source. Frames are ``[H, W, C]`` and maps ``[H, W]``, in 0..1; motion is as in
``metrics``.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ...image.flow import warp
from ..depth_metrics import REACH, canny, distance_to

NEAR = 2.0  # pixels within which an edge of depth counts as lying on one of the picture
HIDDEN = 1.0  # pixels of parallax by which something in front hides what lies behind it
ENDS = (0.02, 0.98)  # of a frame's depths: its range without strays


def edge_distance(picture: Tensor, reach: float = REACH) -> np.ndarray:
    """Pixels from everywhere to the closest edge (Canny's) of a gray ``picture``, at most ``reach``;
    ``reach`` where it has none.
    """
    return distance_to(canny(picture)).clip(max=reach)


def edge_alignment(depth: Tensor, distance: np.ndarray) -> tuple[float, float, float]:
    """How far the edges of ``depth`` lie from the picture's: mean pixels, the share of them within ``NEAR``,
    their share of all pixels.

    ``distance`` is the picture's ``edge_distance``. The accuracy half of iBims-1's depth boundary error (Koch
    et al., 2018) with the picture's edges in the place of the true ones; edges beyond its reach count as
    ``reach`` and are not left out, so that an edge where the picture has none costs something. A picture full
    of edges is close to any: give all that are compared the same. NaN without edges.
    """
    edges = canny(depth)
    if not edges.any():
        return math.nan, math.nan, 0.0
    away = distance[edges]
    return float(away.mean()), float((away <= NEAR).mean()), float(edges.mean())


def lasting_detail(first: Tensor, second: Tensor, motion: np.ndarray, visible: Tensor) -> float:
    """Sharpness of what stays: ``sqrt(max(0, mean_M(grad V_t . grad W(V_t+1)) / 2))``, in the unit of the
    frames.

    W reads the second frame along ``motion``, M is ``visible`` ``[H, W]``. Gradient energy
    (``metrics.gradient_energy``) counts noise as detail; the product of two moments leaves out what is not
    there again in the next one. Noise is not: its covariance is zero. Detail that is wrong and steady
    counts. NaN where nothing is visible.
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
    """Mean absolute difference of the left eye from the right one, read where ``parallax`` ``[H, W]``
    (pixels) says, over what both see.

    ``mean_M |L(x) - R(x - D(x))|``: the photometric error of stereo matching (Scharstein & Szeliski, 2002)
    under a disparity that is known. M leaves out what leaves the frame and what something nearer hides in the
    right eye (a z-buffer of D there). NaN if nothing is left.
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
    """How deep a map is: the distance from its second to its 98th percentile. A flat one is steady and tears
    no holes.
    """
    seen = depth.flatten()[:: max(1, depth.numel() >> 16)].sort().values
    low, high = (seen[round(end * (len(seen) - 1))] for end in ENDS)
    return float(high - low)


def _gradients(frame: Tensor) -> tuple[Tensor, Tensor]:
    """Differences from the left and the upper neighbour, ``[H - 1, W - 1, C]`` each."""
    return frame[1:, 1:] - frame[1:, :-1], frame[1:, 1:] - frame[:-1, 1:]
