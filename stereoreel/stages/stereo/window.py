"""A floating window: black bars that bring the frame's side borders forward to the objects they cut off.

An object in front of the screen that a border cuts off contradicts itself: the border, behind it, seems to
cover it. With a bar at the left side of the left eye, or the right side of the right eye, the border stands
where the object does.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

REACH = 0.01  # of the width: how near to a border a pixel touches it
NEAREST = 0.95  # of the pixels there lie behind the border after it was moved; the rest is noise
SECONDS = 0.5  # time constant with which a bar follows


class FloatingWindow:
    """The bars' widths of one shot, followed frame by frame from its first on."""

    def __init__(self, fps: float):
        self.widths: Tensor | None = None
        self.rate = 1 - math.exp(-1 / (fps * SECONDS))

    def __call__(self, parallax: Tensor) -> Tensor:
        """Return pixels ``[T, 2]`` to cover at the left and right borders, for parallax ``[T, H, W]``.

        Parallax is positive in front of the screen.
        """
        return torch.stack([self.follow(frame) for frame in parallax])

    def follow(self, parallax: Tensor) -> Tensor:
        now = cut_off(parallax)
        self.widths = now if self.widths is None else self.widths + (now - self.widths) * self.rate
        return self.widths


def cut_off(parallax: Tensor) -> Tensor:
    """Return the parallax ``[2]``, at least 0, in front of the screen at the left and right borders."""
    reach = max(1, round(REACH * parallax.shape[1]))
    sides = [side.flatten().sort().values for side in (parallax[:, :reach], parallax[:, -reach:])]
    return torch.stack([side[round(NEAREST * (len(side) - 1))] for side in sides]).clamp(min=0)


def draw(clip: Tensor, holes: Tensor, widths: Tensor, swapped: bool, kept: Tensor | None = None) -> None:
    """Cover the borders of both views ``[2, T, H, W, C]`` in place; they are no holes, and alpha stays.

    What is ``kept``, bool ``[T, H, W, 1]``, is at the screen, and is not covered.
    """
    column = torch.arange(clip.shape[3], dtype=torch.float32, device=clip.device)
    for eye, inward in enumerate((column, column.flip(0))):
        place = 1 - eye if swapped else eye
        # the last column of a bar may be covered in part
        shown = (inward - widths[:, eye, None] + 1).clamp(0, 1)[:, None, :, None]
        shown = shown if kept is None else torch.where(kept, 1.0, shown)
        clip[place, ..., :3] *= shown
        holes[place] *= shown == 1
