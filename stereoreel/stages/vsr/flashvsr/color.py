"""Colours of the enlarged frames given back to what the network made of them; always over whole frames."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS = 5  # of the wavelet: detail up to 2**5 pixels is the network's
SIDES, MIDDLE = 0.25, 0.5  # of the kernel 1 2 1


def corrected(made: Tensor, frames: Tensor, method: str) -> Tensor:
    """Pictures ``[T, 3, H, W]`` in -1..1 with the colours of ``frames``, of the same shape; computed in float32, one frame at a time."""
    if method == "none":
        return made.float().clamp(-1, 1)
    work = {"adain": adain, "wavelet": wavelet}[method]
    out = torch.empty_like(made, dtype=torch.float32)
    for target, picture, frame in zip(out, made.split(1), frames.split(1)):
        target.copy_(work(picture.float(), frame.float())[0].clamp_(-1, 1))
    return out


def adain(picture: Tensor, frame: Tensor) -> Tensor:
    """Each channel with the mean and the deviation of the frame's."""
    (mean, deviation), (wanted, spread) = statistics(picture), statistics(frame)
    return (picture - mean) * (spread / deviation) + wanted


def statistics(picture: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of every channel."""
    return picture.mean((2, 3), keepdim=True), (picture.var((2, 3), correction=0, keepdim=True) + 1e-5).sqrt()


def wavelet(picture: Tensor, frame: Tensor) -> Tensor:
    """The picture's detail on the frame's low band: a wavelet with holes, its kernel twice as wide at every level."""
    return picture + low_band(frame) - low_band(picture)


def low_band(picture: Tensor) -> Tensor:
    """What is left after all levels of smoothing."""
    # made on the device: for a copy of numbers to it the computer would wait
    kernel = picture.new_full((3,), SIDES)
    kernel[1].fill_(MIDDLE)
    for reach in (2**level for level in range(LEVELS)):
        for shape, sides in (((3, 1), (0, 0, reach, reach)), ((1, 3), (reach, reach, 0, 0))):
            weight = kernel.view(1, 1, *shape).expand(picture.shape[1], -1, -1, -1)
            wide = F.pad(picture, sides, "replicate")
            picture = F.conv2d(wide, weight, dilation=reach, groups=picture.shape[1])
    return picture
