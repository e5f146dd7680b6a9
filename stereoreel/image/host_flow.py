"""Motion of frames that are on a GPU, by OpenCV on the host, without the frames themselves crossing the bus.

Small lumas go down while the GPU works on something else. Motion comes up on the coarse grid of its search in
16 bits, and the frames are sampled where they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .flow import luma_levels
from .host_copy import Download, upload
from .resize import Resizer

LARGEST = 32767  # of 16 bits


class SmallLumas:
    """The lumas of frames, uint8 ``[T, h, w]``: ``there`` on their device, and on their way to the host."""

    def __init__(self, there: Tensor):
        self.there, self._arriving = there, Download(there)

    def __getitem__(self, index: int) -> np.ndarray:
        """Return the luma of a frame, ``[h, w]``, when it has arrived."""
        return np.asarray(self._arriving.wait().numpy()[index])


def small_lumas(frames: Tensor, size: tuple[int, int], resizer: Resizer) -> Tensor:
    """Return uint8 luma ``[T, h, w]`` of ``size`` (h, w) of frames ``[T, H, W, C]`` in 0..1, on their device.

    Each pixel is the exact mean of its area, as OpenCV has it, but for rounding.
    """
    levels = luma_levels(frames)
    if tuple(levels.shape[1:]) == tuple(size):
        return levels
    small = resizer(levels[..., None].float(), *size, method="area", clamp=False)
    return small[..., 0].add_(0.5).to(torch.uint8)


def fixed_point(values: np.ndarray) -> tuple[np.ndarray, float]:
    """Return numbers as int16, and the number that one of its steps stands for."""
    step = max(float(np.abs(values).max(initial=0)), 1e-9) / LARGEST
    return np.rint(values / np.float32(step)).astype(np.int16), step


def send(parts: Sequence[np.ndarray], device: torch.device) -> list[Tensor]:
    """Return arrays of any shapes and dtypes on the device; they cross the bus in one copy.

    Those of larger elements come first.
    """
    whole = upload(torch.from_numpy(np.concatenate([_bytes(part) for part in parts])), device)
    kinds = [torch.from_numpy(np.empty(0, part.dtype)).dtype for part in parts]
    sizes = [part.nbytes for part in parts]
    return [some.view(kind).view(part.shape) for some, kind, part in zip(whole.split(sizes), kinds, parts)]


def _bytes(part: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(part).reshape(-1).view(np.uint8)


def send_flow(motion: np.ndarray, device: torch.device) -> Tensor:
    """Return flow ``[h, w, 2]``, float32, on the device: to a 65534th of its range."""
    levels, step = fixed_point(motion)
    return send([levels], device)[0].float().mul_(step)


def spread(motion: Tensor, height: int, width: int, scale: tuple[float, float]) -> Tensor:
    """Return flow ``[h, w, 2]`` of a coarse grid at each of ``height`` by ``width`` pixels, ``[2, H, W]``.

    ``scale`` is what one of its units is in pixels, across and down.
    """
    grown = F.interpolate(motion.movedim(-1, 0)[None], (height, width), mode="bilinear", align_corners=False)[
        0
    ]
    return torch.stack([part * unit for part, unit in zip(grown, scale)])


def sample(image: Tensor, way: Tensor, part: float = 1.0, cubic: bool = True) -> Tensor:
    """Sample ``image`` ``[H, W, C]`` at ``x + part * way``, ``way`` ``[2, H, W]`` (x, y) in pixels; float32.

    Pixels outside repeat the border.
    """
    height, width = image.shape[:2]
    columns, rows = (torch.arange(side, device=way.device, dtype=torch.float32) for side in (width, height))
    x, y = torch.add(columns, way[0], alpha=part), torch.add(rows[:, None], way[1], alpha=part)
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], -1)[None]
    planes = image.float().movedim(-1, 0)[None]
    mode = "bicubic" if cubic else "bilinear"
    return F.grid_sample(planes, grid, mode=mode, padding_mode="border", align_corners=False)[0].movedim(
        0, -1
    )
