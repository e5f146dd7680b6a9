"""NVIDIA RTX Video Super Resolution, frame by frame, through the optional package nvidia-vfx.

Only the options ``factor`` and ``level`` apply. Proprietary: the package comes from NVIDIA, under NVIDIA's
licence. On some drivers it returns black frames without an error; then the builtin upscaler takes over.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from ...core.clip import ClipInfo, Shot
from ...core.host import Host
from ...image.resize import resize, scaled_size
from ..nvidia_vfx import BrokenResult, Effect, effects, level, planes
from . import VSROptions, builtin

log = logging.getLogger(__name__)

NAME = "NVIDIA RTX Video Super Resolution"
MULTIPLE, MOST = 8, 4  # output sides are multiples of the first, and at most the second times the source's
SAME_SIZE = ("denoise", "deblur")  # levels that keep the size
WORKING = 64  # bytes of working memory per output pixel


def load(entry, options: VSROptions, host: Host) -> RTXStage:
    return RTXStage(options, host.device, builtin.load(entry, options, host))


class RTXStage:
    """Upscale frames ``[T, H, W, 3 or 4]`` by ``factor``; Lanczos gives the exact size and scales alpha."""

    joint = False

    def __init__(self, options: VSROptions, device: torch.device, fallback: builtin.FusionStage):
        self.fallback = fallback
        self.works: bool | None = None  # unknown before the first frame
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
        if not self._working(shot.info):
            yield from self.fallback(shot, frames)
            return
        for chunk in frames:
            for frame in chunk:
                yield self._upscaled(frame)

    def delay(self, frames: ClipInfo) -> int:
        """Return how many input frames the stage buffers."""
        return 0 if self._working(frames) else self.fallback.delay(frames)

    def _working(self, info: ClipInfo) -> bool:
        """Whether a bright test image of the clip's size comes back; asked once, and logged if not."""
        if self.works is None:
            bright = torch.linspace(0.2, 0.9, info.width).expand(info.height, 3, -1).movedim(1, -1)
            try:
                self._upscaled(bright)
                self.works = True
            except BrokenResult as error:
                self.works, self.effect = False, None
                log.warning(f"{error} Using the builtin upscaler for this clip.")
        return self.works

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
