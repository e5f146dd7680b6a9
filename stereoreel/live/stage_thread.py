"""A stage's generator, suspended between calls on a thread of its own.

A stage requests its next chunk in the middle of its work, often several generators deep, and only a thread
can be suspended there: it waits for the chunk as any reader waits for a file. The caller in turn waits until
the stage needs input again, so that one of the two works at a time and the same pushes give the same results;
or, with ``beside``, it continues and takes results later. Weights, placement, progress and cancel stay on the
calling thread, which has their context.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from queue import Empty, SimpleQueue

import torch
from torch import Tensor

from ..core.per_eye import Chunk, ports

END, STOP, NEEDS_INPUT = object(), object(), object()  # no more frames; stop now; the work needs input


class StageThread:
    """``work`` over chunks that arrive one by one.

    ``work`` takes their iterator, and a function that says whether the newest chunk is the last available.
    Each chunk is a tuple of tensors, one for each input. On CUDA the work runs on the given stream, and the
    host does not wait for the device.
    """

    def __init__(
        self,
        work: Callable[[Iterator[tuple[Tensor, ...]], Callable[[], bool]], Iterator[Chunk]],
        stream: torch.cuda.Stream | None = None,
    ):
        self._orders: SimpleQueue = SimpleQueue()
        self._news: SimpleQueue = SimpleQueue()
        self._fed, self._consumed, self.ended = 0, -1, False  # it needs input once before it is fed
        self._stop, self._stream = threading.Event(), stream
        # no reference to this object, so that it can be freed
        given = (work, self._orders, self._news, self._stop, stream)
        self._thread = threading.Thread(target=_work, args=given, name="stereoreel-live", daemon=True)
        self._thread.start()
        weakref.finalize(self, _request_stop, self._stop, self._orders)

    @property
    def waiting(self) -> int:
        """The number of chunks that are not processed yet, including the current one."""
        return self._fed - self._consumed

    def feed(self, chunks: Iterable[tuple[Tensor, ...]]) -> None:
        """Pass chunks that are available together: after the last of them no more are available."""
        chunks = list(chunks)
        for number, chunk in enumerate(chunks, 1):
            self._fed += 1
            self._orders.put((chunk, number == len(chunks), _mark(self._stream)))

    def finish(self) -> None:
        """Announce the end: no chunk follows."""
        self._fed += 1
        self._orders.put(END)

    def outputs(self, wait: bool = True) -> Iterator[dict[str, Tensor]]:
        """Yield results until the work needs input (or, without ``wait``, is busy); raise what it raised."""
        while not self.ended and (self.waiting or not wait):
            try:
                news = self._news.get(block=wait)
            except Empty:
                return
            if isinstance(news, BaseException):
                self.ended = True
                raise news
            if news is NEEDS_INPUT:
                self._consumed += 1
            elif news is END:
                self.ended = True
            else:
                yield _on_current_stream(*news)

    def drain(self) -> Iterator[dict[str, Tensor]]:
        """Yield everything to the end: the flush."""
        self.finish()
        yield from self.outputs()

    def close(self) -> None:
        """Stop; return when the thread has ended, within the time of one chunk."""
        _request_stop(self._stop, self._orders)
        self._thread.join()
        self.ended = True


class _ErrorRelay:
    """Hand an error that ends the work to the waiting thread, which raises it."""

    def __init__(self, news: SimpleQueue):
        self.news = news

    def __enter__(self) -> None: ...

    def __exit__(self, kind, error, trace) -> bool:
        self.news.put(END if error is None or isinstance(error, GeneratorExit) else error)
        return True


def _work(
    work: Callable,
    orders: SimpleQueue,
    news: SimpleQueue,
    stop: threading.Event,
    stream: torch.cuda.Stream | None,
) -> None:
    with _ErrorRelay(news), torch.cuda.stream(stream) if stream else nullcontext(), torch.inference_mode():
        feed = _Feed(orders, news, stream)
        for result in work(feed, lambda: feed.last):
            news.put((ports(result), _mark(stream, own=True)))
            del result
            if stop.is_set():
                return


class _Feed:
    """The chunks for the work: an iterator that waits."""

    def __init__(self, orders: SimpleQueue, news: SimpleQueue, stream: torch.cuda.Stream | None):
        self.orders, self.news, self.stream, self.last, self.over = orders, news, stream, False, False

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> tuple[Tensor, ...]:
        if not self.over:
            self.news.put(NEEDS_INPUT)
            order = self.orders.get()
            self.over = order is END
        if self.over:  # a stage may request again
            raise StopIteration
        if order is STOP:
            raise GeneratorExit
        chunk, self.last, mark = order
        if self.stream:
            self.stream.wait_event(mark)
            for tensor in chunk:
                tensor.record_stream(self.stream)
        return chunk


def _request_stop(stop: threading.Event, orders: SimpleQueue) -> None:
    stop.set()
    orders.put(STOP)


def _mark(stream: torch.cuda.Stream | None, own: bool = False) -> torch.cuda.Event | None:
    """Record a point in time on the device: of the work's own stream, or of its caller's."""
    if stream is None:
        return None
    return (stream if own else torch.cuda.current_stream(stream.device)).record_event()


def _on_current_stream(result: dict[str, Tensor], mark: torch.cuda.Event | None) -> dict[str, Tensor]:
    """Return the work's results, for use on the current stream."""
    if mark:
        for tensor in result.values():
            if tensor.is_cuda:
                here = torch.cuda.current_stream(tensor.device)
                here.wait_event(mark)
                tensor.record_stream(here)
    return result
