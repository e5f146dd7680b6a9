"""A frame at a model's input size, as the published inference of each model makes it."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

from ...image.resize import Resizer

PUBLISHED = "published"  # the value of the option ``resize`` that follows the original
NATIVE = "native"  # the value of the option ``resolution`` that is the frame's own size
LONGEST = 4  # ratio of the edges up to which the short one has ``resolution`` pixels


def short_side(height: int, width: int, resolution: str) -> int:
    """Return the short edge of the model input for frames of this size, before it is rounded.

    Frames longer than ``LONGEST`` get as many pixels as those of that ratio: the work of a transformer grows
    with the square of them.
    """
    short, long = sorted((height, width))
    if resolution == NATIVE:
        return short
    return max(1, int(int(resolution) * min(1.0, math.sqrt(LONGEST * short / long))))


def antialiased(frames: Tensor, height: int, width: int, resizer: Resizer) -> Tensor:
    """Resize frames ``[T, H, W, 3]`` to ``[T, 3, height, width]`` by an antialiased triangle filter."""
    return resizer(frames, height, width, method="bilinear").movedim(-1, 1)


def cubic(frames: Tensor, height: int, width: int) -> Tensor:
    """Resize by OpenCV's INTER_CUBIC, which samples four pixels each way however large the picture is.

    It overshoots at edges, and aliases where it shrinks.
    """
    return F.interpolate(frames.movedim(-1, 1), (height, width), mode="bicubic", align_corners=False)


def in_two_steps(frames: Tensor, height: int, width: int, side: int, resizer: Resizer) -> Tensor:
    """Resize to a short edge of ``side`` pixels, then to the size, as Depth Anything 3 does.

    Each step averages areas if it shrinks, is cubic if it enlarges, and rounds to 8 bits.
    """
    rows, columns = frames.shape[1:3]
    between = short_edge(rows, columns, side)
    for source, target in (((rows, columns), between), (between, (height, width))):
        if target == source:
            continue
        # the second step never shrinks one edge by areas if it enlarges the other
        if target[0] > source[0] or target[1] > source[1]:
            frames = cubic(frames, *target).clamp(0, 1).movedim(1, -1)
        else:
            frames = resizer(frames, *target, method="area")
        frames = (frames * 255).round() / 255
    return frames.movedim(-1, 1)


def short_edge(height: int, width: int, side: int) -> tuple[int, int]:
    """Return height and width of a picture enlarged or reduced to a short edge of ``side`` pixels."""
    scale = side / min(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def at_least(height: int, width: int, side: int, multiple: int) -> tuple[int, int]:
    """Return the nearest multiples for a short edge of ``side`` pixels; none of them below it.

    The sizes of MiDaS, Depth Anything 1 and 2: a short edge of 384 becomes 392, not 378, for multiples of 14.
    """
    scale = max(side / height, side / width)

    def rounded(edge: int) -> int:
        count = round(scale * edge / multiple)
        return (count if count * multiple >= side else -int(-scale * edge // multiple)) * multiple

    return rounded(height), rounded(width)


def landscape_side(height: int, width: int, side: int, multiple: int) -> int:
    """Return the short edge of Video Depth Anything's input, smaller for pictures wider than 16:9."""
    aspect = max(height, width) / min(height, width)
    return max(1, round(int(side * 1.777 / aspect) / multiple)) * multiple if aspect > 1.78 else side


def nearest_multiple(edge: int, multiple: int) -> int:
    """Return the nearest multiple, at least one; of two as near, the larger."""
    return max(1, (2 * edge + multiple) // (2 * multiple)) * multiple
