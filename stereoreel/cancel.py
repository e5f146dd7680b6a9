"""Cancel in the middle of long work: what takes long asks, between two pieces of it, whether it is still wanted.

The runner says whom to ask (``heard``); the loops and primitives that all stages share ask (``check``), so that no stage mentions either.
What is asked belongs to a thread: its helper threads are asked to stop by a flag, and progress stays on the thread that began.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from contextlib import contextmanager
from contextvars import ContextVar

OFTEN = 0.1  # seconds between two questions, so that asking costs nothing

Tick = Callable[[int, int], None]
_ask: ContextVar[Callable[[], None] | None] = ContextVar("stereoreel_cancel", default=None)


class Stopped(Exception):
    """Raised in a helper thread whose work is not wanted any more."""


@contextmanager
def heard(tick: Tick | None) -> Iterator[None]:
    """While entered, ``check`` on this thread calls ``tick(0, 0)`` now and then, which may raise to cancel; None leaves things as they are."""
    if tick is None:
        yield
        return
    asked = time.monotonic()

    def ask() -> None:
        nonlocal asked
        if (now := time.monotonic()) - asked >= OFTEN:
            asked = now
            tick(0, 0)

    with _asking(ask):
        yield


@contextmanager
def stopped_by(flag: threading.Event) -> Iterator[None]:
    """While entered, in a helper thread, ``check`` raises Stopped once the flag is set."""

    def ask() -> None:
        if flag.is_set():
            raise Stopped

    with _asking(ask):
        yield


@contextmanager
def _asking(ask: Callable[[], None]) -> Iterator[None]:
    before = _ask.set(ask)
    try:
        yield
    finally:
        _ask.reset(before)


def check() -> None:
    """Raise what cancels the work at hand; for every piece of it that takes a millisecond or more."""
    if (ask := _ask.get()) is not None:
        ask()


def finished(futures: Sequence[Future]) -> None:
    """Wait until all have ended, or one has failed, and keep asking meanwhile."""
    pause = None if _ask.get() is None else OFTEN
    while True:
        ended, others = wait(futures, pause, FIRST_EXCEPTION)
        if not others or any(future.exception() for future in ended if not future.cancelled()):
            return
        check()


def result(future: Future):
    """What a future gives, waited for as ``finished`` does."""
    finished([future])
    return future.result()
