"""Hold text that crosses the edge of a bar at the screen, where bars are, so that both halves fit.

The picture around it bends towards the screen, so that nothing tears and nothing near covers the text.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ...core.bars import Picture, scaled, shot_picture
from ...core.clip import ClipInfo, Shot
from ...core.transforms import Weightless
from ...image.burned_text.finder import lookahead
from ...image.burned_text.lumas import PartialLuma, reduced_size
from ...image.burned_text.on_bars import FEWEST, STANDS_OUT, BarTextFinder, bars_around, shortest
from ...image.burned_text.strokes import Box

REACH = 0.15  # of the frame's width: how far around text the picture bends
SLOPE = 0.5  # pixels of parallax a pixel, at most, that the picture bends by


@dataclass(frozen=True)
class BarText(Weightless):
    """Where text crosses the edge of a bar: a clip of one channel, 1 there, and less up to ``REACH`` away.

    In live use, where no frame can wait for later ones, it is 0.
    """

    label: str = "Text on bars"
    joint = False

    def context(self, frames: ClipInfo) -> tuple[int, int]:
        """Return how many frames before and after one show that its text stays, and what it covers."""
        return shortest(frames.fps), lookahead(frames.fps)

    def describe(self, frames: ClipInfo) -> ClipInfo:
        return frames.replace(channels=1)

    def __call__(self, shot: Shot, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        info = shot.info
        stop = next((stop for start, stop in info.shots if start == shot.start < stop), shot.start + 1)
        picture = shot_picture(info, shot.start, stop)
        size, places = reduced_size(info.height, info.width), _Places((info.height, info.width))
        inside = scaled(picture, (info.width, info.height), size[::-1])
        finder, like = BarTextFinder(size, inside, info.fps), None
        for chunk, shown in _looked_at(frames, picture):
            for frame, near in zip(chunk, shown):
                if shot.live:
                    yield places.of((), frame)
                    continue
                finder.add(PartialLuma(frame) if near else None)
                for boxes in finder.known():
                    yield places.of(boxes, frame)
                like = frame
        if like is not None:
            for boxes in finder.known(rest=True):
                yield places.of(boxes, like)


def held(parallax: Tensor, places: Tensor, width: float, steepest: float) -> Tensor:
    """Return parallax ``[T, H, W]``, 0 at text, by its places ``[T, H, W, 1]`` in frames of a width.

    ``steepest`` is the largest parallax, as a fraction of the width: the slope grows if it has to.
    """
    if places.device.type == "cpu" and not places.any():
        return parallax  # most frames; a GPU would have to be waited for
    slope = max(SLOPE, steepest / REACH)
    places = places[..., 0].to(parallax.device, torch.float32)
    most = torch.sub(1, places).mul_(REACH * width * slope).masked_fill_(places == 0, torch.inf)
    behind = torch.minimum(parallax, most)
    return torch.maximum(behind, most.neg_(), out=behind)


def _looked_at(frames: Iterable[Tensor], picture: Picture) -> Iterator[tuple[Tensor, list[bool]]]:
    """Yield the chunks, and whether the bars of each frame show anything next to the picture.

    On a GPU a chunk is looked at when the next one comes, so that the GPU goes on meanwhile.
    """
    waiting: deque[tuple[Tensor, Tensor]] = deque()
    for chunk in frames:
        waiting.append((chunk, _near(chunk, picture)))
        if len(waiting) > (chunk.device.type == "cuda"):
            chunk, shown = waiting.popleft()
            yield chunk, shown.tolist()
    for chunk, shown in waiting:
        yield chunk, shown.tolist()


def _near(chunk: Tensor, picture: Picture) -> Tensor:
    """Return whether the bars of frames ``[T, H, W, C]`` show anything next to the picture, bool ``[T]``."""
    shown = chunk.new_zeros(len(chunk), dtype=torch.bool)
    for bar in bars_around((chunk.shape[1], chunk.shape[2]), picture):
        strip = chunk[:, bar.outer[0], bar.outer[1], :3].mean(-1).flatten(1)
        apart = (strip - strip.median(1, keepdim=True).values).abs() >= STANDS_OUT / 255
        shown |= apart.sum(1) >= FEWEST
    return shown


class _Places:
    """Maps ``[1, H, W, 1]`` of frames of a size (height, width); the last one is kept, for most are alike."""

    def __init__(self, size: tuple[int, int]):
        self._size = size
        self._boxes: tuple[Box, ...] = ()
        self._map: Tensor | None = None

    def of(self, boxes: tuple[Box, ...], like: Tensor) -> Tensor:
        """Return 1 in boxes of the reduced frame, and less around them; on a frame's device, in its type."""
        if self._map is None or boxes != self._boxes:
            self._boxes, self._map = boxes, self._made(boxes, like)
        return self._map

    def _made(self, boxes: tuple[Box, ...], like: Tensor) -> Tensor:
        height, width = self._size
        if not boxes:
            return like.new_zeros(()).expand(1, height, width, 1)
        small = reduced_size(height, width)
        nearest = torch.full((height, width), torch.inf, device=like.device)
        for left, top, right, bottom in boxes:
            down, across = (
                _outside(length, start * length / count, stop * length / count, like.device)
                for length, count, start, stop in (
                    (height, small[0], top, bottom),
                    (width, small[1], left, right),
                )
            )
            nearest = torch.minimum(nearest, torch.hypot(down[:, None], across))
        return (1 - nearest / (REACH * width)).clamp(min=0).to(like.dtype)[None, ..., None]


def _outside(length: int, start: float, stop: float, device: torch.device) -> Tensor:
    """Return how far the centres of pixels lie outside of ``[start, stop)``, ``[length]``."""
    place = torch.arange(length, dtype=torch.float32, device=device) + 0.5
    return torch.maximum(start - place, place - stop).clamp(min=0)
