"""Work done in a thread, a few items ahead of whoever takes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def ahead(items: Generator[Item, None, None], count: int = 2) -> Iterator[Item]:
    """The items of a generator that runs in a thread, at most ``count`` items ahead.

    What it raises is raised here, after the items made before. Closing this generator waits for the item in work, then closes ``items``.
    """
    end = object()
    with ThreadPoolExecutor(1, thread_name_prefix="stereoreel-ahead") as worker:
        waiting = deque(worker.submit(next, items, end) for _ in range(count))
        try:
            while (item := waiting.popleft().result()) is not end:
                waiting.append(worker.submit(next, items, end))
                yield item
        finally:
            for future in waiting:
                future.cancel()
            worker.submit(items.close).result()
