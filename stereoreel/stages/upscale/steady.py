"""Steadier upscaled frames: what a network invents is carried along with the motion instead of being invented anew.

Each frame is mixed with the result before it, moved to where things are now. The past counts by how much more
the upscaled frames changed than their sources did: an upscaler that does not flicker is left alone, what came
into sight leaves no ghost. Coarse structure is the current frame's, so brightness does not lag.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...image.flow import flow
from .filters import area, at, confined, mean_near, warp

# the past's part in the result at strength 1: where nothing moves, and where resampling wears it off
KEPT, CARRIED = 0.9, 0.7
SEEN_PIXELS = 1280 * 720  # larger sources are reduced to this many pixels to find motion and visibility
# up to here the motion is found by the better search, which takes five times as long
CAREFUL_PIXELS = 640 * 480
STILL = 0.03  # seen pixels of motion that are none
AS_WELL = 1.15  # standing still may leave so much more difference; resampling alone averages some noise away
COARSE = 4  # seen pixels; what is coarser comes from the current frame alone
PATCH = 5  # seen pixels; side of the square whose mean difference tells whether a point is still in sight
BLOCK = 16  # seen pixels; side of the squares among which the quietest tenth tell the noise
FLOOR = (0.7 / 255) ** 2  # variance that rounding and codecs leave in a clean film
# of the square by which the upscaled frame changed: so much the source may change without being distrusted
INVENTED = 0.08
MEMORY = 8  # frames over which the noise is averaged
RANGE = 5  # output pixels; side of the square whose lowest and highest value the past may not leave


class Seen(NamedTuple):
    """A source frame: as it came, its colour ``[h, w, 3]``, float32, of at most SEEN_PIXELS, and its luma, uint8 on the CPU."""

    source: Tensor
    color: Tensor
    luma: np.ndarray


class Steady:
    """The memory of one shot: give it each source frame with its upscaled one, in order. Nothing is held back, nothing looked ahead.

    After Lai et al. (ECCV 2018) and temporal anti-aliasing: a recurrent blend along the flow, by visibility,
    clipped to what is near. ``strength`` is 0 (frames pass unchanged) to 1.
    """

    def __init__(self, strength: float = 1.0):
        self.strength = strength
        self._seen: Seen | None = None
        self._past: Tensor | None = None  # the last result [H2, W2, 3], float32
        self._noise, self._count = 0.0, 0

    def __call__(self, source: Tensor, upscaled: Tensor, motion: np.ndarray | None = None) -> Tensor:
        """``upscaled`` ``[H2, W2, 3]`` made steady, in its own dtype; ``source`` is ``[H, W, C]``, of any size, on the same device.

        ``motion`` ``[H, W, 2]``, (x, y) in source pixels, says where each pixel of ``source`` was in the
        frame before, where that is known. A source equal to the one before it gives the result before it.
        """
        if not self.strength:
            return upscaled
        before = self._seen
        if before is None or not torch.equal(source, before.source):
            self._seen = observe(source)
            now = upscaled.float().contiguous()
            self._past = now if before is None else self._mix(before, self._seen, now, motion)
        return self._past.to(upscaled.dtype)

    def _mix(self, before: Seen, seen: Seen, now: Tensor, motion: np.ndarray | None) -> Tensor:
        """The current frame, drawn towards the past: a few passes over the output, all else is done at the seen size."""
        height, width = now.shape[:2]
        way, gain, moved = follow(before, seen, motion)
        change = seen.color - moved
        apart = energy(change)
        noise = self._learn(torch.minimum(difference_noise(apart, seen.color), texture_noise(seen.color)))
        trend = coarse_change(change, believe(apart, noise))
        past = warp(self._past, motion_at(way, way.shape, height, width)) if way.any() else self._past
        trend = at(trend, height, width)
        past = torch.addcmul(trend, past, gain, out=trend)
        still = ~way.any(-1, keepdim=True)
        share = trusted(apart, noise, flicker(past, now, apart.shape), still) * torch.where(
            still, KEPT, CARRIED
        )
        return confined(past, now, RANGE).sub_(now).mul_(at(self.strength * share, height, width)).add_(now)

    def _learn(self, sample: Tensor) -> Tensor:
        """Variance of the noise: a running mean, known from the past only."""
        self._count = min(self._count + 1, MEMORY)
        self._noise = self._noise + (sample - self._noise) / self._count
        return self._noise.clamp(min=FLOOR)


def observe(source: Tensor) -> Seen:
    height, width = source.shape[:2]
    color = source[..., : 3 if source.shape[-1] >= 3 else 1].float().expand(-1, -1, 3).contiguous()
    scale = math.sqrt(SEEN_PIXELS / (height * width))
    if scale < 1:
        color = area(color, max(1, round(height * scale)), max(1, round(width * scale)))
    luma = color @ color.new_tensor([0.299, 0.587, 0.114])
    return Seen(source, color, luma.mul_(255).add_(0.5).clamp_(0, 255).byte().cpu().numpy())


def follow(before: Seen, seen: Seen, motion: np.ndarray | None) -> tuple[Tensor, Tensor, Tensor]:
    """Where each pixel was, ``[h, w, 2]`` in seen pixels, how much brighter all has become, and the frame before, moved and brightened.

    The way is exactly zero where standing still explains the frame as well, so that what is still is not
    resampled.
    """
    height, width = seen.luma.shape
    if motion is None:
        motion = flow(seen.luma, before.luma, "medium" if height * width <= CAREFUL_PIXELS else "fast")
        way = torch.from_numpy(motion).to(seen.color.device)
    else:
        way = torch.from_numpy(np.ascontiguousarray(motion, np.float32)).to(seen.color.device)
        way = motion_at(way, seen.source.shape, height, width)
    moved = warp(before.color, way)
    gain = brightening(moved, seen.color)
    stays, moves = (
        mean_near(energy(seen.color - gain * color), PATCH + 4) for color in (before.color, moved)
    )
    still = (2 * energy(way) < STILL**2) | (stays <= AS_WELL * moves)
    return way.masked_fill(still, 0), gain, torch.where(still, before.color, moved) * gain


def brightening(before: Tensor, now: Tensor) -> Tensor:
    """By what factor the picture has become brighter, as the median of its blocks: a fade's or an exposure's, not an object's."""
    first, second = blocks(before).mean(-1), blocks(now).mean(-1)
    ratio = torch.where(first > 4 / 255, second / first, torch.nan).nanmedian().nan_to_num(1.0).clamp(0.5, 2)
    return torch.where((ratio - 1).abs() < 0.004, 1.0, ratio)


