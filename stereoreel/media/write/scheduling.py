"""Threads stay under the scheduler that they had, whatever an encoder does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_TASKS = Path("/proc/self/task")


@contextmanager
def kept_scheduling() -> Iterator[None]:
    """Within it an encoder is opened, and no thread is left under a real-time scheduler that was not under one before.

    Run by root, SVT-AV1 makes its own threads real-time ones of the highest priority, and the thread that
    opened it: all that is started from there later is too, other programs included, and two of them that spin
    let nothing else have its turn, ever.
    """
    before = _policies()
    try:
        yield
    finally:
        for thread in _policies().keys() - {
            thread for thread, policy in before.items() if _real_time(policy)
        }:
            with suppress(OSError):  # one that has ended meanwhile
                if _real_time(os.sched_getscheduler(thread)):
                    os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))


def _policies() -> dict[int, int]:
    """The scheduler of each thread of this process; none where the system does not tell."""
    found = {}
    for task in _TASKS.iterdir() if _TASKS.exists() and hasattr(os, "sched_setscheduler") else ():
        with suppress(OSError):
            found[int(task.name)] = os.sched_getscheduler(int(task.name))
    return found


def _real_time(policy: int) -> bool:
    return policy & ~getattr(os, "SCHED_RESET_ON_FORK", 0) in (os.SCHED_FIFO, os.SCHED_RR)
