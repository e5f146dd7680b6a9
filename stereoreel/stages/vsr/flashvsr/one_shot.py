"""What one shot remembers, and its way through enlarging, projector, transformer, decoder and colours."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from .color import corrected
from .denoise import Denoiser
from .stream import AHEAD, Beside, Decoding, Projection, enlarge, padded


class OneShot:
    """Groups of frames as ``schedule`` makes them, one after the other, to pictures of ``size`` (height, width)."""

    def __init__(
        self,
        denoise: Denoiser,
        project: Projection,
        decode: Decoding,
        beside: Beside,
        size: tuple[int, int],
        color: str,
    ):
        self.denoise, self.project, self.decode, self.beside = denoise, project, decode, beside
        self.size, self.color, self.index = size, color, 0
        self.images: list[Tensor] = []  # enlarged frames that have not come out yet
        self.inputs: list[Tensor] = []  # what the networks see of them

    def __call__(self, group: Tensor, due: int) -> Callable[[], Tensor]:
        """Begin with a group; what is returned gives the ``due`` pictures ``[due, H, W, C]`` that come out after it."""
        self.images.append(enlarge(group, *self.size, self.denoise.device))
        self.inputs.append(self.seen(self.images[-1]))
        latents = self.denoise(self.index, self.project(self.inputs[-1]))
        images, inputs = torch.cat(self.images), torch.cat(self.inputs)
        self.images, self.inputs, self.index = [images[-AHEAD:]], [inputs[-AHEAD:]], self.index + 1
        return self.beside(partial(self._shown, due, group.dtype), latents, inputs[:-AHEAD], images[:-AHEAD])

    def seen(self, images: Tensor) -> Tensor:
        """Three channels in -1..1, padded, in the networks' number type."""
        return padded(three(images) * 2 - 1).to(self.denoise.net.dtype)

    def _shown(self, due: int, dtype: torch.dtype, latents: Tensor, inputs: Tensor, images: Tensor) -> Tensor:
        return self.finished(self.decode(latents, inputs)[:due], images[:due]).to(dtype)

    def finished(self, made: Tensor, images: Tensor) -> Tensor:
        """What was decoded, cropped, with the colours and the alpha of enlarged frames: ``[T, H, W, C]``."""
        height, width = images.shape[-2:]
        out = corrected(made[:, :, :height, :width], three(images) * 2 - 1, self.color).add_(1).div_(2)
        if images.shape[1] < 3:
            out = out.mean(1, keepdim=True)
        if images.shape[1] > 3:
            out = torch.cat([out, images[:, 3:]], 1)
        return out.movedim(1, -1).contiguous()


def three(images: Tensor) -> Tensor:
    """The colour channels; a single one three times."""
    return images[:, :3].expand(-1, 3, -1, -1) if images.shape[1] < 3 else images[:, :3]
