"""The parts of ``edge_snap.snap`` that sample around pixels, as Triton kernels that skip all but edges."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _side(depth, near, far):
    """1 on the near side, -1 on the far one."""
    apart = (depth - (near + far) / 2) / tl.maximum((near - far) / 2, 1e-6)
    return tl.minimum(tl.maximum(apart, -1.0), 1.0)


@triton.jit
def _none(block: tl.constexpr):
    return tl.full([block], 0.0, tl.float32)


@triton.jit
def means(
    depth,
    near,
    far,
    edge,
    shrunk,
    shown,
    height: tl.constexpr,
    width: tl.constexpr,
    reach: tl.constexpr,
    spread: tl.constexpr,
    whole: tl.constexpr,
    block: tl.constexpr,
):
    """Write colour and depth of both sides, ``shown`` ``[h, w, 8]``, of the pixels at an ``edge``.

    ``shrunk`` is the frame and the depth, ``[4, h, w]``.
    """
    place = tl.program_id(0) * block + tl.arange(0, block)
    edges = (place < height * width) & (tl.load(edge + place, mask=place < height * width, other=0) != 0)
    row, column = place // width, place % width
    nearest = tl.load(near + place, mask=edges, other=0.0)
    farthest = tl.load(far + place, mask=edges, other=0.0)
    for part in tl.static_range(0, 2):
        sign = 1.0 - 2.0 * part
        light, total, mean = _none(block), _none(block), _none(block)
        red, green, blue = _none(block), _none(block), _none(block)
        for offset in range(0, (2 * reach + 1) * (2 * reach + 1)):
            down, right = offset // (2 * reach + 1) - reach, offset % (2 * reach + 1) - reach
            there = tl.minimum(tl.maximum(row + down, 0), height - 1) * width
            there += tl.minimum(tl.maximum(column + right, 0), width - 1)
            side = sign * _side(tl.load(depth + there, mask=edges, other=0.0), nearest, farthest)
            close = tl.exp((down * down + right * right) / -spread)
            weight = tl.maximum(side, 0.0) * close
            light += weight
            red += weight * tl.load(shrunk + there, mask=edges, other=0.0)
            green += weight * tl.load(shrunk + height * width + there, mask=edges, other=0.0)
            blue += weight * tl.load(shrunk + 2 * height * width + there, mask=edges, other=0.0)
            certain = tl.where(side > whole, close, 0.0)
            total += certain
            mean += certain * tl.load(shrunk + 3 * height * width + there, mask=edges, other=0.0)
        light = tl.maximum(light, 1e-6)
        end = nearest if part == 0 else farthest
        to = shown + place * 8 + 4 * part
        tl.store(to, red / light, mask=edges)
        tl.store(to + 1, green / light, mask=edges)
        tl.store(to + 2, blue / light, mask=edges)
        tl.store(to + 3, tl.where(total > 0, mean / tl.maximum(total, 1e-6), end), mask=edges)


@triton.jit
def settle(
    frame,
    large,
    edge,
    near,
    far,
    shown,
    rows,
    columns,
    color,
    prior,
    width: tl.constexpr,
    channels: tl.constexpr,
    small: tl.constexpr,
    block: tl.constexpr,
):
    """Give the pixels of the ramps in ``large`` ``[H, W]`` to the near or the far side, in place.

    ``rows`` ``[H]`` and ``columns`` ``[W]`` are the nearest ones of the depth, which has ``small`` columns.
    """
    row, column = tl.program_id(0).to(tl.int64), tl.program_id(1) * block + tl.arange(0, block)
    inside = column < width
    there = tl.load(rows + row) * small + tl.load(columns + column, mask=inside, other=0)
    edges = inside & (tl.load(edge + there, mask=inside, other=0) != 0)
    at = row * width + column
    ramp = tl.load(large + at, mask=edges, other=0.0)
    by_near, by_far = _none(block), _none(block)
    for channel in tl.static_range(0, 3):
        own = tl.load(frame + at * channels + channel, mask=edges, other=0.0).to(tl.float32)
        to_near = own - tl.load(shown + there * 8 + channel, mask=edges, other=0.0)
        to_far = own - tl.load(shown + there * 8 + 4 + channel, mask=edges, other=0.0)
        by_near += to_near * to_near
        by_far += to_far * to_far
    likeness = (by_far - by_near) / (by_far + by_near + 3 * color * color)
    nearest = tl.load(near + there, mask=edges, other=0.0)
    farthest = tl.load(far + there, mask=edges, other=0.0)
    score = likeness + prior * _side(ramp, nearest, farthest)
    high = tl.load(shown + there * 8 + 3, mask=edges, other=0.0)
    low = tl.load(shown + there * 8 + 7, mask=edges, other=0.0)
    tl.store(large + at, tl.where(score >= 0, high, low), mask=edges)
