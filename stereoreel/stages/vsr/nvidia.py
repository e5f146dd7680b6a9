"""NVIDIA RTX Video Super Resolution, frame by frame: the network of NVIDIA's driver, through the optional package nvidia-vfx.

Of the kind's options ``factor`` and ``level`` count. Proprietary: the package comes from NVIDIA, under
NVIDIA's licence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import torch
from torch import Tensor

from ...core.clip import ClipInfo, Shot
from ...core.host import Host
from ...image.resize import resize, scaled_size
from ..nvidia_vfx import Effect, effects, level, planes
from . import VSROptions

NAME = "NVIDIA RTX Video Super Resolution"
MULTIPLE, MOST = 8, 4  # its pictures' sides divide by this, and are at most so many times the source's
SAME_SIZE = ("denoise", "deblur")  # levels that keep the size
WORKING = 64  # bytes that one pixel of the result needs meanwhile


def load(entry, options: VSROptions, host: Host) -> RTXStage:
    return RTXStage(options, host.device)


class RTXStage:
    """Frames ``[T, H, W, 3 or 4]`` at ``factor`` times the size, by Lanczos to the very pixel; alpha is enlarged by Lanczos."""

    joint = False

    def __init__(self, options: VSROptions, device: torch.device):
        self.nets: list = []
        self.options, self.device = options, device
        self.resolution = effects().VideoSuperRes
        self.level = level(self.resolution.QualityLevel, options.level.upper().replace(" ", "_"))
        self.effect: tuple[tuple[int, int], Effect] | None = None  # and the size that it makes

    def memory(self, frames: ClipInfo) -> int:
        """Bytes that one frame needs."""
        width, height = scaled_size(frames.width, frames.height, self.options.factor)
        return WORKING * width * height

    def __call__(self, shot: Shot, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        for chunk in frames:
            for frame in chunk:
                yield self._enlarged(frame)

    def _enlarged(self, frame: Tensor) -> Tensor:
        height, width = frame.shape[:2]
        wide, tall = scaled_size(width, height, self.options.factor)
        same = self.options.level.startswith(SAME_SIZE)
        effect = self._effect((width, height) if same else (size(width, wide), size(height, tall)))
        picture = effect.picture("run", planes(frame, self.device)).movedim(0, -1)[None].clamp(0, 1)
        if picture.shape[1:3] != (tall, wide):
            picture = resize(picture, tall, wide)
        if frame.shape[-1] == 4:
            picture = torch.cat(
                [picture, resize(frame[None, ..., 3:].to(self.device).float(), tall, wide)], -1
            )
        return picture.to(torch.float32 if picture.device.type == "cpu" else torch.float16)

    def _effect(self, wanted: tuple[int, int]) -> Effect:
        """The effect that makes pictures of this width and height, started once."""
        if self.effect is None or self.effect[0] != wanted:
            self.effect = None  # so that the memory of the last one is free
            begin = partial(self.resolution, quality=self.level)
            self.effect = (
                wanted,
                Effect(NAME, self.device, begin, output_width=wanted[0], output_height=wanted[1]),
            )
        return self.effect[1]


def size(source: int, wanted: int) -> int:
    """The side of the picture to ask for: no smaller than wanted where that is possible, so that Lanczos only has to reduce it."""
    enough = -(-wanted // MULTIPLE) * MULTIPLE
    return max(MULTIPLE, min(enough, source * MOST // MULTIPLE * MULTIPLE))
