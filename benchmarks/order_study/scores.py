"""What an order made, measured against the truth: depth, frames, both eyes, and how they hang together."""

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

GRID = 64  # samples a side that ranks are compared by
SAME = 1.0  # pixels of parallax by which two depths of one point may differ

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
"""The scores, and whether more is better. Depth: boundary F1 exactly and within a pixel, boundary accuracy
and completeness in pixels, Spearman's rank correlation, root mean square error and its change from frame to
frame, both in percent of the truth's range. Pictures: PSNR in dB of the frames Stereo gets, of those in
between alone, of both eyes, and of these in a band of 8 pixels around depth edges; both where the one view
shows what they see. ``flicker``: how much the error of an eye changes from frame to frame, root mean square
in levels of 255. ``rivalry``: how much the errors of both eyes differ at points that both see, in the same
unit."""


def depth_scores(depth: Tensor, truth: Tensor, tolerant: bool = True) -> dict[str, float]:
    """Of maps ``[T, h, w]`` in the truth's scale, at any size; they are brought to the truth's by bilinear
    interpolation, as Stereo does.

    The costly ones are of the first and the last map; that with tolerance, if it is wanted, of the first
    alone.
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
    """Spearman's, of two maps ``[T, H, W]``, each frame by itself, on a grid; equal values share their mean
    rank.
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
    """Of the frames ``[2N, H, W, 3]`` that Stereo gets; nothing where they have another size than the
    truth.
    """
    if frames.shape != truth.frames.shape:
        return {"frames": math.nan, "between": math.nan}
    made, true = frames[truth.scored], truth.frames[truth.scored]
    odd = slice(1 - truth.scored.start % 2, None, 2)
    return {"frames": psnr(made, true), "between": psnr(made[odd], true[odd])}


def view_scores(pair: Tensor, truth: Truth, places: Places) -> dict[str, float]:
    """Of both eyes ``[2, 2N, H, W, 3]``."""
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
    """Where in the eyes of a truth the one view shows what they see (``visible``), where depth jumps nearby,
    and what both eyes see.
    """

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
        """Root mean square difference of the eyes' errors at the same points."""
        total, count = 0.0, 0
        for left, right, way, where in zip(*error, self.motion, self.shared):
            apart = left - torch.from_numpy(warp(right.numpy(), way, cubic=False)).view(right.shape)
            total += apart[where].double().square().sum().item()
            count += int(where.sum()) * apart.shape[-1]
        return math.sqrt(total / count) if count else math.nan


def _shown(depth: Tensor, other: Tensor, shift: float) -> Tensor:
    """True where a point of one view ``[T, H, W]``, ``shift * depth`` pixels further left in another, has its
    depth there.
    """
    width = depth.shape[-1]
    column = torch.arange(width) - shift * depth
    inside = (column >= 0) & (column <= width - 1)
    first = column.floor().long().clamp(0, width - 1)
    there = torch.stack([other.gather(-1, first), other.gather(-1, (first + 1).clamp(max=width - 1))])
    return inside & (((there - depth) * shift).abs().amin(0) < SAME)
