"""Depth Anything V1 and V2, Distill-Any-Depth and Video Depth Anything, relative and metric.

A video model processes windows of 32 frames, so its depth comes at most 31 frames late. The depth of
single-image models is aligned from frame to frame. The options ``smoothing`` and ``near_ground`` apply to
builtin only.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import torch
from torch import Tensor, nn

from ...core.clip import ClipInfo
from ...core.host import Host
from ...image.compute import Graphs
from ...image.resize import Resizer
from ...models import weights
from ...nets import depth_anything
from ...nets.depth_anything import PATCH
from . import DepthOptions
from .preprocess import NATIVE, PUBLISHED, antialiased, at_least, cubic, landscape_side, short_side
from .stage import FEW, NEAREST, DepthStage, batches, depth_batch_size, depth_type
from .windows import stream

# largest distances in the training of the published metric models (Hypersim, Virtual KITTI)
METRES = {"indoor": 20.0, "outdoor": 80.0}
MOST_TOGETHER = 11  # half of the step between windows


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
    """One of the models; if ``metric``, its output is in metres and is inverted."""

    corners = True

    def __init__(
        self, net: depth_anything.DepthAnything, options: DepthOptions, metric: bool, device: torch.device
    ):
        self.dtype = depth_type(options.precision, device)
        self.net, self.options, self.metric, self.device = net.to(self.dtype), options, metric, device
        self.nets: list[nn.Module] = [self.net]
        self._resizer = Resizer()
        self._run, self._encode = (Graphs(work, FEW, True) for work in (self.net, self.net.encode))
        self.aligned = bool(net.family.frames)

    def size(self, info: ClipInfo) -> tuple[int, int]:
        """Return the model input's height and width: multiples of 14, the short side at least ``resolution``.

        A video model gets a smaller short side for frames wider than 16:9.
        """
        side = short_side(info.height, info.width, self.options.resolution)
        if self.aligned and self.options.resolution != NATIVE:
            published = landscape_side(info.height, info.width, int(self.options.resolution), PATCH)
            side = min(side, published)
        return at_least(info.height, info.width, side, PATCH)

    def input(self, frames: Tensor, height: int, width: int) -> Tensor:
        if self.options.resize == PUBLISHED:
            return cubic(frames, height, width)
        return antialiased(frames, height, width, self._resizer)

    def memory(self, height: int, width: int) -> int:
        family = self.net.family
        working = self._together(height, width) * (family.features + family.width // 4)
        kept = family.frames * (family.features + sum(family.outputs[2:])) // 8
        return (working + kept) * height * width * self.dtype.itemsize

    def inverse_depth(
        self, pictures: Iterator[Tensor], frame: tuple[int, int] | None = None
    ) -> Iterator[Tensor]:
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
            yield from map(self._run, batches(pictures, together))

    def forget(self) -> None:
        """Drop graphs recorded for a model that has been moved."""
        self._run.forget()
        self._encode.forget()

    def encode(self, frames: Tensor) -> tuple[Tensor, ...]:
        features = self._encode(frames)
        assert isinstance(features, tuple)  # not one tensor, because the model returns a tuple
        return features

    def decode(self, features: tuple[Tensor, ...], frames: int) -> Tensor:
        return self.net.decode(features, frames)

    def _together(self, height: int, width: int) -> int:
        return depth_batch_size(self.device, height, width, MOST_TOGETHER)
