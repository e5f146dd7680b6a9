"""Make a frame's planes on a GPU in one pass over its pixels, packing two views on the way."""

from __future__ import annotations

from ..image.fused import device_of, operation

BLOCK = 128  # values of chroma of a program


@operation(
    "yuv_planes(Tensor one, Tensor other, Tensor(a!) values, int height, int width, int kind, float[] mix, "
    "float own_red, float own_green, float own_blue, "
    "float blue_red, float blue_green, float blue_blue, float red_red, float red_green, float red_blue, "
    "int black, int middle, int bits, int across, int down, bool joined, int shift, "
    "float outer, float third, float second, float inner)"
)
def yuv_planes(
    one, other, values, height, width, kind, mix, own_red, own_green, own_blue, blue_red, blue_green,
    blue_blue, red_red, red_green, red_blue, black, middle, bits, across, down, joined, shift, outer, third,
    second, inner,
):  # fmt: skip
    """Write the planes, one after the other, of views ``[H, W, C]`` into ``values``.

    ``height`` and ``width`` are those of the luma. ``kind`` is how the views are packed, and ``mix`` by which
    weights they are mixed; see ``layouts.arrangement``.
    """
    import triton

    from .yuv_kernel import planes

    high, wide, channels = one.shape
    columns, rows = width // across, height // down
    luma, chroma = values[: height * width], values[height * width :]
    with device_of(one):
        planes[(rows, triton.cdiv(columns, BLOCK))](
            one, other, luma, chroma, chroma[1:] if joined else chroma[rows * columns :], own_red, own_green,
            own_blue, black, blue_red, blue_green, blue_blue, red_red, red_green, red_blue, middle,
            (1 << bits) - 1, outer, third, second, inner, height, width, high, wide, channels, kind,
            tuple(mix) or None, across, down, 2 if joined else 1, shift, BLOCK,
        )  # fmt: skip
