"""Antialiased Lanczos: no weights, any factor, no hallucinated detail.

Only the options that set the output size apply.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from ...core.clip import Shot
from ...core.host import Host
from ...image.host_copy import upload
from ...image.resize import Resizer
from . import UpscaleOptions, wanted_size


def load(entry, options, host: Host) -> LanczosStage:
    return LanczosStage(options, host.device)


class LanczosStage:
    """Resize frames ``[T, H, W, C]`` with any number of channels, including depth and alpha."""

    joint, remembers = False, False

    def __init__(self, options: UpscaleOptions, device: torch.device):
        self.nets: list[nn.Module] = []
        self.options, self.device, self._resize = options, device, Resizer()

    def __call__(self, shot: Shot, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        for chunk in frames:
            width, height = wanted_size(self.options, chunk.shape[2], chunk.shape[1], shot.frame)
            yield self._resize(upload(chunk, self.device), height, width)
