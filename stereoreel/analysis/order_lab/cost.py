"""What a run costs: seconds by kind of stage, and memory."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from ...core.meter import Meter, give_back, resident


@dataclass
class Cost:
    """What a run over some frames took: seconds by kind of stage, and bytes of memory at its peak beyond those before it began."""

    seconds: dict[str, float] = field(default_factory=dict)
    memory: int = 0


class DeviceMeter(Meter):
    """Waits for the device before it reads the clock, and follows the memory of all stages together: on a GPU its own, else the process's."""

    def __init__(self, device: torch.device):
        super().__init__(memory=device.type != "cuda")
        if self._memory:
            give_back()
        self._device, self._peak, self._start = device, 0, resident()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self._start = torch.cuda.memory_allocated(device)

    @property
    def highest(self) -> int:
        """Bytes at the peak, beyond those when this meter was made; 0 where the system does not tell."""
        peak = torch.cuda.max_memory_allocated(self._device) if self._device.type == "cuda" else self._peak
        return max(0, peak - self._start)

    def _book(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        if self._memory and self._stack:
            self._peak = max(self._peak, resident("VmHWM"))
        super()._book()
