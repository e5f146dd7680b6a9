"""The interpolator around RIFE and FILM: views as a batch, depth by the same motion, one graph per shape."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.clip import ClipInfo
from ...image.compute import batch_size
from ...image.host_copy import numbers
from ...nets.rife import Between, blend
from . import InterpolateOptions
from .pairs import Moment, OutputFrame
from .stage import Interpolated, trust

BATCH_PIXELS = {"cpu": 1 << 16, "cuda": 8 << 20}  # four frames of 1080p keep a large GPU busy
MOST_TOGETHER = 16
# numbers per pixel while a frame is computed, as ComfyUI estimates for the same models
PIXEL_MEMORY = 300


class Network(Protocol):
    """A model: ``encode`` images ``[1, 3, H, W]``, and interpolate ``between`` encoded pairs at times."""

    @property
    def nets(self) -> list[nn.Module]: ...

    @property
    def dtype(self) -> torch.dtype: ...

    def encode(self, image: Tensor) -> dict: ...

    def between(self, first: list[dict], second: list[dict], times: Tensor) -> Between: ...


class NetworkInterpolator:
    """An interpolator that runs a model. Each view has its own motion; depth follows its view."""

    def __init__(self, network: Network, device: torch.device, options: InterpolateOptions):
        self.network, self.device, self.options, self.nets = network, device, options, network.nets

    def batch_size(self, info: ClipInfo) -> int:
        if self.options.batch:
            return self.options.batch
        return batch_size(self.device, info.width * info.height * info.views, BATCH_PIXELS, MOST_TOGETHER)

    def memory(self, info: ClipInfo) -> int:
        return (
            PIXEL_MEMORY
            * self.network.dtype.itemsize
            * info.width
            * info.height
            * info.views
            * self.batch_size(info)
        )

    def forget(self) -> None:
        """Drop graphs recorded for a model that has been moved."""
        if hasattr(self.network, "forget"):
            self.network.forget()

    def interpolate(self, wanted: list[OutputFrame]) -> list[Interpolated]:
        """Compute all views of all frames in one batch, the views of a frame next to each other."""
        first, second = (
            [eye for one in wanted for eye in self._known(getattr(one, side))] for side in ("left", "right")
        )
        eyes = len(first) // len(wanted)
        times = numbers([float(one.t) for one in wanted for _ in range(eyes)], self.device)
        between = self.network.between(first, second, times)
        return [self._finished(one, part(between, eyes * index, eyes)) for index, one in enumerate(wanted)]

    def _known(self, moment: Moment) -> list[dict]:
        """Return the encoding of each view of a source frame, computed once for all frames around it."""
        if "known" not in moment.kept:
            pictures = flat(moment.chunks["clip"])[:, :3].float().to(self.device)
            moment.kept["known"] = [self.network.encode(picture) for picture in pictures.split(1)]
        return moment.kept["known"]

    def _finished(self, one: OutputFrame, between: Between) -> Interpolated:
        """Return the frame as chunks; alpha and depth use the motion and the mask of the image."""
        like = one.left.chunks["clip"]
        trusted = trust(between.first, between.second, between.mask)
        pictures = between.image.clamp(0, 1)
        if like.shape[-1] > 3:
            others = (flat(side.chunks["clip"])[:, 3:].to(self.device) for side in (one.left, one.right))
            pictures = torch.cat([pictures, blend(between, *others).to(pictures)], 1)
        result = {"clip": unflat(pictures, like)}
        if "depth" in one.left.chunks:
            first, second = (flat(side.chunks["depth"]).to(self.device) for side in (one.left, one.right))
            result["depth"] = unflat(
                blend(part(between, 0, len(first)), first, second), one.left.chunks["depth"]
            )
        return Interpolated(result, unflat(trusted, like))


def part(between: Between, start: int, count: int) -> Between:
    return Between(*(tensor[start : start + count] for tensor in between))


def flat(chunk: Tensor) -> Tensor:
    """Return a chunk of one frame, ``[1, H, W, C]`` or ``[2, 1, H, W, C]``, as ``[views, C, H, W]``."""
    return chunk.reshape(-1, *chunk.shape[-3:]).movedim(-1, 1)


def unflat(pictures: Tensor, like: Tensor) -> Tensor:
    """Return images ``[views, C, H, W]`` as a chunk of one frame with as many views as ``like``."""
    return (
        pictures.movedim(1, -1)
        .reshape(*like.shape[:-3], *pictures.shape[-2:], pictures.shape[1])
        .to(like.dtype)
    )


def padded(image: Tensor, sides: tuple[int, int, int, int]) -> Tensor:
    return F.pad(image, sides) if any(sides) else image
