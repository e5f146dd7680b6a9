"""Cost of a run: seconds by kind of stage, and memory."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from ...core.meter import Meter, give_back, resident


@dataclass
class Cost:
    """The cost of a run: seconds by kind of stage, and peak bytes of memory above those before it."""

    seconds: dict[str, float] = field(default_factory=dict)
    memory: int = 0


class DeviceMeter(Meter):
    """Meter that synchronises the device before reading the clock, and tracks memory of all stages.

    The memory is the GPU's, or the process's.
    """

    def __init__(self, device: torch.device):
        super().__init__(memory=device.type != "cuda")
        self.in_turn = True
        if self._memory:
            give_back()
        self._device, self._peak, self._start = device, 0, resident()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._start = torch.cuda.memory_allocated(device)

    @property
    def highest(self) -> int:
        """Peak bytes above those at this meter's creation; 0 if the system does not report memory."""
        peak = torch.cuda.max_memory_allocated(self._device) if self._device.type == "cuda" else self._peak
        return max(0, peak - self._start)

    def _synchronize(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        if self._memory and self.now:
            self._peak = max(self._peak, resident("VmHWM"))
