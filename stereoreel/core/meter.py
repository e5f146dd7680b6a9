"""Cost of each stage of a pull: its own seconds, its frames, and the memory it adds."""

from __future__ import annotations

import ctypes
import gc
import logging
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
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
    """Charges time to the innermost stage at work in a thread, not to the stages that wait for it.

    ``elapsed`` are the seconds in which any stage was at work; where stages work at the same time, it is less
    than the sum of theirs.
    ``memory=True`` also follows peak resident memory, if Linux lets the process reset its own high-water
    mark; then stages take turns (``in_turn``), so that each has its own.
    """

    def __init__(self, memory: bool = False):
        self.costs: dict[str, Cost] = {}
        self.elapsed = 0.0
        self._memory = memory and reset_peak()
        self.in_turn = memory
        self._lock = threading.Lock()
        self._here = threading.local()
        self._at_work: list[str] = []  # in the order in which they began
        self._since, self._base = time.perf_counter(), 0

    @property
    def now(self) -> str:
        """A stage at work, the one that began last."""
        return next(reversed(self._at_work), "")

    @contextmanager
    def turn(self, label: str):
        """Charge the time inside to a stage; to none if the label is empty, for a stage that waits."""
        stack = self._here.__dict__.setdefault("stack", [])
        self._change(stack, lambda: stack.append(_Turn(label)))
        try:
            yield
        finally:
            self._change(stack, stack.pop)

    def count(self, label: str, frames: int, most: int = 0) -> None:
        """Record the frames that a stage computed at a time, and how many were allowed."""
        with self._lock:
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

    def _change(self, stack: list[_Turn], change: Callable[[], object]) -> None:
        """Charge this thread's time since its last change to the stage on top, then change the stack."""
        self._synchronize()
        with self._lock:
            now = time.perf_counter()
            if self._at_work:
                self.elapsed += now - self._since
            if stack and (label := stack[-1].label):
                cost = self._cost(label)
                cost.seconds += now - stack[-1].since
                self._at_work.remove(label)
                if self._memory:
                    cost.memory = max(cost.memory, resident("VmHWM") - self._base)
            change()
            if self._memory:
                reset_peak()
                self._base = resident("VmRSS")
            self._since = time.perf_counter()
            if stack and stack[-1].label:
                stack[-1].since = self._since
                self._at_work.append(stack[-1].label)

    def _synchronize(self) -> None:
        """Wait until the stage's work is done, if it continues elsewhere."""


@dataclass
class _Turn:
    """A stage at work, and since when its time is not charged."""

    label: str
    since: float = 0.0


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
