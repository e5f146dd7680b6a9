"""Run a single-view stage on both views of a stereo pair, independently and synchronously."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

TIME = -4  # the frame axis of [T, H, W, C] and of [2, T, H, W, C]
Chunk = Tensor | dict[str, Tensor]  # a stage's output: one, or several by name


def ports(chunk: Chunk) -> dict[str, Tensor]:
    return chunk if isinstance(chunk, dict) else {"clip": chunk}


def fan_out(
    chunks: Iterator[tuple[Tensor, ...]], picks: Sequence[tuple[int, int | None]]
) -> list[Iterator[Tensor]]:
    """Return one iterator per pick (input, eye) over the same tuples; each buffers only what others took."""
    queues: list[deque[tuple[Tensor, ...]]] = [deque() for _ in picks]

    def way(queue: deque, place: int, eye: int | None) -> Iterator[Tensor]:
        while True:
            if not queue:
                if (found := next(chunks, None)) is None:
                    return
                for other in queues:
                    other.append(found)
            chunk = queue.popleft()[place]
            yield chunk if eye is None else chunk[eye]

    return [way(queue, *pick) for queue, pick in zip(queues, picks)]


def merge_views(left: Iterator[Chunk], right: Iterator[Chunk]) -> Iterator[dict[str, Tensor]]:
    """Yield the outputs of both views as two-view chunks, split wherever one of them ends a chunk."""
    pending: list[dict[str, Tensor]] = [{}, {}]
    while True:
        for eye, chunks in enumerate((left, right)):
            pending[eye] = pending[eye] or ports(next(chunks, {}))
        if not all(pending):
            assert not any(pending), "a stage returned more frames for one view than for the other"
            return
        count = min(chunk.shape[TIME] for one in pending for chunk in one.values())
        yield {
            port: torch.stack([one[port].narrow(TIME, 0, count) for one in pending]) for port in pending[0]
        }
        pending = [_remaining(one, count) for one in pending]


def gathered(chunks: Iterator[Chunk], enough: Callable[[], int]) -> Iterator[Chunk]:
    """Yield the same frames in chunks of ``enough()`` frames or more, but for the last one."""
    held: list[dict[str, Tensor]] = []
    count = 0
    for chunk in chunks:
        held.append(ports(chunk))
        count += next(iter(held[-1].values())).shape[TIME]
        if count >= enough():
            yield _joined(held)
            held, count = [], 0
    if held:
        yield _joined(held)


def _joined(held: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    if len(held) == 1:
        return held[0]
    return {port: torch.cat([one[port] for one in held], TIME) for port in held[0]}


def _remaining(given: dict[str, Tensor], count: int) -> dict[str, Tensor]:
    """Return what remains of chunks after their first ``count`` frames; nothing if they end there."""
    remaining = {port: chunk.narrow(TIME, count, chunk.shape[TIME] - count) for port, chunk in given.items()}
    return remaining if all(chunk.shape[TIME] for chunk in remaining.values()) else {}
