"""Fill targets that no source pixel reaches with the pixel at the farther end of their gap.

Both implementations give the same result. One does little work, the other never synchronises with a GPU. Both
change ``source`` ``[N, W]``, flat source indices, at ``unseen`` ``[N, W]``; a row without visible pixels
shows itself. ``position`` is where each source pixel lands and ``column`` where it was, counted from the
view's end; ``left`` is the left view.
"""

from __future__ import annotations

import torch
from torch import Tensor


def fill_listed(source: Tensor, unseen: Tensor, position: Tensor, column: Tensor, left: bool) -> None:
    """Fill hole by hole: the work is proportional to the holes."""
    width, flat = position.shape[1], source.view(-1)
    empty = unseen.view(-1).nonzero().view(-1)
    if not len(empty):
        return
    row = empty.div(width, rounding_mode="floor")
    breaks = (empty[1:] - empty[:-1]).ne(1).logical_or_(row[1:] != row[:-1]).nonzero().view(-1)
    begin, stop = (
        torch.cat([breaks.new_zeros(1), breaks + 1]),
        torch.cat([breaks, breaks.new_full((1,), len(empty) - 1)]),
    )
    start = row.index_select(0, begin) * width
    ends = empty.index_select(0, begin) - 1, empty.index_select(0, stop) + 1
    outside = ends[0] < start, ends[1] >= start + width
    shown = [flat.index_select(0, end.clamp_(0, len(flat) - 1)) for end in ends]
    near = [
        column.index_select(0, (index - start).clamp_(0, width - 1))
        - position.view(-1).index_select(0, index.clamp(0, len(flat) - 1))
        for index in shown
    ]
    one, other = (1, 0) if left else (0, 1)
    chosen = torch.where(
        outside[other] | (~outside[one] & (near[one] < near[other])), shown[one], shown[other]
    )
    alone = outside[0] & outside[1]
    flat.scatter_(0, empty, chosen.masked_fill_(alone, -1).repeat_interleave(stop - begin + 1))
    if alone.any():
        torch.where(
            source < 0, torch.arange(len(flat), dtype=torch.int32).view_as(source), source, out=source
        )


def fill_scanned(source: Tensor, unseen: Tensor, position: Tensor, column: Tensor, left: bool) -> None:
    """Fill by one scan over all targets."""
    width, flat, count = position.shape[1], source.view(-1), source.numel()
    own = torch.arange(count, dtype=torch.int32, device=source.device)
    seen = unseen.view(-1).logical_not()
    rank = seen.cumsum(0, dtype=torch.int32)  # number of visible targets up to each one
    # indexed by visible targets in order, from 1
    shown = torch.full_like(own, count)[:1].expand(count + 2).contiguous()
    shown[:1].fill_(-1)
    # all others share the last place
    shown.scatter_(0, torch.where(seen, rank, count + 1).long(), flat)
    first = own.view_as(source)[:, :1]
    ends = [shown.index_select(0, index).view_as(source) for index in (rank, rank + 1)]
    inside = ends[0] >= first, ends[1] < first + width
    disparity = (column - position).view(-1)
    near = [
        disparity.index_select(0, end.view(-1).clamp(0, count - 1))
        .view_as(position)
        .masked_fill_(~ok, torch.inf)
        for end, ok in zip(ends, inside)
    ]
    one, other = (1, 0) if left else (0, 1)
    chosen = torch.where(near[one] < near[other], ends[one], ends[other])
    chosen = torch.where(inside[0] | inside[1], chosen, own.view_as(source))
    torch.where(unseen, chosen, source, out=source)
