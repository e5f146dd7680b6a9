"""Results that wait to be handed out, and when their frames came."""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

from ..core.per_eye import TIME


class OutputQueue:
    """A queue of frames by port; ``count`` lie there, ``owed`` stand-ins come before them."""

    def __init__(self):
        self.count = self.owed = 0
        self._made: deque[dict[str, Tensor]] = deque()
        self._arrivals: deque[list] = deque()  # [results that are not out yet, when their frame came]

    def put(self, made: dict[str, Tensor]) -> None:
        self._made.append(made)
        self.count += made["clip"].shape[TIME]

    def expect(self, count: int, arrival: float) -> None:
        """So many results belong to frames that come now."""
        if count:
            self._arrivals.append([count, arrival])

    @property
    def expected(self) -> int:
        """Results that are not out yet, made or not."""
        return sum(count for count, _ in self._arrivals)

    def take(self, count: int) -> tuple[list[dict[str, Tensor]], list[float]]:
        """The next ``count`` frames, in pieces, and when their sources came."""
        pieces, left = [], count
        while left:
            made = self._made.popleft()
            here = made["clip"].shape[TIME]
            if here > left:
                self._made.appendleft(
                    {port: chunk.narrow(TIME, left, here - left) for port, chunk in made.items()}
                )
                made = {port: chunk.narrow(TIME, 0, left) for port, chunk in made.items()}
            pieces.append(made)
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
        """Let everything go; how many results will not come."""
        lost = self.expected
        self._made.clear()
        self._arrivals.clear()
        self.count = self.owed = 0
        return lost


def joined(pieces: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {port: torch.cat([piece[port] for piece in pieces], TIME) for port in pieces[0]} if pieces else {}
