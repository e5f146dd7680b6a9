"""Cancellation of long work: poll between pieces of it.

The runner names the callback (``polling``). The loops and primitives that all stages share poll it
(``check``), so no stage mentions either. A tick belongs to one thread; helper threads are stopped by a flag
(``stopped_by``).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from contextlib import contextmanager
from contextvars import ContextVar

OFTEN = 0.1  # seconds between two polls, so that polling costs nothing

Tick = Callable[[int, int], None]
_ask: ContextVar[Callable[[], None] | None] = ContextVar("stereoreel_cancel", default=None)


class Stopped(Exception):
    """Raised in a helper thread when its work is no longer needed."""


@contextmanager
def polling(tick: Tick | None) -> Iterator[None]:
    """While entered, ``check`` on this thread calls ``tick(0, 0)`` every ``OFTEN`` seconds.

    The tick may raise to cancel; None changes nothing.
    """
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
    """Raise if the current work is cancelled; called for every piece of work of a millisecond or more."""
    if (ask := _ask.get()) is not None:
        ask()


def wait_all(futures: Sequence[Future]) -> None:
    """Wait until all have ended or one has failed, and keep polling meanwhile."""
    pause = None if _ask.get() is None else OFTEN
    while True:
        ended, others = wait(futures, pause, FIRST_EXCEPTION)
        if not others or any(future.exception() for future in ended if not future.cancelled()):
            return
        check()


def wait_result(future: Future):
    """Return the result of a future; polls like ``wait_all``."""
    wait_all([future])
    return future.result()
