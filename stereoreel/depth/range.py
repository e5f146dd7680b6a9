"""A calm range for relative depth: percentiles, aligned from frame to frame, so one bright particle does not move the scene."""

from __future__ import annotations

import torch
from torch import Tensor

GRID = 96  # samples a side that the range is judged by


class RunningRange:
    """Maps raw inverse depth of any scale to 0..1, frame after frame of one shot.

    Each frame's scale and shift are first matched to the frame before (most pixels of a shot keep their depth, so the many outvote
    the few that changed); then the percentiles ``low`` and ``high`` of the aligned frame become 0 and 1, following a change of scene
    content by the share ``adapt`` a frame. The result depends on the frames and their order only, not on how they were chunked.
    """

    def __init__(self, low: float = 0.02, high: float = 0.98, adapt: float = 0.03, align: bool = True):
        self._percentiles, self._adapt, self._align = (low, high), adapt, align
        self._before: Tensor | None = None  # samples of the last frame, aligned
        self._range: Tensor | None = None

    def __call__(self, raw: Tensor) -> Tensor:
        """``raw`` ``[T, H, W, 1]``, larger is nearer, in 0..1."""
        return torch.stack([self._one(frame) for frame in raw.float()])

    def _one(self, frame: Tensor) -> Tensor:
        rows, columns = (torch.linspace(0, size - 1, min(size, GRID)).round().long() for size in frame.shape[:2])
        samples = frame[rows.to(frame.device)][:, columns.to(frame.device)].flatten().cpu()
        scale, shift = 1.0, 0.0
        if self._before is not None and self._align:
            scale, shift = match(samples, self._before)
        samples = samples * scale + shift
        spread = torch.quantile(samples, torch.tensor(self._percentiles))
        self._range = spread if self._range is None else self._range + self._adapt * (spread - self._range)
        self._before = samples
        low, high = self._range.tolist()
        if high - low < 1e-6:
            return torch.full_like(frame, 0.5)
        return ((frame * scale + (shift - low)) / (high - low)).clamp(0, 1)


def match(new: Tensor, old: Tensor) -> tuple[float, float]:
    """Scale and shift that take ``new`` to ``old`` ``[N]``, robust to the samples that truly changed.

    The scale is the ratio of the two spreads, not a regression slope, which noise would shrink a little with every frame.
    """
    weight = torch.ones_like(new)
    scale, shift = 1.0, 0.0
    for _ in range(8):
        total = weight.sum()
        means = [(weight * part).sum() / total for part in (new, old)]
        spreads = [((weight * (part - mean) ** 2).sum() / total).sqrt() for part, mean in zip((new, old), means)]
        if min(spreads) < 1e-9:
            return 1.0, float(means[1] - means[0])
        scale = float((spreads[1] / spreads[0]).clamp(0.2, 5))
        shift = float(means[1] - scale * means[0])
        error = (new * scale + shift - old).abs()
        weight = 1 / (1 + (error / (2 * error.median() + 1e-4 * spreads[1])) ** 2)
    return scale, shift
