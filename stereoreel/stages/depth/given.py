"""Depth that another node made, for Stereo: as inverse depth, of one range over a shot, and with the frames' own edges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor

from ...core.clip import ClipInfo, Shot
from ...core.host import Host
from . import DepthOptions
from .stage import NEAREST, finished
from .windows import SteadyRange

# how many times as far as its nearest point a linear picture of depth is taken to reach, for the picture does
# not tell
FARTHEST = 10.0


def inverse(geometry: Mapping) -> Tensor:
    """Inverse depth ``[N, H, W]`` in 0..1 of ComfyUI's geometry (``depth`` ``[N, H, W]``: distances, infinite where nothing is known).

    Distances count from 1/10 of their unit; the sky (``sky``, 0..1) and what its ``mask`` leaves out are far.
    ValueError where it has no depth.
    """
    depth = geometry.get("depth")
    if not isinstance(depth, Tensor) or depth.ndim != 3:
        raise ValueError(
            "This geometry has no depth of one map per frame; connect that of a node which tells depth."
        )
    near = NEAREST / (depth.float().clamp(min=0) + NEAREST)
    near = torch.where(torch.isfinite(depth), near, 0.0)
    if (sky := geometry.get("sky")) is not None:
        near = near * (1 - sky.float().clamp(0, 1).to(near.device))
    if (mask := geometry.get("mask")) is not None:
        near = torch.where(mask.to(near.device, torch.bool), near, 0.0)
    return near


def from_linear(nearness: Tensor) -> Tensor:
    """Inverse depth, 0..1, of linear depth shown as ``1 - Z`` with Z from 0 at the nearest to 1 at the farthest point."""
    distance = 1 + (1 - nearness.clamp(0, 1)) * (FARTHEST - 1)
    return (1 / distance - 1 / FARTHEST) / (1 - 1 / FARTHEST)


class Given:
    """A recipe and its stage: the depth of another node in place of a network's, ``[T, H, W, 1]``, near = 1, at the frames' size."""

    joint = False

    def __init__(self, options: DepthOptions, label: str):
        self.options, self.label, self.nets = options, label, []

    def describe(self, frames: ClipInfo, depth: ClipInfo) -> ClipInfo:
        if frames.channels == 1:
            raise ValueError("Depth was given a depth clip as its frames; connect the colour frames to clip.")
        if frames.views != depth.views:
            raise ValueError(
                f"Depth was given frames of {frames.views} views and depth of {depth.views}; connect depth of the same clip."
            )
        return frames.replace(channels=1)

    def load(self, host: Host) -> Given:
        return self

    def __call__(self, shot: Shot, frames: Iterable[Tensor], depths: Iterable[Tensor]) -> Iterator[Tensor]:
        calm = SteadyRange()
        for images, maps in zip(frames, depths):
            maps = maps[..., 0].to(images.device, torch.float32)
            maps = 1 - maps if self.options.given.endswith("black") else maps
            maps = from_linear(maps) if self.options.given.startswith("linear") else maps
            yield torch.stack(
                [finished(depth, image, self.options) for depth, image in zip(calm(maps), images)]
            )
