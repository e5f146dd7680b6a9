"""Align depth edges with image edges: a colour-guided filter at working size, and joint upsampling."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...image import native
from ...image.edge_snap import mask_indices

# change of depth from pixel to pixel from which the image's edges begin to place it, and from which they do
EDGE = (0.015, 0.03)
LUMA_STEP = 0.06  # luma difference at which two pixels count as different surfaces
FLOOR = 0.02  # of the weights, so that none is 0, and of the difference, so that none is infinite
TOGETHER = 1 << 15  # pixels upsampled at a time, which fit in a CPU's cache


def guided(values: np.ndarray, guide: np.ndarray, radius: int, softness: float, step: int = 1) -> np.ndarray:
    """Smooth ``values`` ``[H, W, K]`` where ``guide`` ``[H, W, 3]`` (0..1) is smooth.

    After He et al. (ECCV 2010 and arXiv 1505.00996). ``softness`` is the guide's variance below which a
    window counts as flat. ``step`` > 1 fits on images reduced by it; edges stay sharp.
    """
    import cv2

    height, width = guide.shape[:2]
    size = (max(1, width // step), max(1, height // step))
    slope, offset = _fit(
        _resize(values, size, cv2.INTER_AREA),
        _resize(guide, size, cv2.INTER_AREA),
        max(1, radius // step),
        softness,
    )
    offset = _resize(offset, (width, height), cv2.INTER_LINEAR)
    slope = [_resize(part, (width, height), cv2.INTER_LINEAR) for part in slope]
    return np.stack([(part * guide).sum(-1) for part in slope], -1) + offset


def _fit(
    values: np.ndarray, guide: np.ndarray, radius: int, softness: float
) -> tuple[list[np.ndarray], np.ndarray]:
    """Fit local linear models ``values ~ slope . guide + offset``, averaged over windows.

    Return K slopes ``[h, w, 3]`` and the offset ``[h, w, K]``.
    """
    import cv2

    def mean(image):
        return cv2.blur(image, (2 * radius + 1,) * 2, borderType=cv2.BORDER_REFLECT).reshape(image.shape)

    pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    centre, level = mean(guide), mean(values)
    products = mean(np.stack([guide[..., i] * guide[..., j] for i, j in pairs], -1))
    inverse = _inverse(
        [
            products[..., k] - centre[..., i] * centre[..., j] + softness * (i == j)
            for k, (i, j) in enumerate(pairs)
        ]
    )
    slopes, offsets = [], []
    for k in range(values.shape[-1]):
        cross = mean(guide * values[..., k : k + 1]) - centre * level[..., k : k + 1]
        slope = np.stack([sum(inverse[i][j] * cross[..., j] for j in range(3)) for i in range(3)], -1)
        slopes.append(mean(slope))
        offsets.append(mean(level[..., k] - (slope * centre).sum(-1)))
    return slopes, np.stack(offsets, -1)


def _resize(image: np.ndarray, size: tuple[int, int], method: int) -> np.ndarray:
    import cv2

    return (
        image
        if image.shape[1::-1] == size
        else cv2.resize(image, size, interpolation=method).reshape(*size[::-1], image.shape[-1])
    )


def _inverse(covariance: list[np.ndarray]) -> list[list[np.ndarray]]:
    """Invert symmetric 3x3 matrices, given as their six upper entries, each ``[H, W]``."""
    a, b, c, d, e, f = covariance
    rows = [
        [d * f - e * e, c * e - b * f, b * e - c * d],
        [None, a * f - c * c, b * c - a * e],
        [None, None, a * d - b * b],
    ]
    determinant = a * rows[0][0] + b * rows[0][1] + c * rows[0][2]
    return [[rows[min(i, j)][max(i, j)] / determinant for j in range(3)] for i in range(3)]


def upsample(depth: Tensor, small: Tensor, large: Tensor) -> Tensor:
    """Upsample ``depth`` ``[h, w]`` to the size of ``large`` ``[H, W]``; edges follow ``large``.

    Where depth changes by ``EDGE``, weights are bilinear, times the similarity of luma. ``small``
    ``[h, w]`` and ``large`` are luma in 0..255, uint8. Every value is between its four neighbours, so there
    is no ringing.
    """
    if depth.shape == large.shape:
        return depth
    if large.device.type == "cpu" and native.enabled():
        from .compiled import upsample as compiled

        return compiled(depth, small, large)
    return upsample_parts(depth, small, large)


def upsample_parts(depth: Tensor, small: Tensor, large: Tensor) -> Tensor:
    """Upsample without a compiler, on any device; see ``upsample``."""
    result = F.interpolate(depth[None, None], large.shape, mode="bilinear", align_corners=False)[0, 0]
    (top, down), (left, across) = (
        between(size, grown, large.device) for size, grown in zip(depth.shape, large.shape)
    )
    four = _squares(depth)
    step = four.amax(0) - four.amin(0)
    share = ((step - EDGE[0]) / (EDGE[1] - EDGE[0])).clamp_(0, 1)
    row, column = mask_indices((step > EDGE[0]).index_select(0, top).index_select(1, left))
    lumas = _squares(small.float())
    together = TOGETHER if large.device.type == "cpu" else max(1, len(row))
    for rows, columns in zip(row.split(together), column.split(together)):
        place, target = top.take(rows) * depth.shape[1] + left.take(columns), rows * large.shape[1] + columns
        own, by_row, by_column = large.take(target).float(), down.take(rows), across.take(columns)
        corners = [(y, x) for y in (1 - by_row, by_row) for x in (1 - by_column, by_column)]
        total, weights = torch.zeros_like(own), torch.zeros_like(own)
        for value, luma, (near_row, near_column) in zip(four, lumas, corners):
            unlike = ((own - luma.take(place)) / (255 * LUMA_STEP)).square_().add_(FLOOR)
            weight = torch.addcmul(own.new_full((), FLOOR), near_row, near_column).div_(unlike)
            weights += weight
            total.addcmul_(weight, value.take(place))
        result.put_(target, torch.lerp(result.take(target), total.div_(weights), share.take(place)))
    return result


def _squares(image: Tensor) -> Tensor:
    """Return each pixel of ``[h, w]``, those to its right and below it, and between these, ``[4, h, w]``."""
    right = torch.cat([image[:, 1:], image[:, -1:]], 1)
    two = torch.stack([image, right])
    below = torch.cat([two[:, 1:], two[:, -1:]], 1)
    return torch.cat([two, below])


def between(size: int, grown: int, device) -> tuple[Tensor, Tensor]:
    """Return, for each of ``grown`` pixels, the first of its two neighbours, and the weight of the second."""
    place = ((torch.arange(grown, device=device) + 0.5) * (size / grown) - 0.5).clamp(0, size - 1)
    first = place.long()
    return first, place - first
