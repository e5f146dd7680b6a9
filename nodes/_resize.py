"""Resize frames as ComfyUI's own nodes do, on demand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..stereoreel.core.clip import ClipInfo, Shot
from ..stereoreel.core.transforms import Weightless
from ._comfy import common_upscale

METHODS = ("nearest-exact", "bilinear", "area", "bicubic", "lanczos", "bislerp")
CROPS = ("disabled", "center")


@dataclass(frozen=True)
class Resized(Weightless):
    """Frames of ``width`` x ``height`` by one of ComfyUI's methods, within 0..1.

    The crop ``center`` keeps the aspect and cuts what is beyond it. Raise ValueError for another method or
    crop, or a side below 1.
    """

    framewise = True
    joint = False
    width: int
    height: int
    method: str
    crop: str = "disabled"
    label: str = "Resize"

    def describe(self, clip: ClipInfo) -> ClipInfo:
        for word, words in ((self.method, METHODS), (self.crop, CROPS)):
            if word not in words:
                raise ValueError(f"{self.label}: unknown word {word!r}. Choose one of {', '.join(words)}.")
        if min(self.width, self.height) < 1:
            raise ValueError(
                f"{self.label}: {self.width} x {self.height} has no pixels. Set both to 1 or more."
            )
        if self.crop == "center":
            return clip.replace(width=self.width, height=self.height)
        return clip.stretched(self.width, self.height)

    def __call__(self, shot: Shot, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        for chunk in chunks:
            yield torch.cat([self._frame(frame) for frame in chunk.split(1)])

    def _frame(self, frame: Tensor) -> Tensor:
        channels = frame.shape[-1]
        image = frame.movedim(-1, 1)
        if channels == 1:
            image = image.expand(-1, 3, -1, -1)  # ComfyUI's lanczos drops a single channel
        made = common_upscale(image, self.width, self.height, self.method, self.crop)
        return made[:, :channels].movedim(1, -1).clamp(0, 1).to(frame)
