"""The state of one shot, and its path through upscaling, projector, transformer, decoder and colours."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from .color import corrected
from .denoise import Denoiser
from .stream import AHEAD, Decoding, Projection, SideStream, enlarge, padded


class OneShot:
    """Turn the groups of frames from ``schedule`` into images of ``size`` (height, width)."""

    def __init__(
        self,
        denoise: Denoiser,
        project: Projection,
        decode: Decoding,
        side: SideStream,
        size: tuple[int, int],
        color: str,
    ):
        self.denoise, self.project, self.decode, self.side = denoise, project, decode, side
        self.size, self.color, self.index = size, color, 0
        self.images: list[Tensor] = []  # upscaled frames that are not output yet
        self.inputs: list[Tensor] = []  # the same as model input

    def __call__(self, group: Tensor, due: int) -> Callable[[], Tensor]:
        """Start a group; return a function that gives the ``due`` images ``[due, H, W, C]`` it completes."""
        self.images.append(enlarge(group, *self.size, self.denoise.device))
        self.inputs.append(self.seen(self.images[-1]))
        latents = self.denoise(self.index, self.project(self.inputs[-1]))
        images, inputs = torch.cat(self.images), torch.cat(self.inputs)
        self.images, self.inputs, self.index = [images[-AHEAD:]], [inputs[-AHEAD:]], self.index + 1
        return self.side(partial(self._shown, due, group.dtype), latents, inputs[:-AHEAD], images[:-AHEAD])

    def seen(self, images: Tensor) -> Tensor:
        """Return three channels in -1..1, padded, in the models' dtype."""
        return padded(rgb(images) * 2 - 1).to(self.denoise.net.dtype)

    def _shown(self, due: int, dtype: torch.dtype, latents: Tensor, inputs: Tensor, images: Tensor) -> Tensor:
        return self.finished(self.decode(latents, inputs)[:due], images[:due]).to(dtype)

    def finished(self, result: Tensor, images: Tensor) -> Tensor:
        """Return decoded frames ``[T, H, W, C]``, cropped, with colours and alpha of the upscaled source."""
        height, width = images.shape[-2:]
        out = corrected(result[:, :, :height, :width], rgb(images) * 2 - 1, self.color).add_(1).div_(2)
        if images.shape[1] < 3:
            out = out.mean(1, keepdim=True)
        if images.shape[1] > 3:
            out = torch.cat([out, images[:, 3:]], 1)
        return out.movedim(1, -1).contiguous()


def rgb(images: Tensor) -> Tensor:
    """Return the colour channels; a single one three times."""
    return images[:, :3].expand(-1, 3, -1, -1) if images.shape[1] < 3 else images[:, :3]
