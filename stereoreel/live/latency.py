"""Performance of a live session: rate, latency of every frame, jitter, and filled or dropped frames."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

LAST = 1000  # frames, and pushes, that the figures cover


@dataclass(frozen=True)
class Figures:
    """Times in milliseconds, and counts of frames.

    Latency is from a frame's arrival to the output of its result, the delay included; the first frame's is
    from the first arrival after a start. Jitter is the mean difference of the latencies of two consecutive
    frames.

    ``frames`` were output, ``filled`` of them plain resizes before a model's first result; ``dropped``
    arrived and got no result. ``delay`` is how many frames the model buffers.
    """

    fps: float
    p50: float
    p99: float
    first: float
    jitter: float
    delay: int
    frames: int
    filled: int
    dropped: int

    def __str__(self) -> str:
        if math.isnan(self.p50):
            return f"{self.filled} filled until the model has its first {self.delay} frames"
        late = f"latency {self.p50:.0f} ms (99 %: {self.p99:.0f}), first frame {self.first:.0f} ms"
        frames = f"delay {self.delay} frames, {self.filled} filled, {self.dropped} dropped"
        return f"{self.fps:.1f} fps, {late}, jitter {self.jitter:.0f} ms, {frames}"


class Numbers:
    """Counts for one session, in constant memory."""

    def __init__(self):
        self.frames = self.filled = self.dropped = 0
        self.first = math.nan
        self._late: deque[float] = deque(maxlen=LAST)
        self._given: deque[tuple[float, int]] = deque(maxlen=LAST)
        self._begun: float | None = None

    def begin(self, now: float) -> None:
        """Record the arrival of the first frame after a start."""
        self._begun = now
        self._given.clear()
        self._given.append((now, 0))

    def give(self, arrivals: list[float], filled: int, now: float) -> None:
        """Record the output of results for frames that came at ``arrivals``, and of ``filled`` others."""
        if arrivals and self._begun is not None:
            self.first, self._begun = 1000 * (now - self._begun), None
        self._late.extend(1000 * (now - arrival) for arrival in arrivals)
        self.frames, self.filled = self.frames + len(arrivals) + filled, self.filled + filled
        self._given.append((now, len(arrivals) + filled))

    def figures(self, delay: int) -> Figures:
        late = list(self._late)
        steps = [abs(after - before) for before, after in zip(late, late[1:])]
        late.sort()
        jitter = sum(steps) / len(steps) if steps else 0.0
        p50, p99 = (late[math.ceil(share * len(late)) - 1] if late else math.nan for share in (0.5, 0.99))
        return Figures(
            self._rate(), p50, p99, self.first, jitter, delay, self.frames, self.filled, self.dropped
        )

    def _rate(self) -> float:
        """Return frames per second from the first to the last push remembered."""
        if len(self._given) < 2:
            return 0.0
        (begin, _), (end, _) = self._given[0], self._given[-1]
        return sum(count for _, count in list(self._given)[1:]) / max(end - begin, 1e-9)
