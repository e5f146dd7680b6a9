"""The diffusion transformer over one shot: one step from noise to latents, whole frames or tiles that advance together."""

from __future__ import annotations

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
LATENT = 8  # pixels of a latent one, along a row and a column


@dataclass
class Region:
    """A tile, or the whole frame: where it lies in latent pixels, how much it counts there, and what it remembers."""

    top: int
    bottom: int
    left: int
    right: int
    weight: Tensor | None
    cache: Ring | Packed
    angles: Angles
    recorded: Graphs | None = None  # the chunk whose shapes no longer change, as one graph

    def cut(self, x: Tensor, scale: int = 1) -> Tensor:
        """Its part of ``[..., h, w]`` whose places are ``scale`` latent pixels wide."""
        return x[..., self.top // scale : self.bottom // scale, self.left // scale : self.right // scale]


@dataclass
class Chunk:
    """The network over one chunk of a region that remembers; it knows neither region nor shot, so that a recorded graph keeps neither alive."""

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
    """The diffusion transformer over one shot: features of the frames to latents, remembering what it must.

    Chunk 0 begins anew, so that another shot may use the same memory and the same recorded graphs after it.
    """

    def __init__(
        self,
        net: FoldedDiT,
        height: int,
        width: int,
        made: plan.Plan,
        options: VSROptions,
        device: torch.device,
    ):
        self.size = (height, width)
        self.net, self.height, self.width, self.device, self.seed = (
            net,
            height // LATENT,
            width // LATENT,
            device,
            options.noise,
        )
        areas = plan.regions(height, width, made.tile)
        latent = [tuple(edge // LATENT for edge in area) for area in areas]
        shares = plan.weights(latent, self.height, self.width) if len(areas) > 1 else [None]
        top, bottom, left, right = areas[0]
        near = attention.nearby((bottom - top) // 128, (right - left) // 128, options.local_range).to(device)
        path, _ = attention.path(options, device, *areas[0], made.kept + 1)
        self.chunk = Chunk(
            net,
            attention.attention(path),
            near,
            attention.kept_blocks(bottom - top, right - left, options.sparsity),
        )
        # gathering asks the device how many keys there are, and every tile's graph would hold memory of its
        # own
        self.recordable = device.type == "cuda" and path != "gathered" and len(areas) == 1
        self.regions = [
            Region(*place, share if share is None else share.to(device), *self._own(place, made))
            for place, share in zip(latent, shares)
        ]

    def _own(self, place: tuple[int, int, int, int], made: plan.Plan) -> tuple:
        height, width = (place[1] - place[0]) // PATCH, (place[3] - place[2]) // PATCH
        family = self.net.family
        own = cache(
            made.store,
            family.blocks,
            family.heads,
            height * width // SIDE**2,
            made.kept,
            self.net.dtype,
            self.device,
        )
        return own, Angles(height, width, self.device)

    def forget(self) -> None:
        """Let recorded graphs go."""
        for region in self.regions:
            region.recorded = None

    def noise(self, first: int, frames: int) -> Tensor:
        """The same for a number on every device, whatever the shot's length and the tiles: ``[frames, C, h, w]``."""
        # or the copy would be waited for
        shape, pinned = (self.net.family.channels, self.height, self.width), self.device.type == "cuda"
        made = torch.empty(frames, *shape, dtype=self.net.dtype, pin_memory=pinned)
        for number, one in enumerate(made, first):
            source = torch.Generator().manual_seed((self.seed * 1_000_003 + number) & 0xFFFFFFFF)
            one.copy_(torch.randn(shape, generator=source))
        return made.to(self.device, non_blocking=True)

    def __call__(self, index: int, features: Tensor) -> Tensor:
        """Latents ``[frames, C, h, w]`` of a chunk, from features ``[frames, h / 2, w / 2, width]``."""
        first, frames = (0, FIRST) if index == 0 else (FIRST + LATENTS * (index - 1), LATENTS)
        noise, made = self.noise(first, frames), None
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
            made = torch.zeros_like(noise, dtype=torch.float32) if made is None else made
            region.cut(made).add_(latents * region.weight)
        return made.to(noise.dtype)

    def _region(self, region: Region, index: int, first: int, noise: Tensor, features: Tensor) -> Tensor:
        region.cache.begin(index)
        given = (noise.contiguous(), windowed(features), *region.angles(first, len(noise)))
        if not self.recordable or not region.cache.steady:
            return self.chunk(region.cache, *given)
        region.recorded = region.recorded or Graphs(partial(self.chunk, region.cache))
        try:
            return region.recorded(*given)
        # a graph has working memory of its own; what was remembered is as it was
        except torch.OutOfMemoryError:
            region.recorded, self.recordable = None, False
        return self.chunk(region.cache, *given)
