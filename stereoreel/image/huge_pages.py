"""Allocation of large images in huge pages (2 MiB).

Touching the 50 MB of a 1080p stereo pair for the first time then costs a core 6 ms instead of 37. NumPy asks
Linux for such pages automatically, torch only if ``THP_MEM_ALLOC_ENABLE`` was set before it was loaded.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def empty(like: Tensor, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
    """Return ``like.new_empty(shape, dtype=dtype)``."""
    dtype, size = dtype or like.dtype, torch.Size(shape)
    if like.device.type != "cpu" or not size.numel():
        return like.new_empty(size, dtype=dtype)
    return torch.from_numpy(np.empty(size.numel() * dtype.itemsize, np.uint8)).view(dtype).view(size)
