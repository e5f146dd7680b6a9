"""Reduce streaks in stretched background: blend each filled pixel with those above and below it."""

from __future__ import annotations

from torch import Tensor

REACH = 8  # rows to blend, either way, of 1080; other heights in proportion
FADE = 4.0  # pixels from the hole's edge to the full blend, so that no seam is visible


def soften(picture: Tensor, holes: Tensor, target: Tensor, away: Tensor) -> None:
    """Blend the filled pixels ``target`` ``[N]`` (flat indices) of ``picture`` ``[T, H, W, C]`` in place.

    They are ``away`` pixels from the background. Only other filled pixels, where ``holes`` ``[T, H, W, 1]``
    is 1, are blended in; nearer rows have more weight.
    """
    height, width, channels = picture.shape[1:]
    flat, marked = picture.view(-1, channels), holes.reshape(-1)
    row = target // width % height
    reach = max(1, round(REACH * height / 1080))
    own = flat[target].float()
    total, weights = own * (reach + 1), own.new_full((len(own), 1), reach + 1.0)
    for step in range(1, reach + 1):
        for way in (step, -step):
            inside = (row + way >= 0) & (row + way < height)
            index = (target + way * width).where(inside, target)
            weight = (marked[index] * inside * (reach + 1 - step)).float()[:, None]
            total += flat[index].float() * weight
            weights += weight
    flat[target] = own.lerp(total / weights, (away / FADE).clamp(0, 1)[:, None]).to(picture.dtype)
