"""NVIDIA RTX Video Super Resolution, frame by frame, through the optional package nvidia-vfx.

Only the options ``factor`` and ``level`` apply. Proprietary: the package comes from NVIDIA, under NVIDIA's
licence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from ...core.clip import ClipInfo, Shot
from ...core.host import Host
from ...image.resize import resize, scaled_size
from ..nvidia_vfx import Effect, effects, level, planes
from . import VSROptions

NAME = "NVIDIA RTX Video Super Resolution"
MULTIPLE, MOST = 8, 4  # output sides are multiples of the first, and at most the second times the source's
SAME_SIZE = ("denoise", "deblur")  # levels that keep the size
WORKING = 64  # bytes of working memory per output pixel


def load(entry, options: VSROptions, host: Host) -> RTXStage:
    return RTXStage(options, host.device)


class RTXStage:
    """Upscale frames ``[T, H, W, 3 or 4]`` by ``factor``; Lanczos gives the exact size and scales alpha."""

    joint = False

    def __init__(self, options: VSROptions, device: torch.device):
        self.nets: list[nn.Module] = []
        self.options, self.device = options, device
        self.resolution = effects().VideoSuperRes
        self.level = level(self.resolution.QualityLevel, options.level.upper().replace(" ", "_"))
        self.effect: tuple[tuple[int, int], Effect] | None = None  # with its output size

    def memory(self, frames: ClipInfo) -> int:
        """Return the bytes that one frame needs."""
        width, height = scaled_size(frames.width, frames.height, self.options.factor)
        return WORKING * width * height

    def __call__(self, shot: Shot, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        for chunk in frames:
            for frame in chunk:
                yield self._upscaled(frame)

    def _upscaled(self, frame: Tensor) -> Tensor:
        height, width = frame.shape[:2]
        wide, tall = scaled_size(width, height, self.options.factor)
        same = self.options.level.startswith(SAME_SIZE)
        effect = self._effect((width, height) if same else (size(width, wide), size(height, tall)))
        picture = effect.run("run", planes(frame, self.device)).movedim(0, -1)[None].clamp(0, 1)
        if picture.shape[1:3] != (tall, wide):
            picture = resize(picture, tall, wide)
        if frame.shape[-1] == 4:
            picture = torch.cat(
                [picture, resize(frame[None, ..., 3:].to(self.device).float(), tall, wide)], -1
            )
        return picture.to(torch.float32 if picture.device.type == "cpu" else torch.float16)

    def _effect(self, wanted: tuple[int, int]) -> Effect:
        """Return the effect with this output width and height, started once."""
        if self.effect is None or self.effect[0] != wanted:
            self.effect = None  # frees the memory of the last one
            begin = partial(self.resolution, quality=self.level)
            effect = Effect(NAME, self.device, begin, output_width=wanted[0], output_height=wanted[1])
            self.effect = (wanted, effect)
        return self.effect[1]


def size(source: int, wanted: int) -> int:
    """Return the output side to request: at least ``wanted`` if possible, so that Lanczos only reduces it."""
    enough = -(-wanted // MULTIPLE) * MULTIPLE
    return max(MULTIPLE, min(enough, source * MOST // MULTIPLE * MULTIPLE))
