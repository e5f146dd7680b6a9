"""Both eyes by moving pixels: a forward warp with an exact z-buffer, sub-pixel sampling and gaps filled from the background.

Disparity is ``D = divergence / 100 * width * (depth - convergence)`` pixels; the left eye sees a point at ``x + D / 2`` and the
right one at ``x - D / 2``, so that what is nearer than the convergence stands in front of the screen.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import SimpleNamespace

import torch
from torch import Tensor

from ..clip import Shot
from ..host import Host
from ..resize import resize
from .warp import move

SHARES = {"both": (0.5, 0.5), "left": (1.0, 0.0), "right": (0.0, 1.0)}  # of the parallax, for the left and the right eye
NEAR, FAR = 0.95, 0.05  # the ends of a scene's depth, as shares of its pixels
SECONDS = 2.0  # time constant with which the automatic screen plane follows the scene
SAMPLES = 96  # rows and columns that it looks at


def load(entry, options: SimpleNamespace, host: Host) -> ForwardWarp:
    return ForwardWarp(options, host.device)


class ForwardWarp:
    """Frames ``[T, H, W, C]`` and depth ``[T, h, w, 1 or 3]`` to the clip ``[2, T, H, W, C]`` and each eye's holes ``[T, H, W, 1]``."""

    joint = False

    def __init__(self, options: SimpleNamespace, device: torch.device):
        self.options, self.device, self.nets = options, device, []

    def __call__(self, shot: Shot, frames: Iterator[Tensor], depth: Iterator[Tensor]) -> Iterator[dict[str, Tensor]]:
        screen = ScreenPlane(float(shot.info.fps))
        for images, depths in zip(frames, depth):
            depths = depths[..., :1].to(self.device, torch.float32)
            if self.options.convergence_mode == "auto":
                planes = torch.stack([screen.follow(frame) for frame in depths[..., 0]])
            else:
                planes = depths.new_full((len(depths),), self.options.convergence)
            yield self.pair(images.to(self.device), depths, planes)

    def pair(self, images: Tensor, depths: Tensor, planes: Tensor) -> dict[str, Tensor]:
        """Both eyes of a chunk; ``planes`` ``[T]`` is each frame's convergence."""
        count, height, width, channels = images.shape
        if depths.shape[1:3] != (height, width):
            depths = resize(depths, height, width, "bilinear")
        parallax = (depths[..., 0] - planes[:, None, None]) * (self.options.divergence / 100 * width)
        clip = images.new_empty(2, count, height, width, channels)
        holes = images.new_zeros(2, count, height, width, 1)
        for eye, share in enumerate(SHARES[self.options.view]):
            place = 1 - eye if self.options.swap_eyes else eye
            if share == 0:
                clip[place] = images
                continue
            rows = [tensor.reshape(count * height, width, -1) for tensor in (images, parallax * share, clip[place], holes[place])]
            move(rows[0], rows[1][..., 0], eye == 0, rows[2], rows[3][..., 0])
        return {"clip": clip, "left_holes": holes[0], "right_holes": holes[1]}


class ScreenPlane:
    """The depth to put on the screen: the middle of the scene's range, smoothed over time from the shot's first frame on.

    The middle keeps the largest parallax, before or behind the screen, as small as it can be.
    """

    def __init__(self, fps: float):
        self.plane: Tensor | None = None
        self.rate = 1 - math.exp(-1 / (fps * SECONDS))

    def follow(self, depth: Tensor) -> Tensor:
        """Take in the next frame ``[H, W]``; the plane for it, a tensor of no dimensions."""
        steps = [max(1, side // SAMPLES) for side in depth.shape]
        seen = depth[::steps[0], ::steps[1]].flatten().sort().values
        far, near = (seen[round(share * (len(seen) - 1))] for share in (FAR, NEAR))
        middle = (far + near) / 2
        self.plane = middle if self.plane is None else self.plane + (middle - self.plane) * self.rate
        return self.plane
