"""Conversion of frames for a live session."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

NUMBERS = (torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64)


def as_tensor(frames: Tensor | np.ndarray | Sequence, label: str) -> Tensor:
    """Return frames ``[T, H, W, C]`` as one tensor, from a tensor, a NumPy array, or a list of either.

    Those in a list are ``[H, W, C]`` or ``[T, H, W, C]``. Raise TypeError for another type, ValueError if the
    frames of a list differ in form.
    """
    if isinstance(frames, (list, tuple)):
        if not frames:
            raise ValueError(f"{label}: the list of frames is empty. Pass at least one.")
        parts = [_one(frame, label) for frame in frames]
        parts = [frame[None] if frame.ndim == 3 else frame for frame in parts]
        first = parts[0]
        for part in parts:
            if _form(part) != _form(first):
                raise ValueError(
                    f"{label}: the list mixes frames {list(first.shape)} of {first.dtype} on {first.device} "
                    f"and {list(part.shape)} of {part.dtype} on {part.device}. Pass frames of one form."
                )
        return torch.cat(parts, -4) if first.ndim > 3 else torch.stack(parts)
    return _one(frames, label)


def _one(frames: Tensor | np.ndarray | Sequence, label: str) -> Tensor:
    if isinstance(frames, np.ndarray):
        kind = frames.dtype
        if kind != np.uint8 and kind.kind != "f":
            raise TypeError(f"{label}: frames must be uint8 or float 0..1, not an array of {kind}.")
        wanted = np.uint8 if kind == np.uint8 else np.float32
        frames = torch.from_numpy(np.array(frames, wanted, order="C"))  # a copy, in the machine's byte order
    if not isinstance(frames, Tensor):
        raise TypeError(
            f"{label}: frames must be a tensor, a NumPy array or a list of them, not {_name(frames)}."
        )
    if frames.dtype not in NUMBERS:
        raise TypeError(f"{label}: frames must be uint8 or float 0..1, not a tensor of {frames.dtype}.")
    if frames.layout != torch.strided or frames.is_meta:
        raise TypeError(
            f"{label}: frames must be a dense tensor with data, not a "
            f"{'meta' if frames.is_meta else 'sparse'} one."
        )
    return frames.detach()


def _form(frames: Tensor) -> tuple:
    return frames.shape[-3:], frames.ndim, frames.dtype, frames.device


def _name(value) -> str:
    return "None" if value is None else type(value).__name__


def to_device(frames: Tensor, device: torch.device, label: str) -> Tensor:
    """Copy frames ``[T, H, W, C]`` or ``[2, T, H, W, C]`` to the device as float32 in 0..1.

    8-bit values are taken as 0..255. Raise ValueError for another shape, and in system RAM for NaN or
    infinity; on a GPU those become black, because checking would synchronise.
    """
    axes = frames.ndim == 4 or (frames.ndim == 5 and len(frames) == 2)
    if not axes or frames.shape[-1] not in (1, 3, 4) or 0 in frames.shape[-3:]:
        raise ValueError(
            f"{label}: frames must be [T, H, W, 1, 3 or 4 channels], or [2, T, H, W, ...] "
            f"for stereo pairs, not {list(frames.shape)}."
        )
    if device.type == "cuda" and frames.device.type == "cpu":
        frames = frames.pin_memory()
    here = frames.to(device, non_blocking=True, copy=True)
    here = here.to(torch.float32) if here.is_floating_point() else here.to(torch.float32).div_(255)
    if device.type == "cpu" and frames.numel():
        low, high = (float(bound) for bound in torch.aminmax(here))
        if not (math.isfinite(low) and math.isfinite(high)):
            raise ValueError(f"{label}: the frames contain NaN or infinity. Check what produced them.")
        return here.clamp_(0, 1) if low < 0 or high > 1 else here
    return here.nan_to_num_(0, 0, 0).clamp_(0, 1)
