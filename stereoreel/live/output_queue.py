"""Queue of results to output, and the arrival times of their frames."""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

from ..core.per_eye import TIME


class OutputQueue:
    """A queue of frames by port; ``count`` are in it, ``pending`` stand-ins come before them."""

    def __init__(self):
        self.count = self.pending = 0
        self._results: deque[dict[str, Tensor]] = deque()
        self._arrivals: deque[list] = deque()  # [results not output yet, arrival of their frame]

    def put(self, result: dict[str, Tensor]) -> None:
        self._results.append(result)
        self.count += result["clip"].shape[TIME]

    def expect(self, count: int, arrival: float) -> None:
        """Announce ``count`` results of frames that arrive now."""
        if count:
            self._arrivals.append([count, arrival])

    @property
    def expected(self) -> int:
        """The results that are not output yet, computed or not."""
        return sum(count for count, _ in self._arrivals)

    def take(self, count: int) -> tuple[list[dict[str, Tensor]], list[float]]:
        """Return the next ``count`` frames, in pieces, and the arrivals of their sources."""
        pieces, left = [], count
        while left:
            result = self._results.popleft()
            here = result["clip"].shape[TIME]
            if here > left:
                self._results.appendleft(
                    {port: chunk.narrow(TIME, left, here - left) for port, chunk in result.items()}
                )
                result = {port: chunk.narrow(TIME, 0, left) for port, chunk in result.items()}
            pieces.append(result)
            left -= min(here, left)
        self.count -= count
        return pieces, self._out(count)

    def _out(self, count: int) -> list[float]:
        times = []
        while count and self._arrivals:
            due, arrival = first = self._arrivals[0]
            now = min(due, count)
            times += [arrival] * now
            first[0], count = due - now, count - now
            if not first[0]:
                self._arrivals.popleft()
        return times

    def clear(self) -> int:
        """Drop everything; return how many results are lost."""
        lost = self.expected
        self._results.clear()
        self._arrivals.clear()
        self.count = self.pending = 0
        return lost


def joined(pieces: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {port: torch.cat([piece[port] for piece in pieces], TIME) for port in pieces[0]} if pieces else {}
