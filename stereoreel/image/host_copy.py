"""Copies between the host and a GPU that neither of them waits for.

A copy from or to ordinary memory makes the host wait until the GPU has done all its work, and the GPU is idle
while the host prepares more. Copies through pinned memory, which torch keeps for the next ones, are queued.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Download:
    """The values of a tensor in the host's memory, which has them when ``wait`` returns.

    The GPU goes on meanwhile if work was queued after this copy.
    """

    def __init__(self, values: Tensor):
        self._event: torch.cuda.Event | None = None
        if values.device.type != "cuda":
            self._values = values.cpu()
            return
        self._values = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
        self._values.copy_(values, non_blocking=True)
        self._event = torch.cuda.Event(blocking=True)  # a waiting thread leaves its core to others
        self._event.record(torch.cuda.current_stream(values.device))

    def wait(self) -> Tensor:
        """Return the values, on the CPU."""
        if self._event is not None:
            self._event.synchronize()
        return self._values


def upload(values: Tensor, device: torch.device) -> Tensor:
    """Return a tensor of the host on the device; the host does not wait for the device."""
    if device.type != "cuda" or values.device.type != "cpu":
        return values.to(device)
    return pinned(values).to(device, non_blocking=True)


def pinned(values: Tensor) -> Tensor:
    """Return the tensor in pinned memory."""
    if values.is_pinned():
        return values
    return torch.empty(values.shape, dtype=values.dtype, pin_memory=True).copy_(values)


def numbers(values: Sequence[float], device: torch.device) -> Tensor:
    """Return numbers as a float32 tensor ``[N]`` on the device; the host does not wait for it."""
    return upload(torch.tensor(values, dtype=torch.float32), device)
