"""The pyramid of ``background.fill_frames`` as Triton kernels; the left view's columns are mirrored here too.

A level is colour ``[F, h, w, C]``, weight and nearness ``[F, h, w]``, float32. Each program computes
``block`` places of one row.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _farness(near, farthest, surface):
    away = (near - farthest) / surface
    square = away * away + 1
    return 1 / (square * square)


@triton.jit
def _nearness(source, parallax, row, place, width: tl.constexpr, inside):
    """Return the background column of pixels, and how near it is."""
    shown = tl.load(source + row * width + place, mask=inside, other=0)
    return shown, tl.load(parallax + row * width + shown, mask=inside, other=0.0)


@triton.jit
def _place(column, width: tl.constexpr, left: tl.constexpr):
    return width - 1 - column if left else column


@triton.jit
def _pixel(cell, part, width: tl.constexpr, left: tl.constexpr):
    """Return the column of one of the four pixels of a cell; the last one repeats."""
    return _place(tl.minimum(4 * cell + part, width - 1), width, left)


@triton.jit
def _part(frame, row, column, part, height: tl.constexpr, width: tl.constexpr):
    """Return where one of the four cells is that a larger one has; the last rows and columns repeat."""
    down = tl.minimum(2 * row + part // 2, height - 1)
    return (frame * height + down) * width + tl.minimum(2 * column + part % 2, width - 1)


@triton.jit
def _around(frame, row, column, part, rows: tl.constexpr, columns: tl.constexpr):
    """Return where one of the four larger cells around a cell is, and its share by distance.

    In each direction the distances of the two are a quarter and three quarters.
    """
    down = tl.minimum(tl.maximum((row + 1) // 2 - 1 + part // 2, 0), rows - 1)
    across = tl.minimum(tl.maximum((column + 1) // 2 - 1 + part % 2, 0), columns - 1)
    tall = tl.where(row % 2 != part // 2, 0.75, 0.25)
    wide = tl.where(column % 2 != part % 2, 0.75, 0.25)
    return (frame * rows + down) * columns + across, tall * wide


@triton.jit
def first_level(
    picture,
    holes,
    source,
    parallax,
    color,
    weight,
    near,
    surface,
    full,
    trace,
    width: tl.constexpr,
    cells: tl.constexpr,
    channels: tl.constexpr,
    left: tl.constexpr,
    block: tl.constexpr,
):
    """Write the level of ``cells`` columns, each of four pixels in a row."""
    row, cell = tl.program_id(0).to(tl.int64), tl.program_id(1) * block + tl.arange(0, block)
    inside = cell < cells
    farthest = tl.full([block], float("inf"), tl.float32)
    for part in tl.static_range(0, 4):
        place = _pixel(cell, part, width, left)
        _, depth = _nearness(source, parallax, row, place, width, inside)
        farthest = tl.minimum(farthest, depth)
    total, mean = tl.full([block], 0.0, tl.float32), tl.full([block], 0.0, tl.float32)
    for part in tl.static_range(0, 4):
        place = _pixel(cell, part, width, left)
        _, depth = _nearness(source, parallax, row, place, width, inside)
        hole = tl.load(holes + row * width + place, mask=inside, other=0.0) > 0
        share = tl.where(hole, trace, 1.0) * _farness(depth, farthest, surface)
        total += share
        mean += share * depth
    to = row * cells + cell
    tl.store(weight + to, tl.minimum(total * (full / 4), 1.0), mask=inside)
    tl.store(near + to, mean / total, mask=inside)
    for channel in tl.static_range(0, channels):
        mixed = tl.full([block], 0.0, tl.float32)
        for part in tl.static_range(0, 4):
            place = _pixel(cell, part, width, left)
            _, depth = _nearness(source, parallax, row, place, width, inside)
            at = row * width + place
            hole = tl.load(holes + at, mask=inside, other=0.0) > 0
            share = tl.where(hole, trace, 1.0) * _farness(depth, farthest, surface)
            shade = tl.load(picture + at * channels + channel, mask=inside, other=0.0).to(tl.float32)
            mixed += shade * (share / total)
        tl.store(color + to * channels + channel, mixed, mask=inside)


@triton.jit
def larger(
    color,
    weight,
    near,
    next_color,
    next_weight,
    next_near,
    surface,
    full,
    height: tl.constexpr,
    width: tl.constexpr,
    channels: tl.constexpr,
    block: tl.constexpr,
):
    """Write the next level, of cells of two by two; missing rows and columns repeat the last ones."""
    rows: tl.constexpr = (height + 1) // 2
    columns: tl.constexpr = (width + 1) // 2
    line, column = tl.program_id(0).to(tl.int64), tl.program_id(1) * block + tl.arange(0, block)
    inside = column < columns
    frame, row = line // rows, line % rows
    farthest = tl.full([block], float("inf"), tl.float32)
    for part in tl.static_range(0, 4):
        at = _part(frame, row, column, part, height, width)
        farthest = tl.minimum(farthest, tl.load(near + at, mask=inside, other=0.0))
    total, mean = tl.full([block], 0.0, tl.float32), tl.full([block], 0.0, tl.float32)
    for part in tl.static_range(0, 4):
        at = _part(frame, row, column, part, height, width)
        depth = tl.load(near + at, mask=inside, other=0.0)
        share = tl.load(weight + at, mask=inside, other=1.0) * _farness(depth, farthest, surface)
        total += share
        mean += share * depth
    to = line * columns + column
    tl.store(next_weight + to, tl.minimum(total * (full / 4), 1.0), mask=inside)
    tl.store(next_near + to, mean / total, mask=inside)
    for channel in tl.static_range(0, channels):
        mixed = tl.full([block], 0.0, tl.float32)
        for part in tl.static_range(0, 4):
            at = _part(frame, row, column, part, height, width)
            depth = tl.load(near + at, mask=inside, other=0.0)
            share = tl.load(weight + at, mask=inside, other=1.0) * _farness(depth, farthest, surface)
            shade = tl.load(color + at * channels + channel, mask=inside, other=0.0)
            mixed += shade * (share / total)
        tl.store(next_color + to * channels + channel, mixed, mask=inside)


@triton.jit
def smaller(
    coarse_color,
    coarse_near,
    color,
    weight,
    surface,
    height: tl.constexpr,
    width: tl.constexpr,
    channels: tl.constexpr,
    block: tl.constexpr,
):
    """Complete a level in place: its colours as far as they are certain, else those of cells around."""
    rows: tl.constexpr = (height + 1) // 2
    columns: tl.constexpr = (width + 1) // 2
    line, column = tl.program_id(0).to(tl.int64), tl.program_id(1) * block + tl.arange(0, block)
    frame, row = line // height, line % height
    at = line * width + column
    own_weight = tl.load(weight + at, mask=column < width, other=1.0)
    open_ = (column < width) & (own_weight < 1)
    farthest = tl.full([block], float("inf"), tl.float32)
    for part in tl.static_range(0, 4):
        cell, _ = _around(frame, row, column, part, rows, columns)
        farthest = tl.minimum(farthest, tl.load(coarse_near + cell, mask=open_, other=0.0))
    total = tl.full([block], 0.0, tl.float32)
    for part in tl.static_range(0, 4):
        cell, close = _around(frame, row, column, part, rows, columns)
        depth = tl.load(coarse_near + cell, mask=open_, other=0.0)
        total += _farness(depth, farthest, surface) * close
    for channel in tl.static_range(0, channels):
        found = tl.full([block], 0.0, tl.float32)
        for part in tl.static_range(0, 4):
            cell, close = _around(frame, row, column, part, rows, columns)
            depth = tl.load(coarse_near + cell, mask=open_, other=0.0)
            share = _farness(depth, farthest, surface) * close
            shade = tl.load(coarse_color + cell * channels + channel, mask=open_, other=0.0)
            found += shade * (share / total)
        own = tl.load(color + at * channels + channel, mask=open_, other=0.0)
        tl.store(color + at * channels + channel, found + own_weight * (own - found), mask=open_)


@triton.jit
def finish(
    color,
    near,
    picture,
    holes,
    source,
    parallax,
    surface,
    share,
    fade,
    width: tl.constexpr,
    cells: tl.constexpr,
    channels: tl.constexpr,
    left: tl.constexpr,
    block: tl.constexpr,
):
    """Fill the holes of ``picture`` from the first level; at the background its last pixel fades in."""
    row, column = tl.program_id(0).to(tl.int64), tl.program_id(1) * block + tl.arange(0, block)
    inside = column < width
    place = _place(column, width, left)
    at = row * width + place
    hole = inside & (tl.load(holes + at, mask=inside, other=0.0) > 0)
    shown, depth = _nearness(source, parallax, row, place, width, hole)
    moved = (place - shown).to(tl.float32)
    away = tl.abs((-moved if left else moved) + depth * share)
    kept = tl.exp(away / fade)
    position = (column + 0.5) / 4 - 0.5
    begin = tl.floor(position)
    part = position - begin
    one = tl.maximum(begin, 0.0).to(tl.int32)
    other = tl.minimum(begin + 1, cells - 1.0).to(tl.int32)
    one, other = row * cells + one, row * cells + other
    near_one = tl.load(near + one, mask=hole, other=0.0)
    near_other = tl.load(near + other, mask=hole, other=0.0)
    farthest = tl.minimum(near_one, near_other)
    first = (1 - part) * _farness(near_one, farthest, surface)
    second = part * _farness(near_other, farthest, surface)
    mixing = second / (first + second)
    for channel in tl.static_range(0, channels):
        start = tl.load(color + one * channels + channel, mask=hole, other=0.0)
        stop = tl.load(color + other * channels + channel, mask=hole, other=0.0)
        filled = start + mixing * (stop - start)
        own = tl.load(picture + at * channels + channel, mask=hole, other=0.0).to(tl.float32)
        filled += kept * (own - filled)
        tl.store(picture + at * channels + channel, filled.to(picture.dtype.element_ty), mask=hole)
