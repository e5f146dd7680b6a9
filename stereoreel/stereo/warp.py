"""The picture another eye sees: every source pixel moves along its row by its disparity, near ones cover far ones.

Rows are independent of each other, so any number of them (of one frame or of many) is worked on at a time with the same result.
Everything is computed for the right eye, where near pixels move to the left; the left eye is the same in a mirror.
"""

from __future__ import annotations

import torch
from torch import Tensor

JOIN = 0.75  # neighbours whose disparities differ by no more pixels than this lie on one surface; must stay below 1
CPU_BAND, BAND = 1 << 18, 1 << 22  # pixels at a time: for a processor's cache and threads; for few launches on a GPU


def move(image: Tensor, disparity: Tensor, left: bool, picture: Tensor, holes: Tensor) -> tuple[Tensor, Tensor]:
    """Write what one eye sees of ``image`` ``[N, W, C]`` into ``picture``, and 1 or 0 into ``holes`` ``[N, W]``: invented or seen.

    ``disparity`` ``[N, W]`` is float32, in pixels, to the right for the left eye and to the left for the right one; larger is nearer.
    Gives the flat indices of the holes, and of the background pixels in ``image`` that were written into them.
    """
    rows = max(1, (CPU_BAND if image.device.type == "cpu" else BAND) // image.shape[1])
    found = []
    for start in range(0, image.shape[0], rows):
        band = slice(start, start + rows)
        found.append([index + start * image.shape[1] for index in _move_band(image[band], disparity[band], left, picture[band], holes[band])])
    empty, source = map(torch.cat, zip(*found))
    return empty, source


def _move_band(image: Tensor, disparity: Tensor, left: bool, picture: Tensor, holes: Tensor) -> tuple[Tensor, Tensor]:
    height, width = disparity.shape
    column = torch.arange(width, dtype=torch.float32, device=disparity.device)
    line = torch.arange(0, height * width, width, dtype=torch.int32, device=disparity.device)[:, None]
    position = column - (disparity.flip(1) if left else disparity)
    source = visible_source(position)
    empty = (source < 0).view(-1).nonzero().view(-1)
    source += line
    fill_from_background(source, empty, position)
    other, weight = neighbour(source, position, column)
    weight.view(-1)[empty] = 0
    if left:
        mirror = 2 * line + (width - 1)  # this minus a flat index is the flat index in the mirror
        source, other, weight = (mirror - source).flip(1), (mirror - other).flip(1).clamp_(0, height * width - 1), weight.flip(1)
        empty = mirror.view(-1)[empty // width] - empty
    holes.zero_().view(-1)[empty] = 1
    blend(image, source, other, weight, picture)
    return empty, source.view(-1)[empty].long()


def visible_source(position: Tensor) -> Tensor:
    """The column ``[N, W]`` (int32) of the source pixel that shows at each target pixel, or -1 where none does.

    ``position`` is where each source pixel lands. A pixel covers the target from half-way to its left neighbour to half-way to its
    right one when these lie on the same surface, else half a pixel; so surfaces have neither cracks nor overlaps.
    Where two pixels land on one target the one from farther right has moved farther, so it is nearer: the largest column wins,
    one order-independent maximum.
    """
    height, width = position.shape
    stretch = (position[:, 1:] - position[:, :-1]).sub_(1)
    joined = stretch.abs().le_(JOIN)  # 1.0 or 0.0
    end = position + 0.5
    end[:, :-1].addcmul_(stretch, joined, value=0.5)
    end.ceil_()
    begin = (position - 0.5).ceil_()
    begin[:, 1:] += (end[:, :-1] - begin[:, 1:]).mul_(joined)
    count = torch.sub(end, begin, out=begin)  # 0, 1 or, on a stretched surface, 2 targets: end - 1 and end - 2
    target = end.mul_(count.clamp(max=1)).clamp_(0, width + 2).long()  # columns 0 and width + 2 of the buffer are for the lost
    key = count.sub_(1).clamp_(0, 1).add_(torch.arange(0, 2 * width, 2, device=count.device)).int()
    winner = key.new_full((height, width + 3), -1).scatter_reduce_(1, target, key, "amax")
    here, right = winner[:, 1:width + 1], winner[:, 2:width + 2]
    also = (right & 1).sub_(1).bitwise_or_(right)  # an odd key covers the target to its left too; an even one becomes -1
    return torch.maximum(here, also, out=also).bitwise_right_shift_(1)


def fill_from_background(source: Tensor, empty: Tensor, position: Tensor) -> None:
    """Give every empty target the pixel that shows at the farther end of its gap.

    ``source`` ``[N, W]`` holds flat source indices and is changed; ``empty`` lists the flat targets without one, in order.
    """
    width, flat = position.shape[1], source.view(-1)
    column = empty % width
    breaks = (empty[1:] - empty[:-1] != 1) | (column[1:] == 0)
    edge = breaks.new_ones(min(1, empty.numel()))
    opens, closes = torch.cat([edge, breaks]), torch.cat([breaks, edge])
    no_left, no_right = column[opens] == 0, column[closes] == width - 1
    left, right = (flat[index.clamp_(0, flat.numel() - 1)] for index in (empty[opens] - 1, empty[closes] + 1))
    left_near, right_near = (index % width - position.view(-1)[index] for index in (left, right))  # the disparity there
    chosen = torch.where(no_right | (~no_left & (left_near < right_near)), left, right)
    gap = opens.cumsum(0) - 1
    flat[empty] = torch.where((no_left & no_right)[gap], empty.int(), chosen[gap])  # a row that lost everything stays as it was


def neighbour(source: Tensor, position: Tensor, column: Tensor) -> tuple[Tensor, Tensor]:
    """The second source pixel to blend with and its weight ``[N, W]``: the target's exact place between two pixels of one surface.

    A flat index beyond a row's end meets the next row's pixel, which lies too far away to be on the same surface: weight 0.
    """
    landed = position.view(-1).index_select(0, source.view(-1)).view_as(position)
    rest = column - landed
    side = rest.ge(0).float().mul_(2).sub_(1)
    other = side.int().add_(source).clamp_(0, source.numel() - 1)
    apart = position.view(-1).index_select(0, other.view(-1)).view_as(position).sub_(landed)
    stretch = apart.sub_(side)
    joined = stretch.abs().le_(JOIN)
    return other, rest.mul_(joined).div_(stretch.mul_(joined).add_(side)).clamp_(0, 1)


def blend(image: Tensor, source: Tensor, other: Tensor, weight: Tensor, picture: Tensor) -> None:
    """Write the mix of two source pixels for every target into ``picture``; a channel at a time, which is read in order, not with gaps."""
    planes = image.movedim(-1, 0).to(weight.dtype).reshape(image.shape[-1], -1)
    source, other = source.reshape(-1), other.reshape(-1)
    mixed = [plane.index_select(0, source).lerp_(plane.index_select(0, other), weight.reshape(-1)).view_as(weight) for plane in planes]
    torch.stack(mixed, -1, out=picture) if picture.dtype == weight.dtype else picture.copy_(torch.stack(mixed, -1))
