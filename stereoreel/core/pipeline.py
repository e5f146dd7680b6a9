"""Stages of a pull at work at the same time, each in its own thread, at most one chunk ahead of its readers.

Results, their order and errors are those of stages that take turns: a chunk waits until it is read, and an
error until the chunks before it have been. A thread that waits gives its place to another one; among those
that could run, the stage nearest to the end of the chain goes first, so that few frames are in memory.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import torch
from torch import Tensor

from . import cancel

STAGES_AT_ONCE = 4  # that compute, at most, on a CPU
FEW_CORES = 2  # on which stages take turns
MOST_STAGES = 12  # of a pull with threads; more take turns, as each holds a chunk
PAUSE = 0.01  # seconds that the calling thread waits at least before it polls again


class Reader(Protocol):
    """A position in the output of a stage."""

    @property
    def ready(self) -> int:
        """The number of frames in the chunk that is read next; 0 if none waits."""
        ...


class Work(Protocol):
    """A running stage: ``level`` grows towards the end of the chain."""

    @property
    def label(self) -> str: ...

    @property
    def level(self) -> int: ...

    @property
    def readers(self) -> Sequence[Reader]: ...

    def owns(self) -> frozenset[int]:
        """Return the ids of objects that no two stages may use at the same time, such as networks."""
        ...

    def make(self) -> bool:
        """Compute one more chunk; return False at the end."""
        ...

    def stop(self) -> None:
        """Stop computing."""
        ...


def stages_at_once(device: torch.device) -> int:
    """Return how many stages may compute at the same time: 1 where that gains nothing.

    Each stage spreads its work over two cores by itself. With no more than that, stages at the same time cost
    4 to 10 % more CPU seconds, as they share the cache, and take as long.
    """
    if device.type != "cpu":
        return 1 << 10  # they only launch work
    cores = torch.get_num_threads()
    return min(cores, STAGES_AT_ONCE) if cores > FEW_CORES else 1


class Pipeline:
    """The threads of a pull, and which of them compute.

    ``changed`` guards everything that two threads see: waiting chunks, ends and errors.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.changed = threading.Condition()
        self.stopping = threading.Event()
        self.threads: list[StageThread] = []
        self._most, self._cores = stages_at_once(device), torch.get_num_threads()
        self._running: list[StageThread] = []
        self._ready: list[StageThread] = []
        self._here = threading.local()

    @property
    def here(self) -> StageThread | None:
        """The stage whose thread this is; None in the thread of the caller."""
        return getattr(self._here, "thread", None)

    def start(self) -> None:
        """Start the threads; work that the caller launched on a GPU is done before theirs."""
        for thread in self.threads:
            thread.start()

    def close(self) -> None:
        """Stop all threads at their next ``cancel.check``, and wait until they have ended."""
        with self.changed:
            self.stopping.set()
            self.changed.notify_all()
        for thread in self.threads:
            thread.join()

    def wait(self, until: Callable[[], bool]) -> None:
        """Wait until something is true, with ``changed`` held; let another stage compute meanwhile.

        Poll in the thread of the caller. Raise Stopped in the others when the pull ends.
        """
        here = self.here
        if here is None:
            while not until():
                self.changed.wait(max(cancel.OFTEN, PAUSE))
                self.changed.release()  # the host may take its time
                try:
                    cancel.check()
                finally:
                    self.changed.acquire()
            return
        if until():
            return
        self.leave(here)
        self._sleep(until)
        self.enter(here)

    def enter(self, thread: StageThread) -> None:
        """Wait for a place among the stages that compute, with ``changed`` held."""
        self._ready.append(thread)
        try:
            self._sleep(lambda: self._next() is thread)
        finally:
            self._ready.remove(thread)
        self._running.append(thread)
        self.changed.notify_all()  # there may be another place

    def leave(self, thread: StageThread) -> None:
        """Give up the place, if the thread has one, with ``changed`` held."""
        if thread in self._running:
            self._running.remove(thread)
            self.changed.notify_all()

    def _next(self) -> StageThread | None:
        if len(self._running) >= self._most:
            return None
        able = [one for one in self._ready if all(one.owns.isdisjoint(two.owns) for two in self._running)]
        return max(able, key=lambda thread: thread.work.level, default=None)

    def _sleep(self, until: Callable[[], bool]) -> None:
        """Wait in a stage's thread until something is true; raise Stopped when the pull or Python ends."""
        while not self.stopping.is_set() and not until():
            self.changed.wait(1)
            if not threading.main_thread().is_alive():
                self.stopping.set()
        if self.stopping.is_set():
            raise cancel.Stopped

    def run(self, thread: StageThread) -> None:
        """Compute a stage's chunks in this thread until they end, one fails or the pull stops."""
        self._here.thread = thread
        if self.device.type == "cpu":
            # the first call initialises the thread; an earlier setting would be lost
            torch.get_num_threads()
            torch.set_num_threads(self._cores)
        with cancel.stopped_by(self.stopping), thread.stream():
            more = True
            while more:
                with self.changed:
                    self._sleep(thread.has_room)
                    self.enter(thread)
                try:
                    more = thread.work.make()
                finally:
                    with self.changed:
                        self.leave(thread)


