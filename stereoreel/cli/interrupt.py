"""Ctrl-C and SIGTERM in the terminal: no signal is lost, and each ends the command in the same way.

A command calls ``listen`` first: while libraries are imported, a signal ends the process with one line.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import NoReturn

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
SIGNALS = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))
STATUS = {signal.SIGINT: 130, getattr(signal, "SIGHUP", None): 129}  # the exit status in a shell
TERMINATED = 143  # of SIGTERM, and of Windows' Ctrl-Break
Handler = Callable[[int, FrameType | None], object] | int | None


class Cancelled(KeyboardInterrupt):
    """A signal to end the command.

    A separate type, because after a plain KeyboardInterrupt in exec() of source text Python ends by the
    signal, whatever main() returns.
    """

    def __init__(self, number: int = signal.SIGINT):
        super().__init__()
        self.status = STATUS.get(number, TERMINATED)


class CtrlC:
    """While entered, the signals raise Cancelled.

    If Python drops the exception, as in a destructor, ``check`` raises it again. A second signal during the
    clean-up has no effect. Signals that the process was started to ignore, as by nohup or in the background
    of a script, stay ignored.
    """

    def __init__(self):
        self.pressed = 0

    def check(self) -> None:
        if self.pressed:
            raise Cancelled(self.pressed)

    def __enter__(self) -> CtrlC:
        self._before = _replaced(self._press)
        return self

    def __exit__(self, *error) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _press(self, number: int, frame: FrameType | None) -> None:
        self.pressed = self.pressed or number
        if not _unwinding(sys.exc_info()[1]):
            raise Cancelled(self.pressed)


def listen() -> None:
    """End the process immediately, with one line, on a signal; for the time before and after ``CtrlC``."""
    _replaced(_end)


def leave(status: int) -> NoReturn:
    """End the process; after a cancel, skip the shutdown of threads and libraries, which takes seconds."""
    if status < 128:
        gc.freeze()  # Python's last collections would go through all of torch for half a second
        sys.exit(status)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # a pipe whose reader was cancelled too
            stream.flush()
    os._exit(status)


def _replaced(handler: Callable[[int, FrameType | None], object]) -> dict[signal.Signals, Handler]:
    """Install a handler for the signals that are not ignored; return the previous ones."""
    if threading.current_thread() is not threading.main_thread():  # others receive no signals
        return {}
    heard = [number for number in SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)]
    return {number: signal.signal(number, handler) for number in heard}


def _end(number: int, frame: FrameType | None) -> NoReturn:
    with suppress(OSError):
        os.write(2, b"cancelled\n")
    os._exit(STATUS.get(number, TERMINATED))


def _unwinding(error: BaseException | None) -> bool:
    """Whether a Cancelled is being handled, or an exception that closes generators because of it."""
    while error is not None:
        if isinstance(error, Cancelled):
            return True
        error = error.__context__
    return False
