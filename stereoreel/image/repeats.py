"""Find frames that repeat the one before them, without a pause of the GPU that holds them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from .host_copy import Download

TIME = -4  # the frame axis of [T, H, W, C] and of [2, T, H, W, C]
Marks = Sequence[Callable[[], bool]]


def marked(chunks: Iterable[Tensor]) -> Iterator[tuple[Tensor, Marks | None]]:
    """Yield chunks ``[(2,) T, H, W, C]`` with questions for each frame: is it equal to the one before it?

    The first frame of all repeats nothing. None instead of questions where frames are on the CPU, which
    compares them when the answer is needed. On a GPU all frames of a chunk are compared in one pass, and one
    chunk is read ahead, so that the answers have arrived when they are asked for.
    """
    pending: tuple[Tensor, Marks | None] | None = None
    before: Tensor | None = None
    for chunk in chunks:
        if chunk.device.type != "cuda":
            yield chunk, None
            continue
        following = chunk, _questions(chunk, before)
        before = chunk.narrow(TIME, chunk.shape[TIME] - 1, 1)
        if pending is not None:
            yield pending
        pending = following
    if pending is not None:
        yield pending


def _questions(chunk: Tensor, before: Tensor | None) -> Marks:
    frames = chunk if before is None else torch.cat([before.to(chunk), chunk], TIME)
    count = frames.shape[TIME] - 1
    apart = frames.narrow(TIME, 1, count) != frames.narrow(TIME, 0, count)
    equal = Download(~apart.movedim(TIME, 0).flatten(1).any(1))

    def question(index: int) -> Callable[[], bool]:
        return lambda: index >= 0 and bool(equal.wait()[index])

    return [question(index - (before is None)) for index in range(chunk.shape[TIME])]
