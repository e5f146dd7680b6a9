"""The luma of frames at the size at which text is searched for, from wherever the frames are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..host_copy import Download

LUMA = (0.299, 0.587, 0.114)
SIDE = 960  # largest side of the luma that is searched


def reduced(luma: np.ndarray) -> np.ndarray:
    """Return luma ``[H, W]``, uint8 or float32, at the size that is searched."""
    import cv2

    size = reduced_size(*luma.shape)
    return luma if size == luma.shape else cv2.resize(luma, size[::-1], interpolation=cv2.INTER_AREA)


def reduced_size(height: int, width: int) -> tuple[int, int]:
    """Return the height and width that are searched in frames of this size."""
    scale = min(1.0, SIDE / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


class Lumas:
    """The lumas that are searched, uint8 ``[h, w]``, of the frames of a chunk ``[T, H, W, C]`` in 0..1.

    Those of a GPU arrive while it works on what is queued next.
    """

    def __init__(self, chunk: Tensor):
        self._frames = chunk[..., : 3 if chunk.shape[-1] >= 3 else 1]
        self._arriving = None if chunk.device.type == "cpu" else Download(_reduced_there(self._frames))

    def __iter__(self) -> Iterator[np.ndarray]:
        if self._arriving is not None:
            yield from self._arriving.wait().numpy()
        else:
            yield from map(_reduced_here, self._frames)  # one at a time, so that chunks cannot matter


def frame_luma(frame: Tensor) -> np.ndarray:
    """Return the luma that is searched, uint8 ``[h, w]``, of a frame ``[H, W, C]`` in 0..1 on any device."""
    return next(iter(Lumas(frame[None])))


def _reduced_here(frame: Tensor) -> np.ndarray:
    import cv2

    image = frame.float().contiguous().numpy()
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.shape[-1] == 3 else image[..., 0]
    small = np.nan_to_num(reduced(luma), posinf=1, neginf=0)  # rounded when it is small, which is faster
    return (small * 255 + 0.5).clip(0, 255).astype(np.uint8)


def _reduced_there(frames: Tensor) -> Tensor:
    luma = frames[..., 0].float()
    if frames.shape[-1] == 3:
        red, green, blue = frames.float().unbind(-1)
        luma = red * LUMA[0] + green * LUMA[1] + blue * LUMA[2]
    size = reduced_size(*luma.shape[1:])
    if size != luma.shape[1:]:
        luma = F.adaptive_avg_pool2d(luma[:, None], size)[:, 0]
    return (luma.nan_to_num(0, posinf=1, neginf=0) * 255 + 0.5).clamp(0, 255).to(torch.uint8)
