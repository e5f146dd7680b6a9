"""Ctrl-C in the terminal: never lost, and always the same end."""

from __future__ import annotations

import signal
import threading


class Cancelled(KeyboardInterrupt):
    """Ctrl-C, as a type of its own: a plain one that met exec() of source text makes Python end by the signal, whatever main() returns."""


class CtrlC:
    """While entered, Ctrl-C raises Cancelled; where Python had to drop that, as in a destructor, ``check`` raises it again.

    Where the process was started to ignore it, as a script starts its background jobs, it stays ignored.
    """

    def __init__(self):
        self.pressed = False

    def check(self) -> None:
        if self.pressed:
            raise Cancelled

    def __enter__(self) -> CtrlC:
        main = threading.current_thread() is threading.main_thread()  # others get no signals
        self._listens = main and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
        if self._listens:
            self._before = signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(self, *error) -> None:
        if self._listens:
            signal.signal(signal.SIGINT, self._before)

    def _press(self, number: int, frame) -> None:
        self.pressed = True
        raise Cancelled