def believe(apart: Tensor, variance: Tensor) -> Tensor:
    """How surely each point is still in sight, 0..1: noise alone makes the mean square difference twice its variance.

    A patch shows small excess; a single pixel may differ more before it counts, but then a thin bar counts
    wherever it is.
    """
    ratio = apart / variance
    excess = torch.maximum(mean_near(ratio, PATCH) - 2, ratio - 6).clamp_(min=0)
    return 1 / (1 + excess.square())


def trusted(apart: Tensor, noise: Tensor, changed: Tensor, still: Tensor) -> Tensor:
    """How far to trust the past, 0..1: less where it may be out of sight, and by that part of the change which the source explains.

    Where nothing moves noise explains nothing: there it is averaged away as well. Elsewhere a change too
    small to see is not worth a blur.
    """
    visible = believe(apart, torch.maximum(noise, INVENTED * changed))
    own = coarse(torch.where(still, apart - 2 * noise, apart + 2 * FLOOR)).clamp_(min=0)
    explained = own / coarse(changed).clamp(min=1e-9)
    return visible * at(1 - explained, *apart.shape[:2]).clamp_(0, 1)


def flicker(past: Tensor, now: Tensor, seen: torch.Size) -> Tensor:
    """Mean square by which the upscaled frame differs from the past, on a coarse grid brought to the seen size ``[h, w, 1]``."""
    step = 2 if min(now.shape[0] - 2 * seen[0], now.shape[1] - 2 * seen[1]) >= 0 else 1
    change = energy(past[::step, ::step] - now[::step, ::step])
    return at(area(change, max(1, seen[0] // COARSE), max(1, seen[1] // COARSE)), seen[0], seen[1])


def coarse_change(change: Tensor, visible: Tensor) -> Tensor:
    """What the source's coarse structure has changed by, from the points in sight alone, on the coarse grid."""
    return coarse(change * visible) / (coarse(visible) + 1e-3)


def difference_noise(apart: Tensor, color: Tensor) -> Tensor:
    """Noise variance by the difference from the moved frame, which still and well-tracked parts lack."""
    return quietest(apart, color) / (2 * 0.92**2)  # interpolation takes some of the noise away


def texture_noise(color: Tensor) -> Tensor:
    """Noise variance by the second difference across and along, which flat and evenly shaded parts lack (Immerkaer, 1996)."""
    if min(color.shape[:2]) < 3:
        return color.new_zeros(())
    green = color[..., 1].contiguous()
    across = green[:, 2:] - 2 * green[:, 1:-1] + green[:, :-2]
    crossed = across[2:] - 2 * across[1:-1] + across[:-2]
    return quietest(crossed.square_()[..., None], color[1:-1, 1:-1]) / 36


def quietest(variance: Tensor, color: Tensor) -> Tensor:
    """Variance in the quietest tenth of the blocks, brought up to the mean; black and white bars, which clip noise, do not count."""
    light = blocks(color).mean(-1, keepdim=True)
    usable = torch.where((light > 4 / 255) & (light < 251 / 255), blocks(variance), torch.nan)
    return usable.nanquantile(0.1).nan_to_num(0.0) / 0.95**2


def blocks(image: Tensor) -> Tensor:
    return area(image, max(1, image.shape[0] // BLOCK), max(1, image.shape[1] // BLOCK))


def coarse(image: Tensor) -> Tensor:
    return area(image, max(1, image.shape[0] // COARSE), max(1, image.shape[1] // COARSE))


def energy(image: Tensor) -> Tensor:
    """Mean of squares over the channels, ``[h, w, 1]``."""
    return (image * image) @ image.new_full((image.shape[-1], 1), 1 / image.shape[-1])


def motion_at(way: Tensor, size: torch.Size, height: int, width: int) -> Tensor:
    """Motion in pixels of a picture of ``size`` as motion ``[height, width, 2]`` in pixels of one so large."""
    return at(way, height, width) * way.new_tensor([width / size[1], height / size[0]])
