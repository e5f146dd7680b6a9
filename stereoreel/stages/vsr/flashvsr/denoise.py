"""The diffusion transformer over one shot: one step from noise to latents, in complete frames or tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ....image.compute import Graphs
from ....nets.flashvsr import PATCH, SIDE, Angles, FoldedDiT, windowed
from .. import VSROptions
from . import attention, plan
from .cache import Packed, Ring, cache

FIRST, LATENTS = 6, 2  # latent frames of a shot's first chunk and of later ones
LATENT = 8  # pixels per latent pixel, along each axis


@dataclass
class Region:
    """A tile or the complete frame: its position in latent pixels, its weight, and its cache."""

    top: int
    bottom: int
    left: int
    right: int
    weight: Tensor | None
    cache: Ring | Packed
    angles: Angles
    recorded: Graphs | None = None  # the chunk whose shapes no longer change, as one graph

    def cut(self, x: Tensor, scale: int = 1) -> Tensor:
        """Return its part of ``[..., h, w]``, in units of ``scale`` latent pixels."""
        return x[..., self.top // scale : self.bottom // scale, self.left // scale : self.right // scale]


@dataclass
class Chunk:
    """The model over one chunk of a region; without references that a recorded graph would keep alive."""

    net: FoldedDiT
    attention: attention.Attention
    near: Tensor
    keep: int

    def __call__(
        self, cache: Ring | Packed, noise: Tensor, features: Tensor, cos: Tensor, sin: Tensor
    ) -> Tensor:
        def attend(block: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            keys, values, middle = cache.exchange(block, k, v)
            own = attention.means(q).unflatten(1, (len(noise) // LATENTS, -1))
            return self.attention(q, keys, values, attention.selected(own, middle, self.near, self.keep))

        return self.net(noise, features, (cos, sin), attend)


class Denoiser:
    """The diffusion transformer over one shot: from features of the frames to latents, with a cache.

    Chunk 0 resets the cache, so another shot can reuse the memory and the recorded graphs.
    """

    def __init__(
        self,
        net: FoldedDiT,
        height: int,
        width: int,
        layout: plan.Plan,
        options: VSROptions,
        device: torch.device,
    ):
        self.size = (height, width)
        self.net, self.device, self.seed = net, device, options.noise
        self.height, self.width = height // LATENT, width // LATENT
        areas = plan.regions(height, width, layout.tile)
        latent = plan.regions(height, width, layout.tile, LATENT)
        shares: Sequence[Tensor | None] = [None]
        if len(areas) > 1:
            shares = plan.weights(latent, self.height, self.width)
        top, bottom, left, right = areas[0]
        near = attention.nearby((bottom - top) // 128, (right - left) // 128, options.local_range).to(device)
        path, _ = attention.path(options, device, *areas[0], layout.kept + 1)
        self.chunk = Chunk(
            net,
            attention.attention(path),
            near,
            attention.kept_blocks(bottom - top, right - left, options.sparsity),
        )
        # gathering reads the number of keys from the device, and every tile's graph would need its own memory
        self.recordable = device.type == "cuda" and path != "gathered" and len(areas) == 1
        self.regions = [self._region_of(place, share, layout) for place, share in zip(latent, shares)]

    def _region_of(self, place: plan.Area, share: Tensor | None, layout: plan.Plan) -> Region:
        height, width = (place[1] - place[0]) // PATCH, (place[3] - place[2]) // PATCH
        family, weight = self.net.family, None if share is None else share.to(self.device)
        own = cache(
            layout.store,
            family.blocks,
            family.heads,
            height * width // SIDE**2,
            layout.kept,
            self.net.dtype,
            self.device,
        )
        return Region(*place, weight=weight, cache=own, angles=Angles(height, width, self.device))

    def forget(self) -> None:
        """Drop recorded graphs."""
        for region in self.regions:
            region.recorded = None

    def noise(self, first: int, frames: int) -> Tensor:
        """Return noise ``[frames, C, h, w]`` that depends only on the seed and the frame numbers.

        It is the same on every device, for every shot length and tiling.
        """
        # pinned, because the copy would synchronise otherwise
        shape, pinned = (self.net.family.channels, self.height, self.width), self.device.type == "cuda"
        result = torch.empty(frames, *shape, dtype=self.net.dtype, pin_memory=pinned)
        for number, one in enumerate(result, first):
            source = torch.Generator().manual_seed((self.seed * 1_000_003 + number) & 0xFFFFFFFF)
            one.copy_(torch.randn(shape, generator=source))
        return result.to(self.device, non_blocking=True)

    def __call__(self, index: int, features: Tensor) -> Tensor:
        """Return a chunk's latents ``[frames, C, h, w]`` from features ``[frames, h / 2, w / 2, width]``."""
        first, frames = (0, FIRST) if index == 0 else (FIRST + LATENTS * (index - 1), LATENTS)
        noise = self.noise(first, frames)
        total = noise.new_zeros(noise.shape if len(self.regions) > 1 else (0,), dtype=torch.float32)
        for region in self.regions:
            latents = self._region(
                region,
                index,
                first,
                region.cut(noise),
                region.cut(features.movedim(-1, 1), PATCH).movedim(1, -1),
            )
            if region.weight is None:
                return latents
            region.cut(total).add_(latents * region.weight)
        return total.to(noise.dtype)

    def _region(self, region: Region, index: int, first: int, noise: Tensor, features: Tensor) -> Tensor:
        region.cache.begin(index)
        given = (noise.contiguous(), windowed(features), *region.angles(first, len(noise)))
        if not self.recordable or not region.cache.steady:
            return self.chunk(region.cache, *given)
        region.recorded = region.recorded or Graphs(partial(self.chunk, region.cache))
        try:
            latents = region.recorded(*given)
            assert isinstance(latents, Tensor)  # not a tuple, because the chunk returns none
            return latents
        # a graph needs its own working memory; the cache is unchanged
        except torch.OutOfMemoryError:
            region.recorded, self.recordable = None, False
        return self.chunk(region.cache, *given)
