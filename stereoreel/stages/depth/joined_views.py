"""Depth of a shot by a network that gives several views one scale: windows of frames, joined as a stream.

Each window begins with the last frames of the one before, is brought to the scale of their depth, and fades
in over them. Only one window is in memory, so memory use is independent of the shot's length.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from .windows import samples

SHARE = 4  # one in this many frames of a window is shared with the next
LEAST = 1e-6  # distance below which no ratio is measured


def stream(chunks: Iterable[Tensor], run: Callable[[Tensor], Tensor], window: int) -> Iterator[Tensor]:
    """Yield depth ``[n, h, w]``, float32, of one shot's frames, in order and in one scale.

    ``run`` takes up to ``window`` frames ``[v, 3, h, w]`` and returns their depth ``[v, h, w]`` in a scale of
    its own. The depth is less than ``window`` frames behind
    ``chunks``. A last window that would have few new frames reads older ones again.
    """
    shared = max(1, window // SHARE)
    frames: deque[Tensor] = deque(maxlen=window)
    fresh = 0  # how many of them have no depth
    seam = _Seam(shared)
    for chunk in chunks:
        for frame in chunk:
            frames.append(frame)
            fresh += 1
            if fresh == (window if seam.pending is None else window - shared):
                yield from seam.add(run(torch.stack(tuple(frames))), fresh)
                fresh = 0
    if fresh:
        yield from seam.add(run(torch.stack(tuple(frames))), fresh)
    if seam.pending is not None:
        yield seam.pending


class _Seam:
    """Joins the depth of a window to that of earlier ones."""

    def __init__(self, shared: int):
        self.shared = shared
        self.pending: Tensor | None = None  # the last frames, which the next window fades into

    def add(self, depth: Tensor, fresh: int) -> Iterator[Tensor]:
        """Take the depth of a window whose last ``fresh`` frames are new; yield the frames that are final."""
        depth = depth.float()
        if self.pending is not None:
            count = len(self.pending)
            depth = depth[-(fresh + count) :]
            depth = depth * ratio(depth[:count], self.pending)
            weight = torch.arange(1, count + 1, device=depth.device) / (count + 1)
            faded = torch.lerp(self.pending, depth[:count], weight[:, None, None])
            depth = torch.cat([faded, depth[count:]])
        self.pending = depth[-self.shared :].clone()
        if len(depth) > len(self.pending):
            yield depth[: -len(self.pending)]


def ratio(new: Tensor, old: Tensor) -> Tensor:
    """Return by how much most of the distances ``[n, h, w]`` differ, on the device: a factor for ``new``.

    The median does not see what moves, or is estimated anew, on less than half of the picture.
    """
    pairs = [torch.stack([samples(maps) for maps in part]).clamp(min=LEAST).log() for part in (new, old)]
    return (pairs[1] - pairs[0]).median().exp()
