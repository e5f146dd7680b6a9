"""Forecast of a network's speed on a CPU: its arithmetic against what a core computes.

Both are tables, not measurements: the choice of ``auto`` is part of a job's identity, so it must not depend
on what else the machine does. GPUs differ too much for one table; policy.yaml judges them by their memory.
"""

from __future__ import annotations

import torch

from ..image.compute import cpu_computes_bfloat16

WIDTH, HEIGHT = 352, 288  # the smallest films that people enlarge
FILM, NIGHT = 90 * 60 * 24, 12 * 3600  # frames of a film of 90 minutes, seconds
LEAST = FILM / NIGHT  # frames a second; slower networks are for clips, and only on request
# teraflops of convolutions per thread; on two threads with AMX, RealESRGAN x2 reached 0.52 and 0.14
CORE = {torch.bfloat16: 0.4, torch.float32: 0.1}


def teraflops(device: torch.device, half: bool = True) -> float:
    """Return what a CPU computes in the dtype that networks use on it; 0 for any other device.

    That is bfloat16 where it has it, if a kind of model allows ``half`` precision.
    """
    if device.type != "cpu":
        return 0.0
    dtype = torch.bfloat16 if half and cpu_computes_bfloat16() else torch.float32
    return torch.get_num_threads() * CORE[dtype]


def frames_per_second(work: float, speed: float) -> float | None:
    """Return how many small frames a network upscales in a second, or None if that is unknown.

    ``work`` is its arithmetic in TFLOP per megapixel of the source, ``speed`` the machine's in teraflops.
    """
    return speed / (work * WIDTH * HEIGHT / 1e6) if work and speed else None


def too_slow(work: float, speed: float) -> str:
    """Return why a network cannot upscale a film in a night; empty if it can, or if that is unknown."""
    rate = frames_per_second(work, speed)
    if rate is None or rate >= LEAST:
        return ""
    return f"forecast {rate:.2g} frames of {WIDTH}x{HEIGHT} a second, too slow for a film in a night"
