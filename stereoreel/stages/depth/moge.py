"""MoGe-2: metric distances frame by frame, with sharp edges and without the sky, aligned over a shot."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import chain

import torch
from torch import Tensor, nn

from ...core.clip import ClipInfo
from ...core.host import Host
from ...image.compute import Graphs
from ...image.resize import Resizer
from ...models import weights
from ...nets import moge
from ...nets.depth_anything import PATCH
from . import DepthOptions
from .preprocess import antialiased, short_side
from .stage import NEAREST, DepthStage, batches, depth_batch_size, depth_type

MOST_TOGETHER = 8


def load(entry, options: DepthOptions, host: Host) -> DepthStage:
    path = host.weights(entry.kind, entry.file)
    state = {key: tensor.float() for key, tensor in weights.read(path).items()}
    with weights.loading(path):
        net = moge.load(state)
    return DepthStage(MoGe(net, options, host.device), options, host.device)


class MoGe:
    """A model; what has no distance, such as the sky, is the farthest."""

    aligned = corners = False

    def __init__(self, net: moge.MoGe, options: DepthOptions, device: torch.device):
        self.dtype = depth_type(options.precision, device)
        self.net, self.options, self.device = net.to(self.dtype), options, device
        self.nets: list[nn.Module] = [self.net]
        self._resizer = Resizer()
        self._run = Graphs(self._distances, repeated=True)  # the fit of a focal length has many small steps

    def forget(self) -> None:
        """Drop graphs recorded for a model that has been moved."""
        self._run.forget()

    def size(self, info: ClipInfo) -> tuple[int, int]:
        """Return the model input's height and width: multiples of 14, the short side near ``resolution``.

        As in the original, a number of tokens of the frame's aspect ratio.
        """
        aspect = info.width / info.height
        side = short_side(info.height, info.width, self.options.resolution)
        tokens = round((side / PATCH) ** 2 * max(aspect, 1 / aspect))
        height, width = (
            max(1, round(math.sqrt(part))) * PATCH for part in (tokens / aspect, tokens * aspect)
        )
        return height, width

    def input(self, frames: Tensor, height: int, width: int) -> Tensor:
        return antialiased(frames, height, width, self._resizer)  # so does the original

    def memory(self, height: int, width: int) -> int:
        family = self.net.family
        tokens = self._together(height, width) * height * width // PATCH**2
        decoders = 256 * 3 * family.neck.widths[-1] + 64 * 3 * family.neck.widths[-2]
        return tokens * (family.width * (4 * 4 + 12 * self.dtype.itemsize) + decoders * self.dtype.itemsize)

    def inverse_depth(
        self, pictures: Iterator[Tensor], frame: tuple[int, int] | None = None
    ) -> Iterator[Tensor]:
        first = next(pictures, None)
        if first is None:
            return
        together = self._together(*first.shape[-2:])
        # the original enlarges points, which keeps sharp edges sharp; snapped edges come from the frame
        size = frame if self.options.edges == "smooth" else None
        for images in batches(chain([first], pictures), together):
            yield 1 / (self._run(images, size) + NEAREST)

    def _distances(self, images: Tensor, size: tuple[int, int] | None) -> Tensor:
        return moge.distances(self.net(images, size))

    def _together(self, height: int, width: int) -> int:
        return depth_batch_size(self.device, height, width, MOST_TOGETHER)
