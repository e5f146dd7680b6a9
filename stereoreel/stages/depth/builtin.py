"""Preview-quality depth from motion and layout, with no trained network: good for trying a workflow, not for a final picture.

Where the camera travels, near things move more than far ones, and depth follows that parallax. Where it does
not, depth is a guess: lower in the picture is nearer, and so is what moves on its own. A trained model is
better on every still or turning shot.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from ...core.clip import Shot
from ...core.host import Host
from ...image.flow import grayscale
from .edges import shrink, upsample
from .evidence import AHEAD, Picture
from .tracking import ShotDepth
from .windows import SteadyRange

SIDE = 512  # the longer side that motion is looked at with


def load(entry, options, host: Host) -> DepthStage:
    return DepthStage(options, host.device)


class DepthStage:
    """Depth ``[T, H, W, 1]`` of frames ``[T, H, W, C]``, float32 in 0..1, near = 1; same size, same count, same rate."""

    joint = False

    def __init__(self, options, device: torch.device):
        self.nets, self.options, self.device = [], options, device

    def __call__(self, shot: Shot, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        tracker, scale = (
            ShotDepth(self.options.smoothing, self.options.near_ground),
            SteadyRange(aligned=True),
        )
        waiting: deque[tuple[Tensor, Tensor]] = deque()  # luma at frame size and at working size
        for chunk in frames:
            for frame in chunk:
                picture, lumas = self._look(frame)
                tracker.add(picture)
                waiting.append(lumas)
                if len(waiting) > AHEAD:
                    yield self._finish(scale, tracker.next(), *waiting.popleft())
        while waiting:
            yield self._finish(scale, tracker.next(), *waiting.popleft())

    def _look(self, frame: Tensor) -> tuple[Picture, tuple[Tensor, Tensor]]:
        """The frame as the tracker sees it, and the lumas that depth is brought back to frame size with."""
        frame = frame[..., :3].to(self.device).float().clamp(0, 1)
        height, width = frame.shape[:2]
        ratio = min(1.0, SIDE / max(height, width))
        small = shrink(frame, (max(1, round(height * ratio)), max(1, round(width * ratio))))
        picture = Picture(grayscale(small[None])[0], np.ascontiguousarray(small.cpu().numpy()))
        return picture, (luma(frame), luma(small))

    def _finish(self, scale: SteadyRange, depth: np.ndarray, large: Tensor, small: Tensor) -> Tensor:
        """``[1, H, W, 1]`` in 0..1 of nearness ``[h, w]`` at working size."""
        depth = scale(torch.from_numpy(np.ascontiguousarray(depth, np.float32)).to(self.device)[None])
        depth = upsample(depth[0], small, large).clamp(0, 1)
        return (1 - depth if self.options.invert else depth)[None, ..., None]


def luma(frame: Tensor) -> Tensor:
    return frame[..., 0] * 0.299 + frame[..., 1] * 0.587 + frame[..., 2] * 0.114
