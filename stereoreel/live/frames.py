"""Frames on their way into a live session."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def arrived(frames: Tensor, device: torch.device, label: str) -> Tensor:
    """Frames ``[T, H, W, C]`` or ``[2, T, H, W, C]`` as a copy that nobody else changes: float32, 0..1, on the device.

    8-bit numbers are taken as 0..255. ValueError for another shape, and in the computer's memory for NaN or infinity; on a GPU those become
    black, because asking for them would make everybody wait.
    """
    if frames.ndim not in (4, 5) or frames.shape[-1] not in (1, 3, 4) or 0 in frames.shape[-3:]:
        raise ValueError(f"{label}: give frames [T, H, W, 1, 3 or 4 channels], not {list(frames.shape)}.")
    if device.type == "cuda" and frames.device.type == "cpu":
        frames = frames.pin_memory()
    here = frames.to(device, non_blocking=True, copy=True)
    here = here.to(torch.float32) if here.is_floating_point() else here.to(torch.float32).div_(255)
    if device.type == "cpu" and frames.numel():
        low, high = (float(bound) for bound in torch.aminmax(here))
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError(f"{label}: the frames hold NaN or infinity; look at what made them.")
        return here.clamp_(0, 1) if low < 0 or high > 1 else here
    return here.nan_to_num_(0, 0, 0).clamp_(0, 1)
