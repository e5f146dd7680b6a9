"""Antialiased Lanczos: no weights, any factor, nothing invented."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from ..clip import Shot
from ..host import Host
from ..resize import resize, scaled_size


def load(entry, options, host: Host) -> LanczosStage:
    return LanczosStage(options.factor, host.device)


class LanczosStage:
    """Frames ``[T, H, W, C]`` at ``factor`` times the size; any number of channels, so depth and alpha too."""

    joint = False

    def __init__(self, factor: float, device: torch.device):
        self.nets: list = []
        self.factor, self.device = factor, device

    def __call__(self, shot: Shot, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        for chunk in frames:
            width, height = scaled_size(chunk.shape[2], chunk.shape[1], self.factor)
            yield resize(chunk.to(self.device), height, width)
