"""Depth from another node, for Stereo: as inverse depth, in one range per shot, aligned with the frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from ...core.clip import ClipInfo, Shot, Stage
from ...core.host import Host
from ...image.resize import Resizer
from . import DepthOptions, check_text, completed
from .stage import NEAREST, finished
from .windows import SteadyRange

# assumed ratio of farthest to nearest distance in a linear depth image, which does not record it
FARTHEST = 10.0


def inverse(geometry: Mapping) -> Tensor:
    """Return inverse depth ``[N, H, W]`` in 0..1 of ComfyUI's geometry.

    Its ``depth`` ``[N, H, W]`` holds distances, infinite if unknown. Distances count from 1/10 of their unit;
    the sky (``sky``, 0..1) and pixels outside its ``mask`` are far. Raise ValueError if it has no depth.
    """
    depth = geometry.get("depth")
    if not isinstance(depth, Tensor) or depth.ndim != 3:
        raise ValueError(
            "This geometry has no depth with one map per frame. Connect the geometry of a depth node."
        )
    near = NEAREST / (depth.float().clamp(min=0) + NEAREST)
    near = torch.where(torch.isfinite(depth), near, 0.0)
    if (sky := geometry.get("sky")) is not None:
        near = near * (1 - sky.float().clamp(0, 1).to(near.device))
    if (mask := geometry.get("mask")) is not None:
        near = torch.where(mask.to(near.device, torch.bool), near, 0.0)
    return near


def from_linear(nearness: Tensor) -> Tensor:
    """Convert linear depth ``1 - Z``, with Z from 0 (nearest) to 1 (farthest), to inverse depth, 0..1."""
    distance = 1 + (1 - nearness.clamp(0, 1)) * (FARTHEST - 1)
    return (1 / distance - 1 / FARTHEST) / (1 - 1 / FARTHEST)


class Given:
    """A recipe and its stage: depth of another node, ``[T, H, W, 1]``, near = 1, at the frames' size."""

    joint = False

    def __init__(self, options: DepthOptions, label: str):
        self.options, self.label = options, label
        self.nets: list[nn.Module] = []

    def describe(self, frames: ClipInfo, depth: ClipInfo, text: ClipInfo | None = None) -> ClipInfo:
        if frames.channels == 1:
            raise ValueError("Depth input is a depth clip. Connect the colour frames to clip.")
        if frames.views != depth.views:
            raise ValueError(
                f"Frames have {frames.views} views, but the depth has {depth.views}. Connect depth of "
                "the same clip."
            )
        check_text(self.options, frames, text)
        return frames.replace(channels=1)

    def load(self, host: Host) -> Stage:
        return completed(self, self.options, reads=2)

    def __call__(self, shot: Shot, frames: Iterable[Tensor], depths: Iterable[Tensor]) -> Iterator[Tensor]:
        steady, resizer = SteadyRange(), Resizer()
        for images, maps in zip(frames, depths):
            maps = maps[..., 0].to(images.device, torch.float32)
            maps = 1 - maps if self.options.given.endswith("black") else maps
            maps = from_linear(maps) if self.options.given.startswith("linear") else maps
            yield torch.stack(
                [finished(depth, image, self.options, resizer) for depth, image in zip(steady(maps), images)]
            )
