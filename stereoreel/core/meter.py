"""Cost of each stage of a pull: its own seconds, its frames, and the memory it adds."""

from __future__ import annotations

import ctypes
import gc
import logging
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger(__name__)

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass
class Cost:
    seconds: float = 0.0
    frames: int = 0
    # bytes of peak resident memory above the stage's start; 0 where the system does not report it
    memory: int = 0
    chunk: int = 0  # the most frames it computed at a time, of ``most`` allowed
    most: int = 0
    # the stage's own counts, such as reused frames
    counts: Counter[str] = field(default_factory=Counter)


class Meter:
    """Charges time to the innermost stage at work, not to the stages that wait for it.

    ``memory=True`` also follows peak resident memory, if Linux lets the process reset its own high-water
    mark.
    """

    def __init__(self, memory: bool = False):
        self.costs: dict[str, Cost] = {}
        self._memory = memory and reset_peak()
        self._stack: list[str] = []
        self._since, self._base = time.perf_counter(), 0

    @property
    def now(self) -> str:
        """The stage at work."""
        return self._stack[-1] if self._stack else ""

    @contextmanager
    def turn(self, label: str):
        self._book()
        self._stack.append(label)
        try:
            yield
        finally:
            self._book()
            self._stack.pop()

    def count(self, label: str, frames: int, most: int = 0) -> None:
        """Record the frames that a stage computed at a time, and how many were allowed."""
        cost = self._cost(label)
        cost.frames += frames
        cost.chunk, cost.most = max(cost.chunk, frames), most

    def note(self, label: str, counts: Mapping[str, int]) -> None:
        """Store and log a stage's counts."""
        if counts:
            self._cost(label).counts.update(counts)
            log.info("%s: %s", label, format_counts(counts))

    def say(self, label: str, text: str) -> None:
        """Log a sentence about a stage."""
        log.info("%s: %s", label, text)

    def _cost(self, label: str) -> Cost:
        return self.costs.setdefault(label, Cost())

    def _book(self) -> None:
        """Charge the time since the last booking to the stage on top, and restart the clock."""
        now = time.perf_counter()
        if self._stack:
            cost = self._cost(self._stack[-1])
            cost.seconds += now - self._since
            if self._memory:
                cost.memory = max(cost.memory, resident("VmHWM") - self._base)
        if self._memory:
            reset_peak()
            self._base = resident("VmRSS")
        self._since = time.perf_counter()


def format_counts(counts: Mapping[str, int]) -> str:
    """Return a stage's counts as ``12 tiles, 3 frames``, without zeros."""
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def resident(name: str = "VmRSS") -> int:
    """Return bytes of resident memory (``VmHWM``: its high-water mark), 0 if ``/proc`` is missing."""
    if not _STATUS.exists():
        return 0
    for line in _STATUS.read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return 0


def give_back() -> None:
    """Return freed memory to the system (glibc), so that resident memory shows new allocations."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim:
        trim(0)


def reset_peak() -> bool:
    """Reset the high-water mark to the present size, if the system allows it."""
    try:
        _RESET.write_text("5", encoding="ascii")
    except OSError:
        return False
    return True
