"""The luma of frames at the size at which text is searched for, from wherever the frames are."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..host_copy import Download
from .strokes import Window

LUMA = (0.299, 0.587, 0.114)
SIDE = 960  # largest side of the luma that is searched


def reduced(luma: np.ndarray) -> np.ndarray:
    """Return luma ``[H, W]``, uint8 or float32, at the size that is searched."""
    return _resized(luma, reduced_size(*luma.shape))


def _resized(luma: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    import cv2

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


class PartialLuma:
    """The luma that is searched of a frame ``[H, W, C]`` in 0..1, of which only windows are computed.

    A window of it is that of the array that ``frame_luma`` returns.
    """

    def __init__(self, frame: Tensor):
        self._frame = frame[..., : 3 if frame.shape[-1] >= 3 else 1]
        self._whole: np.ndarray | None = None  # of a frame on a GPU
        self.shape = reduced_size(*frame.shape[:2])

    def __getitem__(self, window: Window) -> np.ndarray:
        if self._frame.device.type != "cpu":
            self._whole = frame_luma(self._frame) if self._whole is None else self._whole
            return self._whole[window]
        fine, coarse, inside = zip(*map(_aligned, self._frame.shape, self.shape, window))
        luma = _luma(self._frame[fine])
        size = coarse[0].stop - coarse[0].start, coarse[1].stop - coarse[1].start
        return _levels(_resized(luma, size))[inside]


def _aligned(length: int, count: int, part: slice) -> tuple[slice, slice, slice]:
    """Return the pixels that a part of a side needs when ``length`` of them are reduced to ``count``.

    The first are those of the frame, then what is computed of them, and the part in that. They begin and
    end where pixels before and after coincide, so that each one is the same mean as in the whole.
    """
    blocks = math.gcd(length, count)
    coarse = count // blocks
    first, last = part.start // coarse, -(-part.stop // coarse)
    fine = length // blocks
    inside = slice(part.start - first * coarse, part.stop - first * coarse)
    return slice(first * fine, last * fine), slice(first * coarse, last * coarse), inside


def _reduced_here(frame: Tensor) -> np.ndarray:
    return _levels(reduced(_luma(frame)))  # rounded when it is small, which is faster


def _luma(frame: Tensor) -> np.ndarray:
    """Return the luma, float32 ``[H, W]``, of a frame ``[H, W, 1 or 3]`` in the memory of the host."""
    import cv2

    image = frame.float().numpy()
    if image.shape[-1] == 3:
        return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.array(image[..., 0])


def _levels(luma: np.ndarray) -> np.ndarray:
    """Return the grey levels, uint8, of luma in 0..1, which is overwritten, because memory costs time."""
    if not math.isfinite(luma.sum(dtype=np.float64)):
        np.nan_to_num(luma, copy=False, posinf=1, neginf=0)
    luma *= 255
    luma += 0.5
    return np.clip(luma, 0, 255, out=luma).astype(np.uint8)


def _reduced_there(frames: Tensor) -> Tensor:
    luma = frames[..., 0].float()
    if frames.shape[-1] == 3:
        red, green, blue = frames.float().unbind(-1)
        luma = red * LUMA[0] + green * LUMA[1] + blue * LUMA[2]
    size = reduced_size(*luma.shape[1:])
    if size != luma.shape[1:]:
        luma = F.adaptive_avg_pool2d(luma[:, None], size)[:, 0]
    return (luma.nan_to_num(0, posinf=1, neginf=0) * 255 + 0.5).clamp(0, 255).to(torch.uint8)
