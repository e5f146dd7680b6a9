"""Render another view: every source pixel moves along its row by its parallax, near ones cover far ones.

Rows are independent, so any number of them (of one frame or of many) is processed at a time with the same
result. For the right view near pixels move to the left. The left view is mirrored: its columns are counted
from the right end, and left and right in these comments are exchanged, so mirrored frames give mirrored bits.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from ...core import cancel
from ...image import native
from ...image.compute import parallel_map
from ...image.huge_pages import empty
from . import fused
from .gaps import fill_listed, fill_scanned

log = logging.getLogger(__name__)

# neighbours whose disparities differ by no more pixels than this lie on one surface; must stay below 1
JOIN = 0.75
CPU_BAND, BAND = 1 << 18, 1 << 22  # pixels at a time: for a processor's cache; for few launches on a GPU
MARGIN = 3  # places of a row of winners that take pixels outside the frame
BYTES = 53  # of working memory for each pixel of a band


class Eye(NamedTuple):
    """Rows of one view: their source, and where to write them."""

    image: Tensor  # [N, W, C]
    parallax: Tensor  # [N, W], float32: pixels in front of the screen
    share: float  # of the parallax, by which this view's pixels move
    left: bool
    picture: Tensor  # [N, W, C]
    holes: Tensor  # [N, W]: 1 in disocclusions, else 0
    source: Tensor | None = None  # [N, W], int32: the main source column of each pixel

    def rows(self, start: int, stop: int) -> Eye:
        return self._replace(
            image=self.image[start:stop],
            parallax=self.parallax[start:stop],
            picture=self.picture[start:stop],
            holes=self.holes[start:stop],
            source=None if self.source is None else self.source[start:stop],
        )


class Scratch:
    """Memory reused by each band: new pages from the system would cost as much as the arithmetic."""

    def __init__(self, pixels: int, like: Tensor):
        self.pixels, self.device = pixels, like.device
        self.kept: dict[str, Tensor] = {}
        self.free = empty(like, pixels * BYTES + 64 * BYTES, dtype=torch.uint8)

    def __call__(self, name: str, height: int, width: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return an uninitialised tensor ``[height, width]``, or what was last written under that name."""
        if name not in self.kept:
            size = -(-self.pixels * dtype.itemsize // 64) * 64
            self.kept[name], self.free = self.free[:size].view(dtype), self.free[size:]
        return self.kept[name][: height * width].view(height, width)


def move(eyes: list[Eye]) -> None:
    """Write the images, holes and sources of views with the same rows; never synchronises with a GPU."""
    image, (height, width) = eyes[0].image, eyes[0].parallax.shape
    on_cpu = image.device.type == "cpu"
    step = max(1, (CPU_BAND if on_cpu else BAND) // width)
    bands = [eye.rows(start, start + step) for start in range(0, height, step) for eye in eyes]
    if not on_cpu:
        return fused.run(image, lambda: fused.move(eyes), lambda: move_rows(bands, wait=False))
    work = (compiled() if image.dtype == torch.float32 else None) or move_rows
    cores = min(torch.get_num_threads(), len(bands))
    parallel_map(
        work, [bands[core * len(bands) // cores : (core + 1) * len(bands) // cores] for core in range(cores)]
    )


def compiled() -> Callable[[list[Eye]], None] | None:
    """Return compiled ``move_rows`` for float32 on the CPU, if numba is there and STEREOREEL_NUMBA not 0."""
    return _compiled() if native.enabled() else None


@lru_cache(1)
def _compiled() -> Callable[[list[Eye]], None]:
    begin = time.perf_counter()
    from .compiled import move_rows as compiled_rows

    if (seconds := time.perf_counter() - begin) > 2:
        log.info(f"Numba compiled the stereo warp in {seconds:.0f} s and caches it for the next start.")
    return compiled_rows


def move_rows(bands: list[Eye], wait: bool = True) -> None:
    """Warp the bands in order, the first being the largest; with ``wait`` off, never synchronise."""
    scratch = Scratch(bands[0].holes.shape[0] * (bands[0].holes.shape[1] + 3), bands[0].image)
    fill, blend = (fill_listed, blend_channels) if wait else (fill_scanned, blend_pixels)
    for eye in bands:
        cancel.check()
        height, width = eye.parallax.shape
        column = torch.arange(width, dtype=torch.float32, device=scratch.device)
        column = column.flip(0) if eye.left else column
        line = torch.arange(0, height * width, width, dtype=torch.int32, device=scratch.device)[:, None]
        position = torch.mul(eye.parallax, eye.share, out=scratch("position", height, width))
        torch.sub(column, position, out=position)
        source = visible_source(position, column, eye.left, scratch)
        unseen = torch.lt(source, 0, out=scratch("unseen", height, width, torch.bool))
        torch.sub(line + (width - 1), source, out=source) if eye.left else source.add_(line)
        fill(source, unseen, position, column, eye.left)
        other, weight = neighbour(source, position, column, eye.left, scratch)
        blend(eye.image, source, other, weight.masked_fill_(unseen, 0), eye.picture, scratch)
        eye.holes.copy_(unseen)
        if eye.source is not None:
            torch.sub(source, line, out=eye.source)


def visible_source(position: Tensor, column: Tensor, left: bool, scratch: Scratch) -> Tensor:
    """Return the column ``[N, W]`` (int32, from the view's end) of the source visible at each target, or -1.

    ``position`` is where each source pixel lands. A pixel covers the target from half-way to its left
    neighbour to half-way to its right one when these lie on the same surface, else half a pixel; so surfaces
    have neither cracks nor overlaps. Where two pixels land on one target the one from farther right has moved
    farther, so it is nearer: the largest column wins, one order-independent maximum.
    """
    height, width = position.shape
    one, next_one = (slice(1, None), slice(0, -1)) if left else (slice(0, -1), slice(1, None))
    stretch, joined = (scratch(name, height, width - 1) for name in "ab")
    end, begin, times = (scratch(name, height, width) for name in "cde")
    torch.sub(position[:, next_one], position[:, one], out=stretch).sub_(1)
    torch.abs(stretch, out=joined).le_(JOIN)  # 1.0 or 0.0
    torch.add(position, 0.5, out=end)[:, one].addcmul_(stretch, joined, value=0.5)
    end.ceil_()
    torch.sub(position, 0.5, out=begin).ceil_()
    begin[:, next_one].add_(torch.sub(end[:, one], begin[:, next_one], out=stretch).mul_(joined))
    # 0, 1 or, on a stretched surface, 2 targets: end - 1 and end - 2
    count = torch.sub(end, begin, out=begin)
    # columns 0 and width + 2 of the buffer take pixels outside the frame
    end.mul_(torch.clamp(count, max=1, out=times)).clamp_(0, width + 2)
    if left:
        end.neg_().add_(width + 2)
    target, key = (
        scratch(name, height, width, dtype) for name, dtype in (("target", torch.int64), ("key", torch.int32))
    )
    target.copy_(end)
    key.copy_(count.add_(2 * column - 1))
    winner = (
        scratch("winner", height, width + 3, torch.int32).fill_(-1).scatter_reduce_(1, target, key, "amax")
    )
    here, right = winner[:, 1 + left : 1 + left + width], winner[:, 2 - left : 2 - left + width]
    # an odd key covers the target to its left too, an even one does not: -1
    also = torch.bitwise_and(right, 1, out=key).sub_(1).bitwise_or_(right)
    return torch.maximum(here, also, out=also).bitwise_right_shift_(1)


def neighbour(
    source: Tensor, position: Tensor, column: Tensor, left: bool, scratch: Scratch
) -> tuple[Tensor, Tensor]:
    """Return the second source pixel to blend with and its weight ``[N, W]``, by the target's exact position.

    A flat index beyond a row's end meets the next row's pixel, which is too far away to be on the same
    surface: weight 0.
    """
    height, width = position.shape
    landed, rest, side, stretch = (scratch(name, height, width) for name in "abcd")
    other = scratch("other", height, width, torch.int32)
    torch.index_select(position.view(-1), 0, source.view(-1), out=landed.view(-1))
    torch.sub(column, landed, out=rest)
    torch.copysign(column.new_ones(()), rest, out=side)
    other.copy_(side)
    torch.add(source, other, alpha=-1 if left else 1, out=other).clamp_(0, source.numel() - 1)
    torch.index_select(position.view(-1), 0, other.view(-1), out=stretch.view(-1))
    stretch.sub_(landed).sub_(side)
    joined = torch.abs(stretch, out=landed).le_(JOIN)
    return other, rest.mul_(joined).div_(stretch.mul_(joined).add_(side)).clamp_(0, 1)


def blend_channels(
    image: Tensor, source: Tensor, other: Tensor, weight: Tensor, picture: Tensor, scratch: Scratch
) -> None:
    """Blend two source pixels for every target into ``picture``, one channel at a time: for a CPU."""
    pair = [scratch(name, 1, source.numel(), image.dtype)[0] for name in ("first", "second")]
    for color, place in zip(
        image.reshape(-1, image.shape[-1]).unbind(1), picture.view(-1, image.shape[-1]).unbind(1)
    ):
        first, second = (
            torch.index_select(color, 0, index.view(-1), out=mine).to(weight.dtype)
            for index, mine in zip((source, other), pair)
        )
        place.copy_(first.lerp_(second, weight.view(-1)))


def blend_pixels(
    image: Tensor, source: Tensor, other: Tensor, weight: Tensor, picture: Tensor, scratch: Scratch
) -> None:
    """Blend all channels in one pass: the fewest launches."""
    colors = image.reshape(-1, image.shape[-1])
    first, second = (colors.index_select(0, index.view(-1)).to(weight.dtype) for index in (source, other))
    picture.view(-1, image.shape[-1]).copy_(first.lerp_(second, weight.view(-1, 1)))
