"""Resampling, local means and local ranges of one image ``[H, W, C]``, float32.

On the CPU they use OpenCV, which is several times faster than torch there.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def warp(image: Tensor, way: Tensor) -> Tensor:
    """Sample ``image`` at ``x + way`` (``[H, W, 2]``, pixels), bicubic, as a new tensor.

    Pixels outside repeat the border.
    """
    height, width = image.shape[:2]
    columns, rows = (torch.arange(side, device=way.device, dtype=torch.float32) for side in (width, height))
    x, y = way[..., 0] + columns, way[..., 1] + rows[:, None]
    if _by_opencv(image):
        import cv2

        warped = cv2.remap(
            image.contiguous().numpy(), x.numpy(), y.numpy(), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        return torch.from_numpy(warped).view(image.shape)
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], -1)[None]
    return _image(
        F.grid_sample(_planes(image), grid, mode="bicubic", padding_mode="border", align_corners=False)
    )


def at(image: Tensor, height: int, width: int) -> Tensor:
    """Resize ``image``, bilinear."""
    if _by_opencv(image):
        import cv2

        return torch.from_numpy(cv2.resize(image.contiguous().numpy(), (width, height))).view(
            height, width, -1
        )
    return _image(F.interpolate(_planes(image), (height, width), mode="bilinear", align_corners=False))


def area(image: Tensor, height: int, width: int) -> Tensor:
    """Reduce ``image``; each pixel is the mean of the area it covers."""
    if _by_opencv(image):
        import cv2

        return torch.from_numpy(
            cv2.resize(image.contiguous().numpy(), (width, height), interpolation=cv2.INTER_AREA)
        ).view(height, width, -1)
    return _image(F.interpolate(_planes(image), (height, width), mode="area"))


def mean_near(image: Tensor, side: int) -> Tensor:
    """Return the mean over the square around each pixel."""
    if _by_opencv(image):
        import cv2

        return torch.from_numpy(
            cv2.blur(image.contiguous().numpy(), (side, side), borderType=cv2.BORDER_REPLICATE)
        ).view(image.shape)
    padded = F.pad(_planes(image), (side // 2,) * 4, mode="replicate")
    return _image(F.avg_pool2d(padded, side, 1))


def confined(image: Tensor, to: Tensor, side: int) -> Tensor:
    """Clamp ``image`` in place to the range of ``to`` in the square around each pixel."""
    if _by_opencv(image):
        import cv2

        array, square = to.contiguous().numpy(), np.ones((side, side), np.uint8)
        low, high = (torch.from_numpy(act(array, square)).view(to.shape) for act in (cv2.erode, cv2.dilate))
    else:
        planes = _planes(to)
        low, high = (
            sign * F.max_pool2d(sign * planes, side, 1, side // 2)[0].permute(1, 2, 0) for sign in (-1, 1)
        )
    return torch.clamp(image, low, high, out=image)


def _by_opencv(image: Tensor) -> bool:
    return image.device.type == "cpu"


def _planes(image: Tensor) -> Tensor:
    return image.permute(2, 0, 1)[None]


def _image(planes: Tensor) -> Tensor:
    return planes[0].permute(1, 2, 0).contiguous()
