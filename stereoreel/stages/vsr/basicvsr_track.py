"""A shot of any length as windows of a few frames, and what is known of its frames while they are needed.

Windows are cut by the frames' numbers in the shot, never by chunk.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from ...image.compute import Spread
from ...nets.basicvsr import Frame, Keep, Memory, RealBasicVSR, Restorer

# auto cleaning ends after so many passes, or with one that changes less than this on average
PASSES, CLEAN = 3, 5 / 255


def windows(chunks: Iterable[Tensor], size: int, ahead: int) -> Iterator[tuple[list[Tensor], int]]:
    """The frames ``[H, W, C]`` that each window adds, and how many frames it finishes: ``size``, while it sees ``ahead`` more.

    The last window finishes all that is left, at most ``size + ahead``. At most ``size + ahead + 1`` frames
    are read before one is finished.
    """
    added, held = [], 0  # held: seen by the window before, and not finished
    for chunk in chunks:
        for frame in chunk:
            if held + len(added) == size + ahead:  # and here is one more, so that this is not the end
                yield added, size
                added, held = [], ahead
            added.append(frame)
    if held + len(added):
        yield added, held + len(added)


class Track:
    """The frames of one shot that are seen and not finished, with flow between them, and what forward branches remember."""

    def __init__(self, net: RealBasicVSR | Restorer, cleaning: str, keep: Keep):
        self.net, self.core, self.keep = net, getattr(net, "basicvsr", net), keep
        self.passes = None if cleaning == "auto" else int(cleaning)
        self.frames: list[Frame] = []
        self.carried: dict[str, Memory] = {}
        self.newest: Tensor | None = None  # the last frame, as flow is found on it

    def add(self, batches: list[Tensor]) -> None:
        """Pictures ``[n, 3, H, W]``, each batch worked on at once where frames do not wait for each other."""
        for pictures in self._cleaned(batches):
            features = Spread(self.core.features)(pictures)
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
        """The pictures after the passes of cleaning that were asked for; ``auto`` settles their number on the first frames of the shot."""
        if not isinstance(self.net, RealBasicVSR):
            return batches
        passes, change = 0, CLEAN
        while passes < (self.passes or PASSES) and (self.passes or change >= CLEAN):
            dirt = [Spread(self.net.dirt)(pictures) for pictures in batches]
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
        """Results ``[1, 3, H', W']`` of the oldest ``count`` frames, which are let go when all have been taken."""
        carried = dict(self.carried)
        yield from self.core.restore(self.frames, count, carried, self.keep)
        self.carried = carried
        del self.frames[:count]

    def renew(self) -> None:
        """Find all features once more, after the network's number type has changed."""
        for frame in self.frames:
            frame.feature = self.keep(self.core.features(frame.picture))
