"""Depth Anything V1 and V2, Distill-Any-Depth and Video Depth Anything, relative and metric.

A video network sees windows of 32 frames, and its depth comes at most 31 frames late; one for single pictures
is aligned from frame to frame. Of the kind's options ``smoothing`` and ``near_ground`` are builtin's.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import torch
from torch import Tensor

from ...core.clip import ClipInfo
from ...core.host import Host
from ...image.compute import Spread
from ...models import weights
from ...nets import depth_anything
from ...nets.depth_anything import PATCH
from . import DepthOptions
from .stage import NEAREST, DepthStage, batches, depth_together, depth_type
from .windows import stream

# what the published metric networks were trained up to (Hypersim, Virtual KITTI)
METRES = {"indoor": 20.0, "outdoor": 80.0}
MOST_TOGETHER = 11  # half of the frames by which a window moves on
# of pictures that the video networks were trained on; wider ones get fewer lines, as in the original
WIDEST = 16 / 9


def load(entry, options: DepthOptions, host: Host) -> DepthStage:
    path = host.weights(entry.kind, entry.file)
    state = weights.read(path)
    state = {key: tensor.float() for key, tensor in state.items()}
    video = any("motion_modules" in key for key in state)
    metric = options.metric if options.metric != "auto" else entry.params.get("metric", "no")
    metres = None if video else METRES.get(metric)
    with weights.loading(path):
        net = depth_anything.load(state, max_depth=metres, first=entry.params.get("first", False))
    network = DepthAnything(net, options, metric in METRES, host.device)
    return DepthStage(network, options, host.device)


class DepthAnything:
    """One of the networks; ``metric`` says that it tells metres, which are inverted."""

    def __init__(
        self, net: depth_anything.DepthAnything, options: DepthOptions, metric: bool, device: torch.device
    ):
        self.dtype = depth_type(options.precision, device)
        self.net, self.options, self.metric, self.device = net.to(self.dtype), options, metric, device
        self.nets, self.aligned = [self.net], bool(net.family.frames)

    def size(self, info: ClipInfo) -> tuple[int, int]:
        """The short side near the resolution, both sides multiples of 14."""
        short, long = sorted((info.width, info.height))
        side = short if self.options.resolution == "native" else int(self.options.resolution)
        if self.aligned and self.options.resolution != "native":
            side = min(side, side * WIDEST * short / long)
        return tuple(max(1, round(edge * side / short / PATCH)) * PATCH for edge in (info.height, info.width))

    def memory(self, height: int, width: int) -> int:
        family = self.net.family
        working = self._together(height, width) * (family.features + family.width // 4)
        kept = family.frames * (family.features + sum(family.outputs[2:])) // 8
        return (working + kept) * height * width * self.dtype.itemsize

    def inverse_depth(self, pictures: Iterator[Tensor]) -> Iterator[Tensor]:
        for depth in self._depth(pictures):
            yield 1 / (depth[:, 0] + NEAREST) if self.metric else depth[:, 0]

    def _depth(self, pictures: Iterator[Tensor]) -> Iterator[Tensor]:
        first = next(pictures, None)
        if first is None:
            return
        together, pictures = self._together(*first.shape[-2:]), chain([first], pictures)
        if self.aligned:
            yield from stream(pictures, self, self.metric, together)
        else:
            yield from map(Spread(self.net), batches(pictures, together))

    def encode(self, frames: Tensor) -> tuple[Tensor, ...]:
        return Spread(self.net.encode)(frames)

    def decode(self, features: tuple[Tensor, ...], frames: int) -> Tensor:
        return self.net.decode(features, frames)

    def _together(self, height: int, width: int) -> int:
        return depth_together(self.device, height, width, MOST_TOGETHER)
