"""Split a shot of any length into windows of a few frames, and keep the state of the frames in use.

Windows follow the frames' indices in the shot, never the chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from ...image.compute import Spread
from ...nets.basicvsr import Frame, Keep, Memory, RealBasicVSR, Restorer

# auto cleaning ends after this many passes, or with one that changes less than this on average
PASSES, CLEAN = 3, 5 / 255


def windows(chunks: Iterable[Tensor], size: int, ahead: int) -> Iterator[tuple[list[Tensor], int]]:
    """Yield the frames ``[H, W, C]`` that each window adds, and how many it completes: ``size``.

    A window reads ``ahead`` more frames than it completes. The last window completes all that are left, at
    most ``size + ahead``. At most ``size + ahead + 1`` frames are read before the first is completed.
    """
    added: list[Tensor] = []
    pending = 0  # frames read by the previous window and not completed
    for chunk in chunks:
        for frame in chunk:
            if pending + len(added) == size + ahead:  # one more frame exists, so this is not the end
                yield added, size
                added, pending = [], ahead
            added.append(frame)
    if pending + len(added):
        yield added, pending + len(added)


class Track:
    """The frames of one shot in use, the flow between them, and the state of the forward branches."""

    def __init__(self, net: RealBasicVSR | Restorer, cleaning: str, keep: Keep):
        self.net, self.keep = net, keep
        self.core: Restorer = net.basicvsr if isinstance(net, RealBasicVSR) else net
        self.passes = None if cleaning == "auto" else int(cleaning)
        self.frames: list[Frame] = []
        self.carried: dict[str, Memory] = {}
        self.newest: Tensor | None = None  # the last frame, at the size used for flow

    def add(self, batches: list[Tensor]) -> None:
        """Add images ``[n, 3, H, W]``; steps that process frames independently take a batch at a time."""
        for pictures in self._cleaned(batches):
            features = _batch(self.core.features, pictures)
            self.frames += [
                Frame(picture, self.keep(feature))
                for picture, feature in zip(pictures.split(1), features.split(1))
            ]
            small = self.core.small(pictures)
            row = small if self.newest is None else torch.cat([self.newest, small])
            self.newest = row[-1:].clone()
            if len(row) > 1:
                flows = zip(*(flow.split(1) for flow in Spread(self.core.motion)(row[:-1], row[1:])))
                for here, there, (onward, back) in zip(
                    self.frames[-len(row) :], self.frames[1 - len(row) :], flows
                ):
                    here.onward, there.back = onward, back

    def _cleaned(self, batches: list[Tensor]) -> list[Tensor]:
        """Return the images after cleaning; ``auto`` sets the number of passes by a shot's first frames."""
        if not isinstance(self.net, RealBasicVSR):
            return batches
        passes, change = 0, float(CLEAN)
        while passes < (self.passes or PASSES) and (self.passes or change >= CLEAN):
            dirt = [_batch(self.net.dirt, pictures) for pictures in batches]
            batches = [pictures + one for pictures, one in zip(batches, dirt)]
            passes += 1
            change = (
                0
                if self.passes
                else float(sum(one.abs().sum() for one in dirt)) / sum(one.numel() for one in dirt)
            )
        self.passes = passes
        return batches

    def restored(self, count: int) -> Iterator[Tensor]:
        """Yield results ``[1, 3, H', W']`` of the oldest ``count`` frames, and drop these at the end."""
        carried = dict(self.carried)
        yield from self.core.restore(self.frames, count, carried, self.keep)
        self.carried = carried
        del self.frames[:count]

    def recompute(self) -> None:
        """Compute all features again, after the model's dtype has changed."""
        for frame in self.frames:
            frame.feature = self.keep(self.core.features(frame.picture))


def _batch(function: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """Run a function of batches, on the CPU spread over the cores."""
    output = Spread(function)(images)
    assert isinstance(output, Tensor)  # not a tuple, because the function returns none
    return output
