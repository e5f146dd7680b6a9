"""Resampling, local means and local ranges of one picture ``[H, W, C]``, float32: OpenCV on the CPU, several times faster than torch there."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def warp(image: Tensor, way: Tensor) -> Tensor:
    """``image`` read at ``x + way`` (``[H, W, 2]``, pixels), bicubic, as a new tensor; pixels outside repeat the border."""
    height, width = image.shape[:2]
    columns, rows = (torch.arange(side, device=way.device, dtype=torch.float32) for side in (width, height))
    x, y = way[..., 0] + columns, way[..., 1] + rows[:, None]
    if _by_opencv(image):
        import cv2

        moved = cv2.remap(
            image.contiguous().numpy(), x.numpy(), y.numpy(), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        return torch.from_numpy(moved).view(image.shape)
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], -1)[None]
    return _picture(
        F.grid_sample(_planes(image), grid, mode="bicubic", padding_mode="border", align_corners=False)
    )


def at(image: Tensor, height: int, width: int) -> Tensor:
    """``image`` at another size, bilinear."""
    if _by_opencv(image):
        import cv2

        return torch.from_numpy(cv2.resize(image.contiguous().numpy(), (width, height))).view(
            height, width, -1
        )
    return _picture(F.interpolate(_planes(image), (height, width), mode="bilinear", align_corners=False))


def area(image: Tensor, height: int, width: int) -> Tensor:
    """``image`` at a smaller size, each pixel the mean of what it covers."""
    if _by_opencv(image):
        import cv2

        return torch.from_numpy(
            cv2.resize(image.contiguous().numpy(), (width, height), interpolation=cv2.INTER_AREA)
        ).view(height, width, -1)
    return _picture(F.interpolate(_planes(image), (height, width), mode="area"))


def mean_near(image: Tensor, side: int) -> Tensor:
    """The mean over the square about each pixel."""
    if _by_opencv(image):
        import cv2

        return torch.from_numpy(
            cv2.blur(image.contiguous().numpy(), (side, side), borderType=cv2.BORDER_REPLICATE)
        ).view(image.shape)
    padded = F.pad(_planes(image), (side // 2,) * 4, mode="replicate")
    return _picture(F.avg_pool2d(padded, side, 1))


def confined(image: Tensor, to: Tensor, side: int) -> Tensor:
    """``image``, brought in place into the range that ``to`` has in the square about each pixel."""
    if _by_opencv(image):
        import cv2

        other, square = to.contiguous().numpy(), np.ones((side, side), np.uint8)
        low, high = (torch.from_numpy(act(other, square)).view(to.shape) for act in (cv2.erode, cv2.dilate))
    else:
        other = _planes(to)
        low, high = (
            sign * F.max_pool2d(sign * other, side, 1, side // 2)[0].permute(1, 2, 0) for sign in (-1, 1)
        )
    return torch.clamp(image, low, high, out=image)


def _by_opencv(image: Tensor) -> bool:
    return image.device.type == "cpu"


def _planes(image: Tensor) -> Tensor:
    return image.permute(2, 0, 1)[None]


def _picture(planes: Tensor) -> Tensor:
    return planes[0].permute(1, 2, 0).contiguous()
