"""Weights fetched while the program goes on: one model at a time, only models of the catalogue."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from ..core.host import Host
from ..core.system_errors import plain_error
from . import catalog
from .catalog import Entry

log = logging.getLogger(__name__)

RUNNING, DONE, FAILED, CANCELLED = "running", "done", "failed", "cancelled"
OFTEN = 0.2  # seconds between two reports of progress


class Cancelled(Exception):
    """Raised by the tick of a download that was cancelled."""


@dataclass(frozen=True)
class Progress:
    """How far a download is: its model, the file at hand, bytes of it, and why it failed."""

    kind: str
    name: str
    state: str = RUNNING
    file: str = ""
    done: int = 0
    total: int = 0
    text: str = ""

    def facts(self) -> dict:
        return asdict(self)


class BackgroundFetch:
    """Downloads one model at a time on a thread of its own.

    ``host_of(tick)`` gives the host that says where files are, with this tick; ``notify`` hears of progress
    on that thread.
    """

    def __init__(
        self, host_of: Callable[[Callable[[int, int], None]], Host], notify: Callable[[Progress], None]
    ):
        self._host_of, self._notify = host_of, notify
        self._lock, self._cancel = threading.Lock(), threading.Event()
        self._sent = 0.0
        self.progress: Progress | None = None  # of the download that runs, or of the last one

    @property
    def running(self) -> bool:
        return self.progress is not None and self.progress.state == RUNNING

    def start(self, kind: str, name: str) -> None:
        """Begin to fetch what a model lacks.

        Raise ValueError for a model that is not in the catalogue or has no address, RuntimeError if a
        download runs already.
        """
        entry = fetchable(kind, name)
        with self._lock:
            if self.running and self.progress:
                raise RuntimeError(
                    f"{self.progress.name} is being fetched. Wait until it is complete, or cancel it."
                )
            self.progress = Progress(kind, name)
            self._cancel.clear()
        threading.Thread(target=self._run, args=(entry,), name=f"fetch {name}", daemon=True).start()

    def cancel(self) -> None:
        """Stop the download that runs, if any; what has arrived is kept for the next time."""
        self._cancel.set()

    def _run(self, entry: Entry) -> None:
        end, text = FAILED, f"Fetching {entry.name} ended unexpectedly. See the log."
        try:
            host = self._host_of(self._tick)
            for role, part in entry.parts.items():
                if not part.optional:
                    self._sent = 0.0
                    self._report(file=part.file, done=0, total=part.bytes or 0)
                    catalog.obtain(entry, role, host, download=True)
            end, text = DONE, ""
        except Cancelled:
            end, text = CANCELLED, ""
        except (OSError, ValueError, RuntimeError) as error:
            text = plain_error(error) if isinstance(error, OSError) and error.strerror else str(error)
            log.warning("%s", text)
        finally:
            self._report(state=end, text=text)

    def _tick(self, done: int, total: int) -> None:
        if self._cancel.is_set():
            raise Cancelled
        if total and ((now := time.monotonic()) - self._sent >= OFTEN or done == total):
            self._sent = now
            self._report(done=done, total=total)

    def _report(self, **changes) -> None:
        assert self.progress is not None
        self.progress = replace(self.progress, **changes)
        self._notify(self.progress)


def fetchable(kind: str, name: str) -> Entry:
    """The entry of a model with files that may be fetched; ValueError for any other name."""
    entry = catalog.models(kind).get(name) if kind in catalog.KINDS else None
    if entry is None or not entry.parts:
        raise ValueError("Only weights of models in the catalogue can be fetched.")
    if unknown := [part.file for part in entry.needed if not part.url]:
        raise ValueError(f"No download URL is known for {unknown[0]}. Get it from its authors.")
    return entry
