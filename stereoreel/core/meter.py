"""What each stage of a pull costs: its own seconds, its frames, and the memory it adds."""

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
    chunk: int = 0  # the most frames that it made at once, of ``most`` that it might have
    most: int = 0
    # what the stage says of its own work, such as frames that it reused
    counts: Counter[str] = field(default_factory=Counter)


class Meter:
    """Books time to the innermost stage at work: a stage is not charged for the stages it waits for.

    ``memory=True`` also follows peak resident memory, where Linux lets a process reset its own high-water
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
        """Frames that a stage made at once, and how many it might have."""
        cost = self._cost(label)
        cost.frames += frames
        cost.chunk, cost.most = max(cost.chunk, frames), most

    def note(self, label: str, counts: Mapping[str, int]) -> None:
        """Keep, and log, what a stage counted."""
        if counts:
            self._cost(label).counts.update(counts)
            log.info("%s: %s", label, in_words(counts))

    def _cost(self, label: str) -> Cost:
        return self.costs.setdefault(label, Cost())

    def _book(self) -> None:
        """Charge what passed since the last booking to the stage on top, and restart the clock."""
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


def in_words(counts: Mapping[str, int]) -> str:
    """What a stage counted, as ``12 tiles, 3 frames``; what is none is left out."""
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def resident(name: str = "VmRSS") -> int:
    """Bytes of resident memory (``VmHWM``: its high-water mark); 0 where ``/proc`` is missing."""
    if not _STATUS.exists():
        return 0
    for line in _STATUS.read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    return 0


def give_back() -> None:
    """Return to the system what this process freed and still holds, which would hide what comes next from its
    resident memory (glibc).
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim:
        trim(0)


def reset_peak() -> bool:
    """Make the high-water mark the present size, where the system lets a process do that."""
    try:
        _RESET.write_text("5", encoding="ascii")
    except OSError:
        return False
    return True
