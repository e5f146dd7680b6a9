"""Antialiased Lanczos: no weights, any factor, nothing invented.

Of the kind's options only those that decide the size count here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from ...core.clip import Shot
from ...core.host import Host
from ...image.resize import resize
from . import UpscaleOptions, wanted_size


def load(entry, options, host: Host) -> LanczosStage:
    return LanczosStage(options, host.device)


class LanczosStage:
    """Frames ``[T, H, W, C]`` at the wanted size; any number of channels, so depth and alpha too."""

    joint, remembers = False, False

    def __init__(self, options: UpscaleOptions, device: torch.device):
        self.nets: list = []
        self.options, self.device = options, device

    def __call__(self, shot: Shot, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        for chunk in frames:
            width, height = wanted_size(self.options, chunk.shape[2], chunk.shape[1])
            yield resize(chunk.to(self.device), height, width)
