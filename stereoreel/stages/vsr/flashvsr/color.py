"""Transfer the colours of the upscaled source frames to the model's output, always over complete frames."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = 5  # of the wavelet: detail up to 2**5 pixels comes from the model
SIDES, MIDDLE = 0.25, 0.5  # of the kernel 1 2 1


def corrected(images: Tensor, frames: Tensor, method: str) -> Tensor:
    """Return images ``[T, 3, H, W]`` in -1..1 with the colours of ``frames``, of the same shape.

    Computed in float32, one frame at a time.
    """
    if method == "none":
        return images.float().clamp(-1, 1)
    work = {"adain": adain, "wavelet": wavelet}[method]
    out = torch.empty_like(images, dtype=torch.float32)
    for target, image, frame in zip(out, images.split(1), frames.split(1)):
        target.copy_(work(image.float(), frame.float())[0].clamp_(-1, 1))
    return out


def adain(image: Tensor, frame: Tensor) -> Tensor:
    """Give each channel the mean and deviation of the frame's."""
    (mean, deviation), (wanted, spread) = statistics(image), statistics(frame)
    return (image - mean) * (spread / deviation) + wanted


def statistics(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and deviation of every channel."""
    return image.mean((2, 3), keepdim=True), (image.var((2, 3), correction=0, keepdim=True) + 1e-5).sqrt()


def wavelet(image: Tensor, frame: Tensor) -> Tensor:
    """Put the image's detail on the frame's low band: an à trous wavelet, its kernel doubling by level."""
    return image + low_band(frame) - low_band(image)


def low_band(image: Tensor) -> Tensor:
    """Return the image after all levels of smoothing."""
    # created on the device: copying it there would synchronise
    kernel = image.new_full((3,), SIDES)
    kernel[1].fill_(MIDDLE)
    for reach in (2**level for level in range(LEVELS)):
        for shape, sides in (((3, 1), (0, 0, reach, reach)), ((1, 3), (reach, reach, 0, 0))):
            weight = kernel.view(1, 1, *shape).expand(image.shape[1], -1, -1, -1)
            wide = F.pad(image, sides, "replicate")
            image = F.conv2d(wide, weight, dilation=reach, groups=image.shape[1])
    return image
