"""Preview-quality depth from motion and layout, without a neural network, to try out a workflow.

If the camera travels, near objects move more than far ones, and depth follows that parallax. Otherwise depth
is a guess: areas lower in the frame, and objects that move on their own, are nearer. A trained model is
better on every still or turning shot.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from ...core.clip import Shot
from ...core.host import Host
from ...image.flow import grayscale
from .edges import shrink, upsample
from .evidence import AHEAD, Picture
from .tracking import ShotDepth
from .windows import SteadyRange

SIDE = 512  # long side of the frames used for motion


def load(entry, options, host: Host) -> DepthStage:
    return DepthStage(options, host.device)


class DepthStage:
    """Depth ``[T, H, W, 1]`` of frames ``[T, H, W, C]``, float32 in 0..1, near = 1; same size and rate."""

    joint = False

    def __init__(self, options, device: torch.device):
        self.nets: list[nn.Module] = []
        self.options, self.device = options, device

    def __call__(self, shot: Shot, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        tracker, scale = (
            ShotDepth(self.options.smoothing, self.options.near_ground),
            SteadyRange(aligned=True),
        )
        waiting: deque[tuple[Tensor, Tensor]] = deque()  # luma at frame size and at working size
        for chunk in frames:
            for frame in chunk:
                picture, lumas = self._prepare(frame)
                tracker.add(picture)
                waiting.append(lumas)
                if len(waiting) > AHEAD:
                    yield self._finish(scale, tracker.next(), *waiting.popleft())
        while waiting:
            yield self._finish(scale, tracker.next(), *waiting.popleft())

    def _prepare(self, frame: Tensor) -> tuple[Picture, tuple[Tensor, Tensor]]:
        """Return the frame for the tracker, and the lumas that guide the upsampling of its depth."""
        frame = frame[..., :3].to(self.device).float().clamp(0, 1)
        height, width = frame.shape[:2]
        ratio = min(1.0, SIDE / max(height, width))
        small = shrink(frame, (max(1, round(height * ratio)), max(1, round(width * ratio))))
        picture = Picture(grayscale(small[None])[0], np.ascontiguousarray(small.cpu().numpy()))
        return picture, (luma(frame), luma(small))

    def _finish(self, scale: SteadyRange, depth: np.ndarray, large: Tensor, small: Tensor) -> Tensor:
        """Return depth ``[1, H, W, 1]`` in 0..1 from nearness ``[h, w]`` at working size."""
        scaled = scale(torch.from_numpy(np.ascontiguousarray(depth, np.float32)).to(self.device)[None])
        whole = upsample(scaled[0], small, large).clamp(0, 1)
        return (1 - whole if self.options.invert else whole)[None, ..., None]


def luma(frame: Tensor) -> Tensor:
    return frame[..., 0] * 0.299 + frame[..., 1] * 0.587 + frame[..., 2] * 0.114
