"""The forward warp of ``warp.move_rows`` as one Triton kernel: each program renders one row of one view.

Columns are counted from the view's end, as in ``warp``: mirrored for the left view. A row passes through the
GPU's registers once, where PyTorch's operations read and write it more than a hundred times.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _last_seen(earlier, later):
    return tl.where(later >= 0, later, earlier)


@triton.jit
def _landing(parallax, row, column, share, width: tl.constexpr, left: tl.constexpr, inside):
    """Return where source columns of a row land."""
    place = width - 1 - column if left else column
    return column - tl.load(parallax + row * width + place, mask=inside, other=0.0) * share


@triton.jit
def _disparity(parallax, row, column, share, width: tl.constexpr, left: tl.constexpr):
    """Return how far sources move; those that do not exist move infinitely far."""
    exists = (column >= 0) & (column < width)
    safe = tl.where(exists, column, 0)
    moved = safe - _landing(parallax, row, safe, share, width, left, exists)
    return tl.where(exists, moved, float("inf"))


@triton.jit
def warp_row(
    image,
    parallax,
    picture,
    holes,
    source,
    winners,
    share,
    width: tl.constexpr,
    channels: tl.constexpr,
    left: tl.constexpr,
    keeps_source: tl.constexpr,
    join: tl.constexpr,
    margin: tl.constexpr,
    block: tl.constexpr,
):
    """Write ``picture`` ``[N, W, C]``, ``holes`` and ``source`` ``[N, W]`` of the row ``program_id(0)``.

    ``winners`` is scratch, ``[N, W + margin]``, int32.
    """
    row = tl.program_id(0).to(tl.int64)
    column = tl.arange(0, block)
    inside = column < width
    position = _landing(parallax, row, column, share, width, left, inside)
    after = _landing(parallax, row, column + 1, share, width, left, column + 1 < width)
    before = _landing(parallax, row, column - 1, share, width, left, inside & (column > 0))
    stretch = after - position - 1
    joined = (tl.abs(stretch) <= join) & (column + 1 < width)
    stretch_before = position - before - 1
    joined_before = (tl.abs(stretch_before) <= join) & (column > 0)
    end = tl.ceil(position + 0.5 + tl.where(joined, 0.5 * stretch, 0.0))
    begin = tl.ceil(position - 0.5)
    begin = tl.where(joined_before, tl.ceil(before + 0.5 + 0.5 * stretch_before), begin)
    count = (end - begin).to(tl.int32)
    target = tl.where(count > 0, tl.minimum(tl.maximum(end, 0.0), width + 2.0), 0.0).to(tl.int32)
    mine = winners + row * (width + margin)
    for first in tl.static_range(0, 2):
        place = column + first * block
        tl.store(mine + place, tl.full([block], -1, tl.int32), mask=place < width + margin)
    tl.debug_barrier()
    tl.atomic_max(mine + target, 2 * column + count - 1, mask=inside, sem="relaxed")
    tl.debug_barrier()
    # past the first cache, which does not see the maxima
    here = tl.load(mine + column + 1, mask=inside, other=-1, cache_modifier=".cg")
    right = tl.load(mine + column + 2, mask=inside, other=-1, cache_modifier=".cg")
    also = ((right & 1) - 1) | right
    shown = tl.maximum(here, also) >> 1
    unseen = shown < 0
    earlier = tl.associative_scan(shown, 0, _last_seen)
    later = tl.associative_scan(shown, 0, _last_seen, reverse=True)
    by_earlier = _disparity(parallax, row, tl.where(earlier < 0, width, earlier), share, width, left)
    by_later = _disparity(parallax, row, tl.where(later < 0, width, later), share, width, left)
    filled = tl.where(by_earlier < by_later, earlier, later)
    filled = tl.where((earlier < 0) & (later < 0), column, filled)
    shown = tl.where(unseen, filled, shown)
    shown = tl.where(inside, shown, 0)
    landed = _landing(parallax, row, shown, share, width, left, inside)
    rest = column - landed
    # as copysign: minus zero is rare and has no weight
    side = tl.where(rest < 0, -1, 1)
    other = shown + side
    exists = inside & (other >= 0) & (other < width)
    gap = _landing(parallax, row, tl.where(exists, other, 0), share, width, left, exists) - landed - side
    together = exists & (tl.abs(gap) <= join) & ~unseen
    weight = tl.where(together, rest / (gap + side), 0.0)
    weight = tl.minimum(tl.maximum(weight, 0.0), 1.0)
    other = tl.where(exists, other, shown)
    to = row * width + (width - 1 - column if left else column)
    one = row * width + (width - 1 - shown if left else shown)
    two = row * width + (width - 1 - other if left else other)
    for channel in tl.static_range(0, channels):
        first_color = tl.load(image + one * channels + channel, mask=inside, other=0.0).to(tl.float32)
        second_color = tl.load(image + two * channels + channel, mask=inside, other=0.0).to(tl.float32)
        mixed = first_color + weight * (second_color - first_color)
        tl.store(picture + to * channels + channel, mixed.to(picture.dtype.element_ty), mask=inside)
    tl.store(holes + to, unseen.to(holes.dtype.element_ty), mask=inside)
    if keeps_source:
        place = width - 1 - shown if left else shown
        tl.store(source + to, place.to(tl.int32), mask=inside)
