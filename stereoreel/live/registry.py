"""Live sessions by name, for a host that runs a graph repeatedly: a limited number, each until it is idle."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from .latency import Figures
from .session import Session

MOST = 8  # sessions at a time
IDLE = 300.0  # seconds without use after which a session is closed
TURN = 0.1  # seconds between two polls for cancel while another user has the session


Key = TypeVar("Key", bound=Hashable)
Kept = TypeVar("Kept", bound=Session)


class _Entry(Generic[Kept]):
    def __init__(self, session: Kept):
        self.session, self.turn = session, threading.Lock()
        self.users, self.used = 0, 0.0  # users that have it or wait for it; time of the last release


class Sessions(Generic[Key, Kept]):
    """Named sessions, created by ``make``. A host owns one registry; it is safe for several threads."""

    def __init__(
        self,
        make: Callable[[], Kept],
        most: int = MOST,
        idle: float = IDLE,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.make, self.most, self.idle, self.clock = make, most, idle, clock
        self._entries: dict[Key, _Entry[Kept]] = {}
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    @contextmanager
    def use(self, name: Key, wait: Callable[[], None] = lambda: None) -> Iterator[Kept]:
        """Return the session of a name, created if there is none.

        While another user has it, wait and call ``wait``, which may raise. Raise RuntimeError if the maximum
        number of sessions is in use.
        """
        entry = self._enter(name)
        try:
            while not entry.turn.acquire(timeout=TURN):
                wait()
            try:
                yield entry.session
            finally:
                entry.turn.release()
        finally:
            self._leave(entry)

    def close(self, name: Key) -> bool:
        """Close a session after its current users; return False if there is none.

        The next use of the name begins a new one.
        """
        with self._lock:
            entry = self._entries.pop(name, None)
        if entry:
            with entry.turn:
                entry.session.close()
        return entry is not None

    def close_all(self) -> None:
        for name in self.names():
            self.close(name)

    def names(self) -> list[Key]:
        with self._lock:
            return list(self._entries)

    def figures(self) -> dict[Key, Figures]:
        """Return the performance of every session."""
        with self._lock:
            return {name: entry.session.figures for name, entry in self._entries.items()}

    def sweep(self) -> None:
        """Close sessions that were idle for too long."""
        with self._lock:
            late = self.clock() - self.idle
            old = [name for name, entry in self._entries.items() if not entry.users and entry.used <= late]
            gone = [self._entries.pop(name) for name in old]
            self._timer = None
            self._watch()
        for entry in gone:
            entry.session.close()

    def _enter(self, name: Key) -> _Entry[Kept]:
        self.sweep()
        with self._lock:
            gone = None if name in self._entries else self._room()
            entry = self._entries.get(name) or self._entries.setdefault(name, _Entry(self.make()))
            entry.users += 1
        if gone:
            gone.session.close()
        return entry

    def _room(self) -> _Entry[Kept] | None:
        """Remove and return the session idle for longest if the registry is full."""
        if len(self._entries) < self.most:
            return None
        idle = [name for name, entry in self._entries.items() if not entry.users]
        if not idle:
            raise RuntimeError(
                f"All {self.most} live sessions are in use. Close one, or run two streams one after the "
                "other."
            )
        return self._entries.pop(min(idle, key=lambda name: self._entries[name].used))

    def _leave(self, entry: _Entry[Kept]) -> None:
        with self._lock:
            entry.users -= 1
            entry.used = self.clock()
            self._watch()

    def _watch(self) -> None:
        """Schedule the next sweep if there are sessions."""
        if self._entries and self._timer is None:
            self._timer = threading.Timer(self.idle, self.sweep)
            self._timer.daemon = True
            self._timer.start()
