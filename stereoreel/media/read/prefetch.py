"""Run a generator in a thread, a few items ahead of its consumer."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ...core import cancel

Item = TypeVar("Item")


def ahead(items: Generator[Item, None, None], count: int = 2) -> Generator[Item, None, None]:
    """Yield the items of a generator that runs in a thread, at most ``count`` items ahead.

    Its exceptions are raised here, after the items before them. Closing this generator stops the item in
    progress at its next ``cancel.check``, then closes ``items``.
    """
    end, over = object(), threading.Event()

    def following() -> Item | object:
        with cancel.stopped_by(over):
            return next(items, end)

    with ThreadPoolExecutor(1, thread_name_prefix="stereoreel-ahead") as worker:
        waiting = deque(worker.submit(following) for _ in range(count))
        try:
            while (item := cancel.wait_result(waiting[0])) is not end:
                waiting.popleft()
                waiting.append(worker.submit(following))
                yield item
        finally:
            over.set()
            for future in waiting:
                future.cancel()
            worker.submit(items.close).result()
