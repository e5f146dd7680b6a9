"""Depth Anything 3: Small and Base read several frames together, Mono and Metric one, and see the sky.

Windows of frames have one scale, so a shot keeps it; the depth comes less than a window late. The depth of
frames that are read alone is aligned from frame to frame.
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
from ...nets import depth_anything_3
from ...nets.depth_anything import PATCH
from ...nets.depth_anything_3 import with_sky
from . import DepthOptions, joined_views
from .parallax import FOCAL
from .preprocess import PUBLISHED, antialiased, in_two_steps, nearest_multiple, short_edge, short_side
from .stage import FEW, NEAREST, DepthStage, batches, depth_batch_size, depth_type
from .windows import samples

CANONICAL = 300.0  # pixels: the focal length for which a metric network outputs metres
MOST_TOGETHER = 8
WINDOW = {"cuda": 16}  # frames read together by default; elsewhere 8


def load(entry, options: DepthOptions, host: Host) -> DepthStage:
    path = host.weights(entry.kind, entry.file)
    state = {key: tensor.float() for key, tensor in weights.read(path).items()}
    with weights.loading(path):
        net = depth_anything_3.load(state)
    metric = options.metric if options.metric != "auto" else entry.params.get("metric", "no")
    return DepthStage(DepthAnything3(net, options, metric != "no", host.device), options, host.device)


class DepthAnything3:
    """One of the models; if ``metric``, its output becomes metres by an assumed focal length."""

    corners = True

    def __init__(
        self,
        net: depth_anything_3.DepthAnything3,
        options: DepthOptions,
        metric: bool,
        device: torch.device,
    ):
        self.dtype = depth_type(options.precision, device)
        self.net, self.options, self.metric, self.device = net.to(self.dtype), options, metric, device
        self.nets: list[nn.Module] = [self.net]
        self._resizer = Resizer()
        wanted = WINDOW.get(device.type, 8) if options.window == "auto" else int(options.window)
        self.window = wanted if net.family.views else 1
        self.aligned = self.window > 1
        self._run = Graphs(self._one_by_one, FEW, True)

    def forget(self) -> None:
        """Drop graphs recorded for a model that has been moved."""
        self._run.forget()

    def size(self, info: ClipInfo) -> tuple[int, int]:
        """Return the model input's height and width: multiples of 14, the short side near ``resolution``."""
        side = short_side(info.height, info.width, self.options.resolution)
        edges = short_edge(info.height, info.width, side)
        height, width = (nearest_multiple(edge, PATCH) for edge in edges)
        return height, width

    def input(self, frames: Tensor, height: int, width: int) -> Tensor:
        if self.options.resize != PUBLISHED:
            return antialiased(frames, height, width, self._resizer)
        rows, columns = frames.shape[1:3]
        side = short_side(rows, columns, self.options.resolution)
        return in_two_steps(frames, height, width, side, self._resizer)

    def memory(self, height: int, width: int) -> int:
        family = self.net.family
        together = self.window if self.window > 1 else self._together(height, width)
        tokens = together * height * width // PATCH**2
        encoder = tokens * family.width * (4 * 4 + 12 * self.dtype.itemsize)
        head = min(together, depth_anything_3.TOGETHER) * height * width * family.features
        return encoder + head * 2 * self.dtype.itemsize

    def inverse_depth(
        self, pictures: Iterator[Tensor], frame: tuple[int, int] | None = None
    ) -> Iterator[Tensor]:
        unit: Tensor | None = None  # the distance that counts as one
        for depth in self._depth(pictures):
            if unit is None:
                unit = samples(depth[0]).median().clamp(min=1e-6)
            if self.metric:
                unit = depth.new_full((), CANONICAL / (FOCAL * max(depth.shape[-2:])))
            yield 1 / (depth / unit + NEAREST)

    def _depth(self, pictures: Iterator[Tensor]) -> Iterator[Tensor]:
        first = next(pictures, None)
        if first is None:
            return
        pictures = chain([first], pictures)
        if self.window > 1:
            yield from joined_views.stream(pictures, self._together_read, self.window)
        else:
            together = self._together(*first.shape[-2:])
            yield from map(self._run, batches(pictures, together))

    def _together_read(self, frames: Tensor) -> Tensor:
        return self._seen(frames[None])[0]

    def _one_by_one(self, frames: Tensor) -> Tensor:
        return self._seen(frames[:, None])[:, 0]

    def _seen(self, views: Tensor) -> Tensor:
        """Return depth ``[B, V, h, w]`` of ``[B, V, 3, h, w]``, the sky as the farthest part."""
        found = self.net(views)
        return found.depth if found.sky is None else with_sky(found.depth, found.sky)

    def _together(self, height: int, width: int) -> int:
        return depth_batch_size(self.device, height, width, MOST_TOGETHER)
