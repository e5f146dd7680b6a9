"""Metrics of quality and temporal stability for frames ``[T, H, W, C]`` in 0..1.

Each has its formula and source. A stability measure alone rewards blur: read it with ``sharpness``, and with
``psnr`` if the truth is known. Motion is float32 ``[T - 1, H, W, 2]``, (x, y) in pixels, from each frame to
the next; dense inverse search unless it is given.
"""

from __future__ import annotations

import math
from functools import reduce

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..image.flow import flow, grayscale, warp
from ..image.resize import resize

UNCHANGED = 1.5 / 255  # a source pixel that never leaves this range is still
REACH = 2  # source pixels around a changing one that an upscaler may also change


def psnr(frames: Tensor, truth: Tensor, where: Tensor | None = None) -> float:
    """Peak signal-to-noise ratio in dB, ``-10 log10(mean((frames - truth)^2))``.

    Only pixels with ``where`` ``[..., H, W]`` count.
    """
    error = (frames.double() - truth.double()).square()
    mean = (error if where is None else error[where.expand(error.shape[:-1])]).mean().item()
    return math.inf if mean == 0 else -10 * math.log10(mean)


def still(
    source: Tensor, height: int, width: int, tolerance: float = UNCHANGED, reach: int = REACH
) -> Tensor:
    """Return True ``[height, width]`` where the source ``[T, H, W, C]`` never changes.

    A change is more than ``tolerance``, within ``reach`` pixels.
    """
    moved = (source.amax(0) - source.amin(0)).amax(-1) > tolerance
    moved = F.max_pool2d(moved.float()[None, None], 2 * reach + 1, 1, reach)
    grown = F.interpolate(moved, (height, width), mode="bilinear", align_corners=False)
    return (grown == 0)[0, 0]


def flicker(frames: Tensor, where: Tensor | None = None) -> float:
    """Root mean square of each pixel's standard deviation over time, 0..1.

    Only pixels with ``where`` ``[H, W]`` count. Meaningful for still areas: with sensor noise no pixel is
    unchanged, so ``where`` marks them. NaN if it is empty.
    """
    variance = frames.double().var(0, unbiased=False).mean(-1)
    return (variance if where is None else variance[where]).mean().sqrt().item()


def static_flicker(frames: Tensor, source: Tensor, where: Tensor | None = None) -> float:
    """``flicker(frames) / flicker(Lanczos(source))`` in still areas of the source (or ``where``).

    This is the flicker that an upscaler adds; 1 is as stable as plain Lanczos. NaN if nothing is still,
    infinite if only the upscaled frames flicker.
    """
    height, width = frames.shape[1:3]
    where = still(source, height, width) if where is None else where
    plain = flicker(resize(source[..., : frames.shape[-1]], height, width), where)
    shown = flicker(frames, where)
    if plain == 0:
        return 1.0 if shown == 0 else math.inf
    return shown / plain


def warping_error(frames: Tensor, motion: np.ndarray | None = None, visible: Tensor | None = None) -> float:
    """Mean square difference of each frame from the warped next one (Lai et al., ECCV 2018).

    ``sum M (V_t - W(V_t+1))^2 / sum M``. M is ``visible`` ``[T - 1, H, W]``, or else the pixels that pass the
    forward-backward and motion boundary tests of Ruder et al. (2016) on flow estimated from the frames. Pass
    motion and visibility of the source or the truth for a fair comparison of upscalers. The mean is over
    channels too; Lai et al. add them up. NaN if nothing is visible.
    """
    if motion is None:
        motion = estimate_motion(frames)
    if visible is None:
        back = estimate_motion(frames.flip(0))[::-1]
        visible = torch.from_numpy(np.stack([_reliable(*pair) for pair in zip(motion, back)]))
    total, count = 0.0, 0
    for here, there, way, seen in zip(frames[:-1], frames[1:], motion, visible):
        moved = torch.from_numpy(warp(there.float().cpu().numpy(), way)).view(here.shape)
        total += (here.float().cpu() - moved)[seen].double().square().sum().item()
        count += int(seen.sum()) * here.shape[-1]
    return total / count if count else math.nan


def tof(frames: Tensor, truth: Tensor) -> float:
    """tOF of TecoGAN (Chu et al., 2020), by DIS: error of the motion in the frames, in pixels.

    It is the mean absolute difference from the motion in the truth.
    """
    return float(np.abs(estimate_motion(frames) - estimate_motion(truth)).mean())


def sharpness(frames: Tensor, truth: Tensor) -> float:
    """Share of the truth's gradients in the frames: 1 is the truth's, less is blur.

    ``sum(grad f . grad t) / sum(grad t . grad t)``, the slope of a least-squares line. Noise and flicker,
    whose gradients are not the truth's, do not count.
    """
    own, true = _gradients(frames), _gradients(truth)
    shares = ((a * b).sum() / (b * b).sum().clamp(min=1e-12) for a, b in zip(own, true))
    return reduce(torch.add, shares).item() / len(own)


def gradient_energy(frames: Tensor, where: Tensor | None = None) -> float:
    """Root mean square of the differences between neighbours, across and along.

    This is sharpness without a truth, but noise counts as detail. ``where`` ``[H, W]`` limits it to those
    pixels.
    """
    return math.sqrt(
        sum(
            (part.square() if where is None else part.square()[:, where[1:, 1:]]).mean().item()
            for part in _gradients(frames)
        )
        / 2
    )


def estimate_motion(frames: Tensor) -> np.ndarray:
    """Return the motion ``[T - 1, H, W, 2]`` from each frame to the next, by dense inverse search."""
    luma = grayscale(frames)
    return np.stack([flow(a, b, "medium") for a, b in zip(luma, luma[1:])])


def consistent(motion: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Return True ``[H, W]`` where motion there and back returns to its start.

    After Sundaram et al., ECCV 2010.
    """
    returned = warp(back, motion, cubic=False)
    trip = np.square(motion + returned).sum(-1)
    return trip <= 0.01 * (np.square(motion).sum(-1) + np.square(returned).sum(-1)) + 0.5


def _gradients(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Return differences from the left and the upper neighbour, ``[T, H - 1, W - 1, C]`` each."""
    frames = frames.double()
    return frames[:, 1:, 1:] - frames[:, 1:, :-1], frames[:, 1:, 1:] - frames[:, :-1, 1:]


def _reliable(motion: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Return True ``[H, W]`` where motion is consistent and far from motion boundaries.

    After Ruder et al., 2016.
    """
    edges = sum(np.square(np.gradient(motion[..., axis])).sum(0) for axis in (0, 1))
    return consistent(motion, back) & (edges <= 0.01 * np.square(motion).sum(-1) + 0.002)
