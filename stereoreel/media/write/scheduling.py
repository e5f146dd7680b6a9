"""Restore the scheduling policy of threads after an encoder is opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_TASKS = Path("/proc/self/task")


@contextmanager
def kept_scheduling() -> Iterator[None]:
    """Remove real-time scheduling from threads that gained it while an encoder was opened in the block.

    When run by root, SVT-AV1 gives its own threads, and the thread that opens it, the highest real-time
    priority. Everything started from there later inherits it, including other programs, and two such threads
    that spin block everything else forever.
    """
    before = _policies()
    try:
        yield
    finally:
        for thread in _policies().keys() - {
            thread for thread, policy in before.items() if _real_time(policy)
        }:
            with suppress(OSError):  # the thread has ended meanwhile
                if _real_time(os.sched_getscheduler(thread)):
                    os.sched_setscheduler(thread, os.SCHED_OTHER, os.sched_param(0))


def _policies() -> dict[int, int]:
    """Return the policy of each thread of this process; empty if the system does not expose it."""
    found = {}
    for task in _TASKS.iterdir() if _TASKS.exists() and hasattr(os, "sched_setscheduler") else ():
        with suppress(OSError):
            found[int(task.name)] = os.sched_getscheduler(int(task.name))
    return found


def _real_time(policy: int) -> bool:
    return policy & ~getattr(os, "SCHED_RESET_ON_FORK", 0) in (os.SCHED_FIFO, os.SCHED_RR)
