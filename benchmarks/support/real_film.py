"""Parts of the real test clips, and how far frames are from them."""

from __future__ import annotations

from itertools import islice

import av
import cv2
import numpy as np
import torch
from torch import Tensor

from stereoreel.image.resize import resize

from . import CLIPS

SIGMA, WINDOW = 1.5, 11  # of the Gaussian of SSIM
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
STABLE = (0.01**2, 0.03**2)  # its constants, for values in 0..1


def part(file: str, first: int, count: int, size: tuple[int, int]) -> Tensor:
    """Return frames ``[T, H, W, 3]`` of a clip in CLIPS, averaged down to a size of even numbers."""
    with av.open(str(CLIPS / file)) as container:
        frames = islice(container.decode(video=0), first, first + count)
        images = np.stack([frame.to_ndarray(format="rgb24") for frame in frames])
    return resize(torch.from_numpy(images).float() / 255, *size, "area")


def halved(frames: Tensor) -> Tensor:
    """Return frames at half the size, each pixel the mean of four, in steps of 8 bits as in a file."""
    return (resize(frames, frames.shape[1] // 2, frames.shape[2] // 2, "area") * 255).round() / 255


def ssim(frames: Tensor, truth: Tensor) -> float:
    """Return the structural similarity (Wang et al., 2004) of luma, the mean over frames ``[T, H, W, 3]``."""
    found = [_ssim(*(frame.numpy() @ LUMA for frame in pair)) for pair in zip(frames, truth)]
    return float(np.mean(found))


def _ssim(one: np.ndarray, other: np.ndarray) -> float:
    def blurred(image: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(image.astype(np.float64), (WINDOW, WINDOW), SIGMA)

    a, b = blurred(one), blurred(other)
    variances, together = blurred(one**2) + blurred(other**2) - a * a - b * b, blurred(one * other) - a * b
    found = (2 * a * b + STABLE[0]) * (2 * together + STABLE[1])
    found /= (a * a + b * b + STABLE[0]) * (variances + STABLE[1])
    inner = WINDOW // 2
    return float(found[inner:-inner, inner:-inner].mean())


def error_flicker(frames: Tensor, truth: Tensor) -> float:
    """Return the change of the error from frame to frame, RMS in levels of 255."""
    error = frames.double() - truth.double()
    return 255 * (error[1:] - error[:-1]).square().mean().sqrt().item()
