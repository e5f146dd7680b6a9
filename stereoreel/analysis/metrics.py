"""How good and how steady a film is: numbers for frames ``[T, H, W, C]`` in 0..1, each with its formula and
source.

A stability measure alone rewards blur: read it with ``sharpness``, and with ``psnr`` where the truth is
known. Motion is float32 ``[T - 1, H, W, 2]``, (x, y) in pixels, from each frame to the next; dense inverse
search where it is not given.
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

UNCHANGED = 1.5 / 255  # a source pixel that never leaves this range stands still
REACH = 2  # source pixels around a changing one that an upscaler may have let change


def psnr(frames: Tensor, truth: Tensor, where: Tensor | None = None) -> float:
    """Peak signal to noise in dB, ``-10 log10(mean((frames - truth)^2))``, over the pixels ``where`` ``[...,
    H, W]`` is true.
    """
    error = (frames.double() - truth.double()).square()
    mean = (error if where is None else error[where.expand(error.shape[:-1])]).mean().item()
    return math.inf if mean == 0 else -10 * math.log10(mean)


def still(
    source: Tensor, height: int, width: int, tolerance: float = UNCHANGED, reach: int = REACH
) -> Tensor:
    """True ``[height, width]`` where the source ``[T, H, W, C]`` never changes by more than ``tolerance``,
    ``reach`` pixels around.
    """
    moved = (source.amax(0) - source.amin(0)).amax(-1) > tolerance
    moved = F.max_pool2d(moved.float()[None, None], 2 * reach + 1, 1, reach)
    grown = F.interpolate(moved, (height, width), mode="bilinear", align_corners=False)
    return (grown == 0)[0, 0]


def flicker(frames: Tensor, where: Tensor | None = None) -> float:
    """Root mean square of each pixel's standard deviation over time, over the pixels ``where`` ``[H, W]`` is
    true; 0..1.

    Meaningful where the scene stands still: with sensor noise nothing is unchanged, so ``where`` says what
    does. NaN if nothing does.
    """
    variance = frames.double().var(0, unbiased=False).mean(-1)
    return (variance if where is None else variance[where]).mean().sqrt().item()


def static_flicker(frames: Tensor, source: Tensor, where: Tensor | None = None) -> float:
    """``flicker(frames) / flicker(Lanczos(source))`` where the source stands still (or ``where``): how much
    an upscaler adds.

    1 is as steady as plain Lanczos. NaN where nothing stands still, infinite where only the upscaled frames
    flicker.
    """
    height, width = frames.shape[1:3]
    where = still(source, height, width) if where is None else where
    plain = flicker(resize(source[..., : frames.shape[-1]], height, width), where)
    shown = flicker(frames, where)
    if plain == 0:
        return 1.0 if shown == 0 else math.inf
    return shown / plain


def warping_error(frames: Tensor, motion: np.ndarray | None = None, visible: Tensor | None = None) -> float:
    """Mean square difference of each frame from the next one, warped back: ``sum M (V_t - W(V_t+1))^2 / sum
    M`` (Lai et al., ECCV 2018).

    M is ``visible`` ``[T - 1, H, W]``, or else what passes the forward-backward and motion boundary tests of
    Ruder et al. (2016) on flow estimated from the frames. Give motion and visibility found on the source or
    the truth to compare upscalers fairly. The mean is over channels too; Lai et al. add them up. NaN if
    nothing is visible.
    """
    if motion is None:
        motion = estimate_motion(frames)
    if visible is None:
        back = estimate_motion(frames.flip(0))[::-1]
        visible = torch.from_numpy(np.stack([_unbroken(*pair) for pair in zip(motion, back)]))
    total, count = 0.0, 0
    for here, there, way, seen in zip(frames[:-1], frames[1:], motion, visible):
        moved = torch.from_numpy(warp(there.float().cpu().numpy(), way)).view(here.shape)
        total += (here.float().cpu() - moved)[seen].double().square().sum().item()
        count += int(seen.sum()) * here.shape[-1]
    return total / count if count else math.nan


def tof(frames: Tensor, truth: Tensor) -> float:
    """Mean absolute difference of the motion in the frames from that in the truth, in pixels: tOF of TecoGAN
    (Chu et al., 2020), by DIS.
    """
    return float(np.abs(estimate_motion(frames) - estimate_motion(truth)).mean())


def sharpness(frames: Tensor, truth: Tensor) -> float:
    """The share of the truth's gradients that the frames hold: ``sum(grad f . grad t) / sum(grad t . grad
    t)``; 1 is the truth's, blur less.

    The slope of a least-squares line. Noise and flicker, which have gradients but not the truth's, count
    nothing.
    """
    own, true = _gradients(frames), _gradients(truth)
    shares = ((a * b).sum() / (b * b).sum().clamp(min=1e-12) for a, b in zip(own, true))
    return reduce(torch.add, shares).item() / len(own)


def gradient_energy(frames: Tensor, where: Tensor | None = None) -> float:
    """Root mean square of the differences between neighbours, across and along: sharpness without a truth,
    but noise counts as detail.

    ``where`` ``[H, W]`` limits it to those pixels.
    """
    return math.sqrt(
        sum(
            (part.square() if where is None else part.square()[:, where[1:, 1:]]).mean().item()
            for part in _gradients(frames)
        )
        / 2
    )


def estimate_motion(frames: Tensor) -> np.ndarray:
    """Motion ``[T - 1, H, W, 2]`` from each frame to the next, by dense inverse search."""
    luma = grayscale(frames)
    return np.stack([flow(a, b, "medium") for a, b in zip(luma, luma[1:])])


def consistent(motion: np.ndarray, back: np.ndarray) -> np.ndarray:
    """True ``[H, W]`` where the way there and back ends where it began (Sundaram et al., ECCV 2010)."""
    returned = warp(back, motion, cubic=False)
    trip = np.square(motion + returned).sum(-1)
    return trip <= 0.01 * (np.square(motion).sum(-1) + np.square(returned).sum(-1)) + 0.5


def _gradients(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Differences from the left and the upper neighbour, ``[T, H - 1, W - 1, C]`` each."""
    frames = frames.double()
    return frames[:, 1:, 1:] - frames[:, 1:, :-1], frames[:, 1:, 1:] - frames[:, :-1, 1:]


def _unbroken(motion: np.ndarray, back: np.ndarray) -> np.ndarray:
    """True ``[H, W]`` where motion is consistent and no motion boundary is near (Ruder et al., 2016)."""
    edges = sum(np.square(np.gradient(motion[..., axis])).sum(0) for axis in (0, 1))
    return consistent(motion, back) & (edges <= 0.01 * np.square(motion).sum(-1) + 0.002)
