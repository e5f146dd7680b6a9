"""Stabilise upscaled frames: hallucinated detail follows the motion and is not synthesised again.

Each frame is mixed with the previous result, warped to the current positions. The weight of the past depends
on how much more the upscaled frames changed than their sources: an upscaler that does not flicker stays
unchanged, and newly visible areas leave no ghost. Coarse structure comes from the current frame, so
brightness does not lag.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from ...image.flow import PRESETS, flow, luma_levels
from ...image.host_copy import Download
from ...image.host_flow import SmallLumas, send_flow
from .filters import area, at, confined, mean_near, warp

# weight of the past at strength 1: in still areas, and in moving areas, where resampling wears it off
KEPT, CARRIED = 0.9, 0.7
SEEN_PIXELS = 1280 * 720  # larger sources are reduced to this many pixels to find motion and visibility
# up to this size the better motion search is used, which takes five times as long
CAREFUL_PIXELS = 640 * 480
STILL = 0.03  # motion, in seen pixels, that counts as none
AS_WELL = 1.15  # factor on the difference allowed to no motion; resampling alone averages some noise away
COARSE = 4  # seen pixels; coarser structure comes from the current frame alone
PATCH = 5  # seen pixels; side of the square for the mean difference that decides visibility
BLOCK = 16  # seen pixels; side of the blocks; the quietest tenth of them gives the noise
FLOOR = (0.7 / 255) ** 2  # variance that rounding and codecs leave in a clean film
# fraction of the upscaled frame's squared change that the source may change by and still be trusted
INVENTED = 0.08
MEMORY = 8  # frames over which the noise is averaged
RANGE = 5  # output pixels; side of the square whose minimum and maximum bound the past


class Seen(NamedTuple):
    """A source frame: unchanged, as colour ``[h, w, 3]``, float32, of at most SEEN_PIXELS, and as luma.

    The luma is uint8 on the CPU. If motion is ``sent``, it comes to the device on the grid of its search.
    """

    source: Tensor
    color: Tensor
    luma: np.ndarray
    sent: bool = False


class Begun(NamedTuple):
    """A source frame whose luma is on its way to the host, and whether it equals the one before it."""

    source: Tensor
    color: Tensor
    lumas: SmallLumas
    equal: Download
    place: int

    def repeats(self) -> bool:
        return bool(self.equal.wait()[self.place])

    def seen(self) -> Seen:
        return Seen(self.source, self.color, self.lumas[self.place], sent=True)


class Steady:
    """Temporal state of one shot: call it with each source frame and its upscaled one, in order.

    It neither buffers nor looks ahead. After Lai et al. (ECCV 2018) and temporal anti-aliasing: a recurrent
    blend along the flow, weighted by visibility, clipped to nearby values. ``strength`` is 0 (frames pass
    unchanged) to 1.
    """

    def __init__(self, strength: float = 1.0):
        self.strength = strength
        self._seen: Seen | None = None
        self._past: Tensor | None = None  # the last result [H2, W2, 3], float32
        self._noise: Tensor | None = None
        self._count = 0
        self._latest: Tensor | None = None  # the last frame that was begun

    def begin(self, sources: Tensor) -> list[Begun]:
        """Begin with source frames ``[T, H, W, C]``; the next calls take the results, in order.

        A GPU has other work until the host looks at what it needs of them.
        """
        before = torch.cat([sources[:1] if self._latest is None else self._latest, sources[:-1]])
        equal = Download((sources == before).flatten(1).all(1))
        self._latest = sources[-1:]
        colors = [seen_color(source) for source in sources]
        lumas = SmallLumas(luma_levels(torch.stack(colors)))
        return [
            Begun(source, color, lumas, equal, place)
            for place, (source, color) in enumerate(zip(sources, colors))
        ]

    def __call__(self, source: Tensor | Begun, upscaled: Tensor, motion: np.ndarray | None = None) -> Tensor:
        """Return ``upscaled`` ``[H2, W2, 3]`` stabilised, in its own dtype.

        ``source`` is ``[H, W, C]``, of any size, on the same device, or a result of ``begin``. ``motion``
        ``[H, W, 2]``, (x, y) in source pixels, is each pixel's position in the previous frame, if known. A
        source equal to the previous one returns the previous result.
        """
        if not self.strength:
            return upscaled
        before, past = self._seen, self._past
        if before is None or past is None or not repeats(source, before):
            self._seen = source.seen() if isinstance(source, Begun) else observe(source)
            now = upscaled.float().contiguous()
            if before is None or past is None:
                self._past = past = now
            else:
                self._past = past = self._mix(before, self._seen, past, now, motion)
        return past.to(upscaled.dtype)

    def _mix(self, before: Seen, seen: Seen, past: Tensor, now: Tensor, motion: np.ndarray | None) -> Tensor:
        """Blend the current frame with the past: few passes run at output size, the rest at the seen size."""
        height, width = now.shape[:2]
        way, gain, moved = follow(before, seen, motion)
        change = seen.color - moved
        apart = energy(change)
        noise = self._learn(torch.minimum(difference_noise(apart, seen.color), texture_noise(seen.color)))
        trend = coarse_change(change, visibility(apart, noise))
        if past.is_cuda or way.any():  # whether it moves is not known without a wait for a GPU
            past = warp(past, motion_at(way, way.shape, height, width))
        trend = at(trend, height, width)
        past = torch.addcmul(trend, past, gain, out=trend)
        still = ~way.any(-1, keepdim=True)
        share = past_trust(apart, noise, flicker(past, now, apart.shape), still) * torch.where(
            still, KEPT, CARRIED
        )
        return confined(past, now, RANGE).sub_(now).mul_(at(self.strength * share, height, width)).add_(now)

    def _learn(self, sample: Tensor) -> Tensor:
        """Return the noise variance: a running mean of past frames only."""
        self._count = min(self._count + 1, MEMORY)
        noise = torch.zeros_like(sample) if self._noise is None else self._noise
        self._noise = noise + (sample - noise) / self._count
        return self._noise.clamp(min=FLOOR)


def repeats(source: Tensor | Begun, before: Seen) -> bool:
    """Return whether a source frame equals the one before it."""
    return source.repeats() if isinstance(source, Begun) else torch.equal(source, before.source)


def observe(source: Tensor) -> Seen:
    color = seen_color(source)
    luma = color @ color.new_tensor([0.299, 0.587, 0.114])
    return Seen(source, color, luma.mul_(255).add_(0.5).clamp_(0, 255).byte().cpu().numpy())


def seen_color(source: Tensor) -> Tensor:
    """Return a source frame as colour ``[h, w, 3]``, float32, of at most SEEN_PIXELS."""
    height, width = source.shape[:2]
    color = source[..., : 3 if source.shape[-1] >= 3 else 1].float().expand(-1, -1, 3).contiguous()
    scale = math.sqrt(SEEN_PIXELS / (height * width))
    return area(color, max(1, round(height * scale)), max(1, round(width * scale))) if scale < 1 else color


def follow(before: Seen, seen: Seen, motion: np.ndarray | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return the motion ``[h, w, 2]`` in seen pixels, the gain, and the previous frame, warped and scaled.

    The motion is exactly zero if no motion explains a pixel as well, so still areas are not resampled.
    """
    height, width = seen.luma.shape
    if motion is None:
        preset = "medium" if height * width <= CAREFUL_PIXELS else "fast"
        motion = flow(seen.luma, before.luma, preset)
        way = (
            sent(motion, preset, seen.color) if seen.sent else torch.from_numpy(motion).to(seen.color.device)
        )
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


