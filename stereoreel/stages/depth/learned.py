"""Guess depth from one frame by a small network that learned from rendered scenes.

It is a part of the guess that motion corrects. The weights are part of the package: nothing is downloaded.
They are those of ``python -m benchmarks.depth_prior.train``, which says how.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from ...image.compute import parallel_map
from ...nets.depth_prior import DepthPrior

WEIGHTS = Path(__file__).with_name("learned.safetensors")
AREA = 6144  # pixels that the network sees, whatever the size of the frame
TILT = 1.1  # slope of nearness down the frame at the full weight of height
GRID = 16  # its sides are multiples of this
MEAN, DEVIATION = 0.45, 0.22  # of the colours that it sees, about those of ordinary frames
FLAT = 0.02  # deviation below which contrast is not raised further


class LearnedPrior:
    """The network, on the CPU."""

    def __init__(self):
        net = DepthPrior()
        net.load_state_dict(load_file(WEIGHTS))
        self._net = net.eval().folded().to(memory_format=torch.channels_last)

    def __call__(self, image: np.ndarray, near_ground: float) -> np.ndarray:
        """Guess nearness ``[H, W]``, about 0..1, of ``image`` ``[H, W, 3]`` in 0..1.

        ``near_ground`` 0..1 weighs the height in the frame; at 0.5 it is what the network learned. A mirrored
        frame has the mirrored depth.
        """
        import cv2

        height, width = image.shape[:2]
        ratio = math.sqrt(AREA / (height * width))
        rows, columns = (max(GRID, round(side * ratio / GRID) * GRID) for side in (height, width))
        small = torch.from_numpy(cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA))
        seen = in_one_light(small.float()).movedim(-1, 0)
        guess, mirrored = parallel_map(self._guess, [seen, seen.flip(-1)])
        both = (guess + mirrored.flip(-1)) / 2
        down = (torch.arange(rows)[:, None] + 0.5) / rows - 0.5
        both = both + TILT * (near_ground - 0.5) * down
        return cv2.resize(both.numpy(), (width, height), interpolation=cv2.INTER_LINEAR)

    def _guess(self, image: Tensor) -> Tensor:
        with torch.inference_mode():
            return self._net(image[None].contiguous(memory_format=torch.channels_last))[0]


def in_one_light(image: Tensor) -> Tensor:
    """Return ``image`` ``[H, W, 3]`` with a fixed mean and deviation, whatever its exposure and contrast."""
    deviation, mean = torch.std_mean(image, correction=0)
    return ((image - mean) * (DEVIATION / deviation.clamp(min=FLAT)) + MEAN).clamp(0, 1)
