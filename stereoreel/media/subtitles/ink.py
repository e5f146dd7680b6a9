"""Draw a picture with transparency into frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

PQ, HLG = 16, 18  # transfer functions
WHITE = 203.0  # candelas per square metre of white text in HDR video (ITU-R BT.2408)
LUMA = (0.2126, 0.7152, 0.0722)


def tinted(pixels: np.ndarray, transfer: int, like: Tensor) -> Tensor:
    """Return a picture ``[h, w, 4]``, premultiplied, in the transfer function and on the device of frames."""
    result = torch.from_numpy(np.ascontiguousarray(pixels))
    if transfer in (PQ, HLG):
        opacity = result[..., 3:].clamp(min=1e-6)
        light = (result[..., :3] / opacity).clamp(0, 1) ** 2.4
        coded = _pq(light * WHITE) if transfer == PQ else _hlg(light * 0.265)
        result = torch.cat([coded * result[..., 3:], result[..., 3:]], -1)
    if like.shape[-1] == 1:
        grey = (result[..., :3] * torch.tensor(LUMA)).sum(-1, keepdim=True)
        result = torch.cat([grey, result[..., 3:]], -1)
    return result.to(like.device, like.dtype)


def painted(frame: Tensor, pictures: Sequence[tuple[Tensor, int, int, int]]) -> Tensor:
    """Return a frame ``[1, H, W, C]`` or both views ``[2, 1, H, W, C]`` with pictures at ``x, y``.

    The last number of each is its disparity: it is moved right in the left view and left in the other one,
    by half each.
    """
    result = frame.clone()
    for picture, x, y, shift in pictures:
        if frame.ndim == 4:
            _paint(result[0], picture, x, y)
        else:
            _paint(result[0, 0], picture, x + (shift - shift // 2), y)
            _paint(result[1, 0], picture, x - shift // 2, y)
    return result


def _paint(view: Tensor, picture: Tensor, x: int, y: int) -> None:
    """Draw into ``[H, W, C]``; of four channels the last one is opacity, not premultiplied."""
    height, width, channels = view.shape
    left, right = max(0, x), min(width, x + picture.shape[1])
    top, bottom = max(0, y), min(height, y + picture.shape[0])
    if left >= right or top >= bottom:
        return
    part, place = picture[top - y : bottom - y, left - x : right - x], view[top:bottom, left:right]
    ink, opacity = part[..., :-1], part[..., -1:]
    if channels != 4:
        place.mul_(1 - opacity).add_(ink)
        return
    below = place[..., 3:] * (1 - opacity)
    total = opacity + below
    colour = (ink + place[..., :3] * below) / total.clamp(min=1e-6)
    place.copy_(torch.cat([torch.where(total > 0, colour, place[..., :3]), total], -1))


def _pq(light: Tensor) -> Tensor:
    """Return the code of a luminance in candelas per square metre (SMPTE ST 2084)."""
    power = (light / 10000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def _hlg(light: Tensor) -> Tensor:
    """Return the code of scene light from 0 to 1 (ITU-R BT.2100); 0.265 is the white of SDR graphics."""
    low = (3 * light) ** 0.5
    high = 0.17883277 * (12 * light - 0.28466892).clamp(min=1e-6).log() + 0.55991073
    return torch.where(light <= 1 / 12, low, high)
