"""Cache of loaded stages, kept from one graph to the next."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Loaded = TypeVar("Loaded")


class StageCache(Generic[Loaded]):
    """Loaded stages by key, owned by the job that runs several graphs with the same stages.

    They can be shared because a stage keeps no state after its shot. At most ``most`` stay loaded, those used
    last.
    """

    def __init__(self, most: int | None = None):
        self._most = most
        self._stages: OrderedDict[Hashable, Loaded] = OrderedDict()

    def get(self, key: Hashable, load: Callable[[], Loaded]) -> Loaded:
        """Return the stage of a key, loaded if it is not cached."""
        if key not in self._stages:
            stage = load()
            while self._most is not None and len(self._stages) >= self._most:
                self._stages.popitem(last=False)
            self._stages[key] = stage
        self._stages.move_to_end(key)
        return self._stages[key]

    def stages(self) -> list[Loaded]:
        """Return all loaded stages, the last used first."""
        return list(reversed(self._stages.values()))

    def clear(self) -> None:
        self._stages.clear()
