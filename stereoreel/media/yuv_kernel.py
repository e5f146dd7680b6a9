"""The planes of ``yuv.to_planes`` as one Triton kernel: each program makes a row of chroma and its luma.

Two views are packed as they are read, see ``layouts.arrangement``, whose numbers of kinds stand here.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _read(view, row, column, width: tl.constexpr, channels: tl.constexpr, inside):
    """Return the three colours of a view, which are equal where there is one only."""
    at = view + (row * width + column) * channels
    red = tl.load(at, mask=inside, other=0.0).to(tl.float32)
    if channels >= 3:
        green = tl.load(at + 1, mask=inside, other=0.0).to(tl.float32)
        blue = tl.load(at + 2, mask=inside, other=0.0).to(tl.float32)
    else:
        green = red
        blue = red
    return red, green, blue


@triton.jit
def _pick(one, other, second, row, column, width: tl.constexpr, channels: tl.constexpr, inside):
    """Return the colours of one of two views."""
    red, green, blue = _read(one, row, column, width, channels, inside & (second == 0))
    more_red, more_green, more_blue = _read(other, row, column, width, channels, inside & (second != 0))
    return (
        tl.where(second != 0, more_red, red),
        tl.where(second != 0, more_green, green),
        tl.where(second != 0, more_blue, blue),
    )


@triton.jit
def _clamped(value):
    return tl.minimum(tl.maximum(value, 0.0), 1.0)


@triton.jit
def _light(value):
    """Return the light of a stored value, sRGB."""
    value = _clamped(value)
    return tl.where(value <= 0.04045, value / 12.92, tl.exp2(2.4 * tl.log2((value + 0.055) / 1.055)))


@triton.jit
def _stored(light):
    light = _clamped(light)
    root = tl.exp2(tl.log2(tl.maximum(light, 1e-9)) / 2.4)
    return tl.where(light <= 0.0031308, light * 12.92, 1.055 * root - 0.055)


@triton.jit
def _colors(
    one, other, mix, row, column, high: tl.constexpr, wide: tl.constexpr, channels: tl.constexpr,
    kind: tl.constexpr, inside,
):  # fmt: skip
    """Return the colours in 0..1 of pixels of the packed frame; its last ones are repeated beyond it.

    ``high`` and ``wide`` are the size of a view, ``mix`` the weights of both views for red, green and blue.
    """
    if kind == 1:  # next to each other
        second = (column >= wide).to(tl.int32)
        column = tl.minimum(column - second * wide, wide - 1)
        row = tl.minimum(row, high - 1) + column * 0
        red, green, blue = _pick(one, other, second, row, column, wide, channels, inside)
    elif kind == 2:  # the same, half as wide
        pane: tl.constexpr = (wide + 1) // 2
        second = (column >= pane).to(tl.int32)
        column = 2 * (column - second * pane)
        row = tl.minimum(row, high - 1) + column * 0
        red, green, blue = _pick(
            one, other, second, row, tl.minimum(column, wide - 1), wide, channels, inside
        )
        red_too, green_too, blue_too = _pick(
            one, other, second, row, tl.minimum(column + 1, wide - 1), wide, channels, inside
        )
        red, green, blue = (red + red_too) / 2, (green + green_too) / 2, (blue + blue_too) / 2
    elif kind == 3:  # one over the other
        column = tl.minimum(column, wide - 1)
        row = row + column * 0
        second = (row >= high).to(tl.int32)
        row = tl.minimum(row - second * high, high - 1)
        red, green, blue = _pick(one, other, second, row, column, wide, channels, inside)
    elif kind == 4:  # the same, half as high
        over: tl.constexpr = (high + 1) // 2
        column = tl.minimum(column, wide - 1)
        row = row + column * 0
        second = (row >= over).to(tl.int32)
        row = 2 * (row - second * over)
        red, green, blue = _pick(
            one, other, second, tl.minimum(row, high - 1), column, wide, channels, inside
        )
        red_too, green_too, blue_too = _pick(
            one, other, second, tl.minimum(row + 1, high - 1), column, wide, channels, inside
        )
        red, green, blue = (red + red_too) / 2, (green + green_too) / 2, (blue + blue_too) / 2
    else:
        column = tl.minimum(column, wide - 1)
        row = tl.minimum(row, high - 1) + column * 0
        if kind == 0:
            red, green, blue = _read(one, row, column, wide, channels, inside)
        elif kind < 8:  # every second row, column, or pixel of both
            place = row if kind == 5 else column if kind == 6 else row + column
            second = (place % 2).to(tl.int32)
            red, green, blue = _pick(one, other, second, row, column, wide, channels, inside)
        else:  # mixed, in light or as stored
            a, b, c = _read(one, row, column, wide, channels, inside)
            d, e, f = _read(other, row, column, wide, channels, inside)
            if kind == 9:
                a, b, c, d, e, f = _light(a), _light(b), _light(c), _light(d), _light(e), _light(f)
            red = a * mix[0] + b * mix[1] + c * mix[2] + d * mix[3] + e * mix[4] + f * mix[5]
            green = a * mix[6] + b * mix[7] + c * mix[8] + d * mix[9] + e * mix[10] + f * mix[11]
            blue = a * mix[12] + b * mix[13] + c * mix[14] + d * mix[15] + e * mix[16] + f * mix[17]
            if kind == 9:
                red, green, blue = _stored(red), _stored(green), _stored(blue)
    return _clamped(red), _clamped(green), _clamped(blue)


@triton.jit
def _store(to, code, white, shift: tl.constexpr, inside):
    level = tl.minimum(tl.maximum(code + 0.5, 0.0), white).to(tl.int32) << shift
    tl.store(to, level.to(to.dtype.element_ty), mask=inside)


@triton.jit
def _weight(place: tl.constexpr, outer, third, second, inner):
    return outer if place == 0 else third if place == 1 else second if place == 2 else inner


@triton.jit
def planes(
    one,
    other,
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
    high: tl.constexpr,
    wide: tl.constexpr,
    channels: tl.constexpr,
    kind: tl.constexpr,
    mix: tl.constexpr,
    across: tl.constexpr,
    down: tl.constexpr,
    step: tl.constexpr,
    shift: tl.constexpr,
    block: tl.constexpr,
):
    """Write the planes ``height`` by ``width`` of views ``[high, wide, C]``, packed as ``kind`` says.

    ``step`` is from one value of chroma to the next. ``outer`` to ``inner`` are the weights of eight lines
    from the ends to the middle.
    """
    line, place = tl.program_id(0).to(tl.int64), tl.program_id(1) * block + tl.arange(0, block)
    inside = place < width // across
    for row in tl.static_range(0, down):
        for column in tl.static_range(0, across):
            down_to, right_to = line * down + row, place * across + column
            red, green, blue = _colors(one, other, mix, down_to, right_to, high, wide, channels, kind, inside)
            bright = red * own_red + green * own_green + blue * own_blue
            _store(luma + down_to * width + right_to, bright + black, white, shift, inside)
    all_red, all_green, all_blue = (
        tl.full([block], 0.0, tl.float32),
        tl.full([block], 0.0, tl.float32),
        tl.full([block], 0.0, tl.float32),
    )
    taps: tl.constexpr = 8 if down == 2 else 1
    for tap in tl.static_range(0, taps):
        weight = _weight(tap if tap < 4 else 7 - tap, outer, third, second, inner) if down == 2 else 1.0
        down_to = tl.minimum(tl.maximum(2 * line + tap - 3, 0), height - 1) if down == 2 else line
        for column in tl.static_range(0, across):
            red, green, blue = _colors(
                one, other, mix, down_to, place * across + column, high, wide, channels, kind, inside
            )
            all_red += red * (weight / across)
            all_green += green * (weight / across)
            all_blue += blue * (weight / across)
    to = (line * (width // across) + place) * step
    code = all_red * blue_red + all_green * blue_green + all_blue * blue_blue + middle
    _store(blue_plane + to, code, white, shift, inside)
    code = all_red * red_red + all_green * red_green + all_blue * red_blue + middle
    _store(red_plane + to, code, white, shift, inside)
