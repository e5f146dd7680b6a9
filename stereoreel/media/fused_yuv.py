"""Make a frame's planes on a GPU in one pass over its pixels."""

from __future__ import annotations

from ..image.fused import device_of, operation

BLOCK = 128  # values of chroma of a program


@operation(
    "yuv_planes(Tensor frame, Tensor(a!) values, float own_red, float own_green, float own_blue, "
    "float blue_red, float blue_green, float blue_blue, float red_red, float red_green, float red_blue, "
    "int black, int middle, int bits, int across, int down, bool joined, int shift, "
    "float outer, float third, float second, float inner)"
)
def yuv_planes(
    frame, values, own_red, own_green, own_blue, blue_red, blue_green, blue_blue, red_red, red_green,
    red_blue, black, middle, bits, across, down, joined, shift, outer, third, second, inner,
):  # fmt: skip
    """Write the planes of ``frame`` ``[H, W, C]`` one after the other into ``values``."""
    import triton

    from .yuv_kernel import planes

    height, width, channels = frame.shape
    columns, rows = width // across, height // down
    luma, chroma = values[: height * width], values[height * width :]
    with device_of(frame):
        planes[(rows, triton.cdiv(columns, BLOCK))](
            frame, luma, chroma, chroma[1:] if joined else chroma[rows * columns :], own_red, own_green,
            own_blue, black, blue_red, blue_green, blue_blue, red_red, red_green, red_blue, middle,
            (1 << bits) - 1, outer, third, second, inner, height, width, channels, across, down,
            2 if joined else 1, shift, BLOCK,
        )  # fmt: skip
