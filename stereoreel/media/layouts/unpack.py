"""Separate the two views of packed frames: the inverse of ``layout.pack``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ...core.bars import Bars, every_nth, joined, resized
from ...core.clip import ClipInfo, Shot
from ...core.transforms import Weightless
from ...image.resize import resize
from .anaglyph import LUMA
from .layout import ACROSS, DOWN
from .packing import CHECKERBOARD, COLUMNS, GREEN_MAGENTA, RED_CYAN, ROWS, SIDE_BY_SIDE, TOP_BOTTOM

Views = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Unpack(Weightless):
    """Frames that hold two views, as two views of ``width`` x ``height``, the left one first.

    A squeezed view is resized to its own shape. Interlaced views keep their own pixels, and those between are
    interpolated. The views of an anaglyph are grey.
    """

    framewise = places_bars = True
    kind: str
    right_first: bool
    width: int
    height: int
    label: str = "Unpack"

    def describe(self, clip: ClipInfo) -> ClipInfo:
        bars = resized(_of_one_view(clip.bars, self.kind), self._packed(clip), (self.width, self.height))
        return clip.replace(views=2, width=self.width, height=self.height, bars=bars)

    def _packed(self, clip: ClipInfo) -> tuple[int, int]:
        """Return the width and height of a view in the frame."""
        return clip.width // (1 + (self.kind == SIDE_BY_SIDE)), clip.height // (1 + (self.kind == TOP_BOTTOM))

    def __call__(self, shot: Shot, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        separate = _SEPARATE[self.kind]
        for chunk in chunks:
            views = separate(chunk)
            ordered = reversed(views) if self.right_first else views
            yield torch.stack([self._sized(view) for view in ordered])

    def _sized(self, view: Tensor) -> Tensor:
        size = self.height, self.width
        return view if view.shape[1:3] == size else resize(view, *size)


@dataclass(frozen=True)
class UnpackPairs(Weightless):
    """Frames that show the left and the right view in turn, as two views at half the rate.

    Cuts are between two pairs. A last frame without its other view is shown to both eyes.
    """

    right_first: bool
    places_bars = True
    label: str = "Unpack"

    def context(self, clip: ClipInfo) -> tuple[int, int]:
        return 2, 2

    def describe(self, clip: ClipInfo) -> ClipInfo:
        return clip.replace(
            views=2,
            frames=-(-clip.frames // 2),
            fps=clip.fps / 2,
            times=clip.times and clip.times[::2],
            cuts=tuple(-(-cut // 2) for cut in clip.cuts),
            bars=every_nth(clip.bars, 2),
        )

    def __call__(self, shot: Shot, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        skipped = shot.start % 2  # the second of a pair, whose first frame is in another part of the film
        waiting: Tensor | None = None
        for chunk in chunks:
            frames, skipped = chunk[skipped:], max(0, skipped - len(chunk))
            frames = frames if waiting is None else torch.cat((waiting, frames))
            paired = len(frames) // 2 * 2
            waiting = frames[paired:] if paired < len(frames) else None
            if paired:
                yield self._pairs(frames[:paired:2], frames[1:paired:2])
        if waiting is not None:
            yield self._pairs(waiting, waiting)

    def _pairs(self, first: Tensor, second: Tensor) -> Tensor:
        return torch.stack((second, first) if self.right_first else (first, second))


def _of_one_view(bars: Iterable[Bars], kind: str) -> tuple[Bars, ...]:
    """Return the bars that both views have; those between two views in a frame are not known."""
    if kind == SIDE_BY_SIDE:
        return joined(one._replace(left=0, right=0) for one in bars)
    return joined(one._replace(top=0, bottom=0) if kind == TOP_BOTTOM else one for one in bars)


def _sides(chunk: Tensor, axis: int) -> Views:
    half = chunk.shape[axis] // 2
    return chunk.narrow(axis, 0, half), chunk.narrow(axis, half, half)


def _woven(chunk: Tensor, kind: str) -> Views:
    """Return the views of interlaced frames, each with its gaps filled by the mean of the neighbours."""
    height, width = chunk.shape[1:3]
    place = torch.zeros(height, width, dtype=torch.int64, device=chunk.device)
    if kind != COLUMNS:
        place += torch.arange(height, device=chunk.device)[:, None]
    if kind != ROWS:
        place += torch.arange(width, device=chunk.device)
    axes = {ROWS: (DOWN,), COLUMNS: (ACROSS,), CHECKERBOARD: (DOWN, ACROSS)}[kind]
    between = sum(_neighbours(chunk, axis) for axis in axes) / len(axes)
    left = (place % 2 == 0)[..., None]
    return torch.where(left, chunk, between), torch.where(left, between, chunk)


def _neighbours(chunk: Tensor, axis: int) -> Tensor:
    """Return the mean of the pixels before and after each; at an edge, the only one is both."""
    size = chunk.shape[axis]
    if size == 1:
        return chunk
    before = torch.cat((chunk.narrow(axis, 1, 1), chunk.narrow(axis, 0, size - 1)), axis)
    after = torch.cat((chunk.narrow(axis, 1, size - 1), chunk.narrow(axis, size - 2, 1)), axis)
    return (before + after) / 2


def _filtered(chunk: Tensor, left: tuple[int, ...], right: tuple[int, ...]) -> Views:
    """Return the views of an anaglyph as grey, each from the channels of its filter."""
    one, other = (_grey(chunk, channels) for channels in (left, right))
    return one, other


def _grey(chunk: Tensor, channels: tuple[int, ...]) -> Tensor:
    weights = chunk.new_tensor([LUMA[channel] for channel in channels])
    grey = chunk[..., list(channels)] @ (weights / weights.sum())
    return grey[..., None].expand_as(chunk)


_SEPARATE: dict[str, Callable[[Tensor], Views]] = {
    SIDE_BY_SIDE: lambda chunk: _sides(chunk, ACROSS),
    TOP_BOTTOM: lambda chunk: _sides(chunk, DOWN),
    ROWS: lambda chunk: _woven(chunk, ROWS),
    COLUMNS: lambda chunk: _woven(chunk, COLUMNS),
    CHECKERBOARD: lambda chunk: _woven(chunk, CHECKERBOARD),
    RED_CYAN: lambda chunk: _filtered(chunk, (0,), (1, 2)),
    GREEN_MAGENTA: lambda chunk: _filtered(chunk, (1,), (0, 2)),
}
