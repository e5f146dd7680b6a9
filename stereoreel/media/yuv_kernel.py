"""The planes of ``yuv.to_planes`` as one Triton kernel: each program makes a row of chroma and its luma."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _color(frame, at, channels: tl.constexpr, channel: tl.constexpr, inside):
    """Return one of three colours, which are equal where there is one only."""
    place: tl.constexpr = channel if channels >= 3 else 0
    value = tl.load(frame + at * channels + place, mask=inside, other=0.0).to(tl.float32)
    return tl.minimum(tl.maximum(value, 0.0), 1.0)


@triton.jit
def _store(to, code, white, shift: tl.constexpr, inside):
    level = tl.minimum(tl.maximum(code + 0.5, 0.0), white).to(tl.int32) << shift
    tl.store(to, level.to(to.dtype.element_ty), mask=inside)


@triton.jit
def _weight(place: tl.constexpr, outer, third, second, inner):
    return outer if place == 0 else third if place == 1 else second if place == 2 else inner


@triton.jit
def planes(
    frame,
    luma,
    blue_plane,
    red_plane,
    own_red,
    own_green,
    own_blue,
    black,
    blue_red,
    blue_green,
    blue_blue,
    red_red,
    red_green,
    red_blue,
    middle,
    white,
    outer,
    third,
    second,
    inner,
    height: tl.constexpr,
    width: tl.constexpr,
    channels: tl.constexpr,
    across: tl.constexpr,
    down: tl.constexpr,
    step: tl.constexpr,
    shift: tl.constexpr,
    block: tl.constexpr,
):
    """Write the planes of ``frame`` ``[H, W, C]``; ``step`` is from one value of chroma to the next.

    ``outer`` to ``inner`` are the weights of eight lines from the ends to the middle.
    """
    line, place = tl.program_id(0).to(tl.int64), tl.program_id(1) * block + tl.arange(0, block)
    inside = place < width // across
    for row in tl.static_range(0, down):
        for column in tl.static_range(0, across):
            at = (line * down + row) * width + place * across + column
            bright = _color(frame, at, channels, 0, inside) * own_red
            bright += _color(frame, at, channels, 1, inside) * own_green
            bright += _color(frame, at, channels, 2, inside) * own_blue
            _store(luma + at, bright + black, white, shift, inside)
    red, green, blue = (
        tl.full([block], 0.0, tl.float32),
        tl.full([block], 0.0, tl.float32),
        tl.full([block], 0.0, tl.float32),
    )
    taps: tl.constexpr = 8 if down == 2 else 1
    for tap in tl.static_range(0, taps):
        weight = _weight(tap if tap < 4 else 7 - tap, outer, third, second, inner) if down == 2 else 1.0
        row = tl.minimum(tl.maximum(2 * line + tap - 3, 0), height - 1) if down == 2 else line
        for column in tl.static_range(0, across):
            at = row * width + place * across + column
            red += _color(frame, at, channels, 0, inside) * (weight / across)
            green += _color(frame, at, channels, 1, inside) * (weight / across)
            blue += _color(frame, at, channels, 2, inside) * (weight / across)
    to = (line * (width // across) + place) * step
    code = red * blue_red + green * blue_green + blue * blue_blue + middle
    _store(blue_plane + to, code, white, shift, inside)
    code = red * red_red + green * red_green + blue * red_blue + middle
    _store(red_plane + to, code, white, shift, inside)
