"""A stand-in with nvidia-vfx's documented interface, on any device: it repeats and mixes frames.

It is as strict as the documentation: sizes and ``load`` come first, frames are float32 ``[3, H, W]`` and
contiguous, a result is in a buffer that the next run overwrites, and arguments have the documented names.
"""

from enum import IntEnum
from types import ModuleType, SimpleNamespace

import torch
import torch.nn.functional as F

GRADES = ("LOW", "MEDIUM", "HIGH", "ULTRA")
QUALITY = (
    {"BICUBIC": 0}
    | {
        f"{kind}{grade}": first + number
        for kind, first in (("", 1), ("DENOISE_", 8), ("DEBLUR_", 12), ("HIGHBITRATE_", 16))
        for number, grade in enumerate(GRADES)
    }
    | {"STREAMING_MEDIUM": 21, "STREAMING_ULTRA": 23}
)


class Effect:
    def __init__(self, device: int = 0):
        self.device, self.is_loaded, self.buffer = device, False, None
        self.journal.append(("made", device))

    def load(self):
        self.is_loaded = True

    def close(self):
        self.is_loaded = False
        self.journal.append(("closed", self.device))

    def answer(self, picture: torch.Tensor) -> SimpleNamespace:
        if self.buffer is None or self.buffer.shape != picture.shape:
            self.buffer = torch.empty_like(picture)
        self.buffer.copy_(self.spoil(picture))
        return SimpleNamespace(image=torch.utils.dlpack.to_dlpack(self.buffer))

    def check(self, *pictures: torch.Tensor):
        if not self.is_loaded:
            raise RuntimeError("load() first")
        for picture in pictures:
            if (
                picture.dtype != torch.float32
                or picture.ndim != 3
                or picture.shape[0] != 3
                or not picture.is_contiguous()
            ):
                raise RuntimeError("wants float32 [3, H, W], contiguous")

    @staticmethod
    def spoil(picture: torch.Tensor) -> torch.Tensor:
        return picture


def package() -> ModuleType:
    """Return a new module; ``journal`` records creation and closing, ``spoil`` changes every result."""
    module = ModuleType("nvvfx")
    module.journal, base = [], type("Effect", (Effect,), {})
    base.journal = module.journal
    module.Effect = base

    class VideoSuperRes(base):
        QualityLevel = IntEnum("QualityLevel", QUALITY)

        def __init__(self, quality=QualityLevel.HIGH, device: int = 0):
            super().__init__(device)
            self.quality, self.output_width, self.output_height = quality, None, None

        def run(self, input_array, *, non_blocking: bool = False, stream_ptr: int = 0):
            self.check(input_array)
            height, width = input_array.shape[1:]
            module.journal.append(
                (self.quality.name, (width, height), (self.output_width, self.output_height))
            )
            same = (self.output_width, self.output_height) == (width, height)
            if self.quality.name.startswith(("DENOISE", "DEBLUR")) and not same:
                raise RuntimeError("denoise and deblur keep the size")
            if not same and not (
                width <= self.output_width <= 4 * width and height <= self.output_height <= 4 * height
            ):
                raise RuntimeError("up to four times the size")
            if not same and (self.output_width % 8 or self.output_height % 8):
                raise RuntimeError("sizes divide by 8")
            return self.answer(
                F.interpolate(
                    input_array[None], (self.output_height, self.output_width), mode="nearest-exact"
                )[0]
            )

    class VideoFrameGeneration(base):
        Mode = IntEnum("Mode", {"LOW": 0, "MEDIUM": 1, "HIGH": 2})

        def __init__(
            self, mode=Mode.MEDIUM, automatic_shot_change_detection_enabled: bool = True, device: int = 0
        ):
            super().__init__(device)
            self.mode, self.input_width, self.input_height = mode, None, None

        def run_at_timestep(
            self, previous, current, timestep: float, *, shot_change: bool = False, stream_ptr: int = 0
        ):
            self.check(previous, current)
            if not 0 < timestep < 1 or {previous.shape, current.shape} != {
                (3, self.input_height, self.input_width)
            }:
                raise RuntimeError("a time between two frames of the declared size")
            module.journal.append((self.mode.name, timestep))
            return self.answer(torch.lerp(previous, current, timestep))

    module.VideoSuperRes, module.VideoFrameGeneration = VideoSuperRes, VideoFrameGeneration
    module.QualityLevel = VideoSuperRes.QualityLevel
    return module
