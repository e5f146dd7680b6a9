"""Scores of an order against the truth: depth, frames, both views, and their agreement."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from stereoreel.analysis.depth_metrics import boundary_error, boundary_f1, edge_band
from stereoreel.analysis.metrics import psnr
from stereoreel.image.flow import warp
from stereoreel.image.resize import resize

from .truth import DIVERGENCE, Truth

GRID = 64  # samples per side at which ranks are compared
SAME = 1.0  # pixels of parallax by which two depths of the same point may differ

HIGHER = {
    "f1": True,
    "f1_1px": True,
    "accuracy": False,
    "completeness": False,
    "rank": True,
    "depth_error": False,
    "depth_step": False,
    "frames": True,
    "between": True,
    "eyes": True,
    "edges": True,
    "flicker": False,
    "rivalry": False,
}
"""The scores, and whether higher is better.

Depth: boundary F1, exact and within a pixel; boundary accuracy and completeness in pixels; Spearman's rank
correlation; RMS error and its change from frame to frame, both in percent of the truth's range.

Frames and views: PSNR in dB of the frames that Stereo receives, of the interpolated ones alone, of both
views, and of both views within 8 pixels of depth edges; the last two where the input view shows what they
see. ``flicker``: change of a view's error from frame to frame, RMS in levels of 255. ``rivalry``: difference
between the errors of both views at the same points, in the same unit."""


def depth_scores(depth: Tensor, truth: Tensor, tolerant: bool = True) -> dict[str, float]:
    """Return the scores of depth maps ``[T, h, w]`` in the truth's scale, at any size.

    They are resized to the truth's size by bilinear interpolation, as in Stereo. The expensive scores use the
    first and the last map; the one with tolerance (``tolerant``) uses the first only.
    """
    if depth.shape != truth.shape:
        depth = resize(depth[..., None], *truth.shape[1:], method="bilinear")[..., 0]
    ends = slice(None, None, max(1, len(depth) - 1))
    both = [boundary_error(*pair) for pair in zip(depth[ends], truth[ends])]
    span = 100 / (truth.max() - truth.min()).clamp(min=1e-6).item()
    error = (depth - truth).double()
    return {
        "f1": boundary_f1(depth[ends], truth[ends]),
        **({"f1_1px": boundary_f1(depth[0], truth[0], 1)} if tolerant else {}),
        "accuracy": float(np.mean([one for one, _ in both])),
        "completeness": float(np.mean([other for _, other in both])),
        "rank": rank_correlation(depth, truth),
        "depth_error": span * error.square().mean().sqrt().item(),
        "depth_step": span * (error[1:] - error[:-1]).square().mean().sqrt().item(),
    }


def rank_correlation(a: Tensor, b: Tensor) -> float:
    """Return Spearman's rank correlation of two maps ``[T, H, W]``, the mean over frames, on a grid.

    Equal values share their mean rank.
    """
    return float(
        np.mean(
            [
                np.corrcoef(_ranks(one), _ranks(other))[0, 1] if one.std() > 0 and other.std() > 0 else 0.0
                for one, other in zip(a, b)
            ]
        )
    )


def _ranks(image: Tensor) -> np.ndarray:
    steps = [max(1, side // GRID) for side in image.shape]
    _, place, count = np.unique(
        image[:: steps[0], :: steps[1]].numpy().ravel(), return_inverse=True, return_counts=True
    )
    return (np.cumsum(count) - (count - 1) / 2)[place.ravel()]


def frame_scores(frames: Tensor, truth: Truth) -> dict[str, float]:
    """Return the scores of the frames ``[2N, H, W, 3]`` that Stereo receives; NaN at another size."""
    if frames.shape != truth.frames.shape:
        return {"frames": math.nan, "between": math.nan}
    scored, true = frames[truth.scored], truth.frames[truth.scored]
    odd = slice(1 - truth.scored.start % 2, None, 2)
    return {"frames": psnr(scored, true), "between": psnr(scored[odd], true[odd])}


def view_scores(pair: Tensor, truth: Truth, places: Places) -> dict[str, float]:
    """Return the scores of both views ``[2, 2N, H, W, 3]``."""
    error = pair[:, truth.scored] - truth.eyes
    square, change = (
        error.square().mean(-1).double(),
        (error[:, 1:] - error[:, :-1]).square().mean(-1).double(),
    )
    seen = places.visible[:, 1:] & places.visible[:, :-1]
    return {
        "eyes": _decibels(square[places.visible]), "edges": _decibels(square[places.edges]),
        "flicker": 255 * change[seen].mean().sqrt().item(), "rivalry": 255 * places.rivalry(error),
    }  # fmt: skip


def _decibels(square: Tensor) -> float:
    mean = square.mean().item()
    return -10 * math.log10(mean) if mean > 0 else math.inf


class Places:
    """Masks of both views: what the input view shows too, the same near depth edges, and what both show."""

    def __init__(self, truth: Truth):
        width = truth.size[1]
        shift = DIVERGENCE / 100 * width
        middle = truth.depth[truth.scored][..., 0]
        left, right = truth.eye_depths
        self.visible = torch.stack([_shown(left, middle, shift / 2), _shown(right, middle, -shift / 2)])
        self.edges = self.visible & edge_band(truth.eye_depths * shift)
        self.shared = _shown(left, right, shift) & self.visible[0]
        self.motion = torch.stack([-shift * left, torch.zeros_like(left)], -1).numpy()

    def rivalry(self, error: Tensor) -> float:
        """Return the RMS difference between the errors of both views at the same points."""
        total, count = 0.0, 0
        for left, right, way, where in zip(*error, self.motion, self.shared):
            apart = left - torch.from_numpy(warp(right.numpy(), way, cubic=False)).view(right.shape)
            total += apart[where].double().square().sum().item()
            count += int(where.sum()) * apart.shape[-1]
        return math.sqrt(total / count) if count else math.nan


def _shown(depth: Tensor, other: Tensor, shift: float) -> Tensor:
    """Return True where a point of one view ``[T, H, W]`` is visible in another one.

    There it is ``shift * depth`` pixels further left and must have the same depth.
    """
    width = depth.shape[-1]
    column = torch.arange(width) - shift * depth
    inside = (column >= 0) & (column <= width - 1)
    first = column.floor().long().clamp(0, width - 1)
    there = torch.stack([other.gather(-1, first), other.gather(-1, (first + 1).clamp(max=width - 1))])
    return inside & (((there - depth) * shift).abs().amin(0) < SAME)
