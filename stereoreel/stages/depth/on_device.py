"""Frames on a GPU for depth that is found on the host: small ones go down, and their depth comes up.

Six bytes for each pixel at working size go down per frame, two come up. Everything at frame size stays where
the frames are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ...image.flow import luma_levels
from ...image.host_copy import Download, upload
from ...image.resize import Resizer

LEVELS, MIDDLE = 65535, 32768  # of 16 bits


class Waiting(NamedTuple):
    """A frame whose depth is pending: its uint8 luma at frame size and at working size."""

    large: Tensor
    small: Tensor


class DeviceFrames:
    """Take frames ``[T, H, W, C]`` of a device to the host, at the height and width that ``size`` returns."""

    def __init__(self, device: torch.device, size: Callable[[int, int], tuple[int, int]]):
        self._device, self._size, self._resizer = device, size, Resizer()

    def pictures(self, frames: Iterable[Tensor], waiting: deque[Waiting]) -> Iterator[Tensor]:
        """Yield frames at working size on the host, ``[1, 3, h, w]``, and queue their lumas for their depth.

        They are read one chunk later, so that the GPU has more to do.
        """
        pending: tuple[list[Waiting], Download] | None = None
        for chunk in frames:
            following = self._begun(chunk)
            if pending is not None:
                yield from _arrived(*pending, waiting)
            pending = following
        if pending is not None:
            yield from _arrived(*pending, waiting)

    def _begun(self, chunk: Tensor) -> tuple[list[Waiting], Download]:
        colors = upload(chunk[..., :3], self._device).float()
        size = self._size(*colors.shape[1:3])
        if size[0] * size[1] > colors.shape[1] * colors.shape[2]:
            planes = F.interpolate(colors.movedim(-1, 1), size, mode="bicubic", align_corners=False)
            small = planes.movedim(1, -1)
        else:
            small = self._resizer(colors, *size, method="area", clamp=False)
        small = small.clamp(0, 1).nan_to_num(0)  # one NaN would spread over the shot
        lumas = map(Waiting, luma_levels(colors), luma_levels(small))
        return list(lumas), Download(packed(small))

    def there(self, depth: Tensor) -> Tensor:
        """Return depth in 0..1, float32, on the device."""
        return upload(packed(depth.clamp(0, 1)), self._device).float().add_(MIDDLE).div_(LEVELS)


def _arrived(lumas: list[Waiting], small: Download, waiting: deque[Waiting]) -> Iterator[Tensor]:
    for frame, own in zip(small.wait().float().add_(MIDDLE).div_(LEVELS), lumas):
        waiting.append(own)
        yield frame.expand(-1, -1, 3).movedim(-1, 0)[None]


def packed(values: Tensor) -> Tensor:
    """Return numbers in 0..1 in 16 bits."""
    return (values * LEVELS - MIDDLE).round_().to(torch.int16)
