"""A stage that knows one picture a frame, over both eyes of a pair: each eye for itself, in step."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

TIME = -4  # the frame axis of [T, H, W, C] and of [2, T, H, W, C]
Chunk = Tensor | dict[str, Tensor]  # what a stage gives: one output, or several by name


def ports(chunk: Chunk) -> dict[str, Tensor]:
    return chunk if isinstance(chunk, dict) else {"clip": chunk}


def fan_out(
    chunks: Iterator[tuple[Tensor, ...]], picks: Sequence[tuple[int, int | None]]
) -> list[Iterator[Tensor]]:
    """One iterator per pick (input, eye) over the same tuples; each holds only what the others took before
    it.
    """
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


def both(left: Iterator[Chunk], right: Iterator[Chunk]) -> Iterator[dict[str, Tensor]]:
    """The outputs of both eyes as two-view chunks, cut wherever one of them ends a chunk."""
    held: list[dict[str, Tensor]] = [{}, {}]
    while True:
        for eye, chunks in enumerate((left, right)):
            held[eye] = held[eye] or ports(next(chunks, {}))
        if not all(held):
            assert not any(held), "a stage gave one eye more frames than the other"
            return
        count = min(chunk.shape[TIME] for one in held for chunk in one.values())
        yield {port: torch.stack([one[port].narrow(TIME, 0, count) for one in held]) for port in held[0]}
        held = [_rest(one, count) for one in held]


def _rest(given: dict[str, Tensor], count: int) -> dict[str, Tensor]:
    """What is left of chunks behind their first ``count`` frames; nothing where they end there."""
    rest = {port: chunk.narrow(TIME, count, chunk.shape[TIME] - count) for port, chunk in given.items()}
    return rest if all(chunk.shape[TIME] for chunk in rest.values()) else {}