class StageThread:
    """One stage in a thread of its own; on a GPU, with a stream of its own.

    Stages that share a network share the stream too: the next one may launch work while the GPU is still busy
    with the last one's, in the same recorded graph.
    """

    def __init__(self, pipeline: Pipeline, work: Work):
        self.work, self.owns = work, work.owns()
        self.ended = False
        self.error: BaseException | None = None
        self._pipeline = pipeline
        self._stream: torch.cuda.Stream | None = None
        if pipeline.device.type == "cuda":
            sharing = (one._stream for one in pipeline.threads if not one.owns.isdisjoint(self.owns))
            self._stream = next(sharing, None) or torch.cuda.Stream(pipeline.device)
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._run,), name=f"stereoreel-stage {work.label}"
        )
        pipeline.threads.append(self)

    def start(self) -> None:
        if self._stream is not None:
            self._stream.wait_stream(torch.cuda.current_stream(self._pipeline.device))
        self._thread.start()

    def join(self) -> None:
        if self._thread.ident is not None:
            self._thread.join()
        if self._stream is not None:
            torch.cuda.current_stream(self._pipeline.device).wait_stream(self._stream)

    def has_room(self) -> bool:
        """Whether the reader that is furthest has read everything."""
        return not all(reader.ready for reader in self.work.readers)

    def stream(self) -> AbstractContextManager:
        """Return the context of the thread's own stream of GPU work."""
        return nullcontext() if self._stream is None else torch.cuda.stream(self._stream)

    def wake(self) -> None:
        """Notify the other threads that a chunk was handed over or read."""
        with self._pipeline.changed:
            self._pipeline.changed.notify_all()

    def wait_for(self, reader: Reader) -> bool:
        """Wait for the reader's next chunk; return False at the end.

        Raise the stage's error if it failed there.
        """
        with self._pipeline.changed:
            self._pipeline.wait(lambda: bool(reader.ready) or self.ended)
        if not reader.ready and self.error is not None:
            raise self.error
        return bool(reader.ready)

    def _run(self) -> None:
        with self:
            self._pipeline.run(self)

    def __enter__(self) -> None: ...

    def __exit__(self, kind, error, trace) -> bool:
        """End the stage; its error is raised in the thread that reads."""
        self.error = error
        try:
            self.work.stop()
        finally:
            with self._pipeline.changed:
                self.ended = True
                self._pipeline.changed.notify_all()
        return True


class Handed:
    """A chunk on its way to a reader; on a GPU also from one stream of work to another."""

    def __init__(self, chunk: Tensor, done: torch.cuda.Event | None = None):
        self.chunk, self._done = chunk, done

    def taken(self) -> Tensor:
        """Return the chunk for use in this thread's stream."""
        if self._done is not None:
            stream = torch.cuda.current_stream(self.chunk.device)
            stream.wait_event(self._done)
            self.chunk.record_stream(stream)  # its memory is not reused before that stream is done with it
        return self.chunk


def launched(device: torch.device) -> torch.cuda.Event | None:
    """Return an event after everything that this thread has launched on a GPU; None elsewhere."""
    if device.type != "cuda":
        return None
    return torch.cuda.current_stream(device).record_event()