def sent(motion: np.ndarray, preset: str, like: Tensor) -> Tensor:
    """Return motion ``[h, w, 2]`` on the device of ``like``, which gets it on the grid of its search."""
    height, width = motion.shape[:2]
    cell = 2 ** PRESETS[preset].finest
    grid = cv2.resize(motion, (-(-width // cell), -(-height // cell)), interpolation=cv2.INTER_AREA)
    return at(send_flow(grid, like.device), height, width)


def brightening(before: Tensor, now: Tensor) -> Tensor:
    """Return the brightness change of a fade or exposure, not of an object: the median factor of blocks."""
    first, second = blocks(before).mean(-1), blocks(now).mean(-1)
    # not the median, for which the host waits for a GPU
    ratio = (
        torch.where(first > 4 / 255, second / first, torch.nan)
        .flatten()
        .nanquantile(0.5, interpolation="lower")
        .nan_to_num(1.0)
        .clamp(0.5, 2)
    )
    return torch.where((ratio - 1).abs() < 0.004, 1.0, ratio)


def visibility(apart: Tensor, variance: Tensor) -> Tensor:
    """Return the confidence, 0..1, that each point is still visible.

    Noise alone gives a mean square difference of twice its variance. A patch reveals small excess. A single
    pixel counts only above a higher threshold, which detects thin bars at any position.
    """
    ratio = apart / variance
    excess = torch.maximum(mean_near(ratio, PATCH) - 2, ratio - 6).clamp_(min=0)
    return 1 / (1 + excess.square())


def past_trust(apart: Tensor, noise: Tensor, changed: Tensor, still: Tensor) -> Tensor:
    """Return the trust in the past, 0..1.

    It falls where the past may be occluded, and by the part of the change that the source explains. In still
    areas noise explains nothing, so it is averaged away too. Elsewhere an invisibly small change is not worth
    a blur.
    """
    visible = visibility(apart, torch.maximum(noise, INVENTED * changed))
    own = coarse(torch.where(still, apart - 2 * noise, apart + 2 * FLOOR)).clamp_(min=0)
    explained = own / coarse(changed).clamp(min=1e-9)
    return visible * at(1 - explained, *apart.shape[:2]).clamp_(0, 1)


def flicker(past: Tensor, now: Tensor, seen: torch.Size) -> Tensor:
    """Return the mean square difference of the upscaled frame from the past, at the seen size ``[h, w, 1]``.

    It is computed on a coarse grid.
    """
    step = 2 if min(now.shape[0] - 2 * seen[0], now.shape[1] - 2 * seen[1]) >= 0 else 1
    change = energy(past[::step, ::step] - now[::step, ::step])
    return at(area(change, max(1, seen[0] // COARSE), max(1, seen[1] // COARSE)), seen[0], seen[1])


def coarse_change(change: Tensor, visible: Tensor) -> Tensor:
    """Return the change of the source's coarse structure on the coarse grid, from visible points only."""
    return coarse(change * visible) / (coarse(visible) + 1e-3)


def difference_noise(apart: Tensor, color: Tensor) -> Tensor:
    """Estimate noise variance by the difference from the warped frame, small in well-tracked areas."""
    return quietest(apart, color) / (2 * 0.92**2)  # interpolation removes some of the noise


def texture_noise(color: Tensor) -> Tensor:
    """Estimate noise variance by second differences along both axes, small in flat and smoothly shaded areas.

    After Immerkaer (1996).
    """
    if min(color.shape[:2]) < 3:
        return color.new_zeros(())
    green = color[..., 1].contiguous()
    across = green[:, 2:] - 2 * green[:, 1:-1] + green[:, :-2]
    crossed = across[2:] - 2 * across[1:-1] + across[:-2]
    return quietest(crossed.square_()[..., None], color[1:-1, 1:-1]) / 36


def quietest(variance: Tensor, color: Tensor) -> Tensor:
    """Return the variance in the quietest tenth of the blocks, corrected to the mean.

    Black and white bars, which clip noise, are excluded.
    """
    light = blocks(color).mean(-1, keepdim=True)
    usable = torch.where((light > 4 / 255) & (light < 251 / 255), blocks(variance), torch.nan)
    return usable.nanquantile(0.1).nan_to_num(0.0) / 0.95**2


def blocks(image: Tensor) -> Tensor:
    return area(image, max(1, image.shape[0] // BLOCK), max(1, image.shape[1] // BLOCK))


def coarse(image: Tensor) -> Tensor:
    return area(image, max(1, image.shape[0] // COARSE), max(1, image.shape[1] // COARSE))


def energy(image: Tensor) -> Tensor:
    """Return the mean of squares over the channels, ``[h, w, 1]``."""
    return (image * image) @ image.new_full((image.shape[-1], 1), 1 / image.shape[-1])


def motion_at(way: Tensor, size: torch.Size, height: int, width: int) -> Tensor:
    """Resample motion in pixels of an image of ``size`` to ``[height, width, 2]``, in pixels of that size."""
    across, down = at(way, height, width).unbind(-1)
    return torch.stack([across * (width / size[1]), down * (height / size[0])], -1)
