"""Colour tags of files, and the swscale arguments that correspond to them, for decoding and encoding.

A wrong matrix shifts colours by up to 24 of 255, so every conversion names its matrix.
"""

from __future__ import annotations

import warnings

import av

from ..core.clip import Color

BT709, BT2020 = Color(1, 1, 1), Color(9, 14, 9)
LINEAR = Color(1, 8, 1)  # light itself, in the primaries of BT.709
BT601_525, BT601_625 = Color(6, 6, 6), Color(5, 6, 6)

SPACES = {"sRGB": Color(1, 13, 1), "HDR": Color(9, 18, 9), "HDR PQ": Color(9, 16, 9)}  # ComfyUI's names
SPACE_OF_TRANSFER = {1: "sRGB", 13: "sRGB", 18: "HDR", 16: "HDR PQ"}

LIMITED, FULL = 1, 2  # AVColorRange
SDR_PRIMARIES, SDR_TRANSFERS = (1, 5, 6, 7), (1, 4, 5, 6, 7, 13, 15)
UNSPECIFIED = 2  # primaries, transfer and matrix of H.273 that the writer left out
UNTAGGED = Color(UNSPECIFIED, UNSPECIFIED, UNSPECIFIED)
HD_LINES, HD_WIDTH = 720, 1280  # an untagged frame this large is BT.709

SWSCALE_MATRIX = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}  # matrix of H.273 -> swscale's colour space
MATRIX_OF_PRIMARIES = {1: 1, 4: 4, 5: 6, 6: 6, 7: 7, 9: 9}
PRIMARIES_OF_MATRIX = {1: 1, 4: 4, 5: 5, 6: 6, 7: 7, 9: 9, 10: 9}
TRANSFER_OF_MATRIX = {1: 1, 4: 6, 5: 6, 6: 6, 7: 7, 9: 14, 10: 14}

# Bicubic, exact rounding, chroma at full width. swscale's default path is off by 3 of 255 and repeats chroma
# samples. These are numbers of SwsFlags because older PyAV has no names for the last two.
PRECISE = 4 | 0x40000 | 0x2000
THUMBNAIL = 32  # area averaging

KNOWS_2020 = 18  # the first PyAV that passes the BT.2020 matrix to swscale

RGBA_8, RGBA_16 = "gbrap", "gbrap16le"
RGB_8, RGB_16 = "gbrp", "gbrp16le"  # planar: swscale's exact path to packed RGB is twice as slow


def resolve(primaries: int, transfer: int, matrix: int, width: int, height: int, rgb: bool = False) -> Color:
    """Return a complete ``Color`` from a file's tags (2: unspecified), coded size and pixel type.

    Missing tags are derived from those present. Without any tag, a height of 720 pixels or more (or a width
    of 1280 or more, the film formats) means BT.709, less means BT.601. RGB pixels get the matrix that YUV
    converted from them should have.
    """
    guess = (
        BT709
        if rgb or height >= HD_LINES or width >= HD_WIDTH
        else BT601_625
        if height in (288, 576)
        else BT601_525
    )
    if rgb or matrix not in SWSCALE_MATRIX:
        matrix = MATRIX_OF_PRIMARIES.get(primaries, guess.matrix)
    if not _stated(primaries):
        primaries = guess.primaries if matrix == guess.matrix else PRIMARIES_OF_MATRIX[matrix]
    return Color(primaries, transfer if _stated(transfer) else TRANSFER_OF_MATRIX[matrix], matrix)


def is_sdr(color: Color) -> bool:
    """Whether colours are those of ordinary screens, so that files may leave them out."""
    return color.primaries in SDR_PRIMARIES and color.transfer in SDR_TRANSFERS


def to_rgb(color: Color, full_range: bool) -> dict[str, int]:
    """Return the arguments of ``VideoReformatter.reformat`` for decoding: YUV to full-range RGB."""
    matrix = _known(SWSCALE_MATRIX[color.matrix])
    return {
        "src_colorspace": matrix,
        "dst_colorspace": _another(matrix),
        "src_color_range": FULL if full_range else LIMITED,
        "dst_color_range": FULL,
        "interpolation": PRECISE,
    }


def to_gray(color: Color, full_range: bool) -> dict[str, int]:
    """Return the arguments of ``VideoReformatter.reformat`` for small grey frames."""
    return {
        **to_rgb(color, full_range),
        "dst_colorspace": SWSCALE_MATRIX[color.matrix],
        "interpolation": THUMBNAIL,
    }


def from_rgb(color: Color, full_range: bool = False) -> dict[str, int]:
    """Return the arguments of ``VideoReformatter.reformat`` for encoding: full-range RGB to YUV."""
    matrix = _known(SWSCALE_MATRIX.get(color.matrix, SWSCALE_MATRIX[BT709.matrix]))
    return {
        "src_colorspace": _another(matrix),
        "dst_colorspace": matrix,
        "src_color_range": FULL,
        "dst_color_range": FULL if full_range else LIMITED,
        "interpolation": PRECISE,
    }


def _known(matrix: int) -> int:
    if matrix == 9 and int(av.__version__.split(".")[0]) < KNOWS_2020:
        warnings.warn(
            f"PyAV {av.__version__} treats BT.2020 as BT.601, which shifts colours. "
            f"Install PyAV {KNOWS_2020} or newer.",
            stacklevel=3,
        )
    return matrix


def _another(matrix: int) -> int:
    """Return a matrix for the RGB side, which does not use it.

    It differs from ``matrix`` because PyAV before 18 ignores the ranges if both sides name the same one.
    """
    return 1 if matrix != 1 else 5


def white_of_16_bits(bit_depth: int, full_range: bool) -> int:
    """Return the code of white in swscale's 16-bit RGB, for reading and writing.

    swscale shifts a source's bits up and leaves the low bits zero.
    """
    bits = min(bit_depth, 16) if full_range else 8
    return ((1 << bits) - 1) << (16 - bits)


def tag(target, color: Color, full_range: bool = False) -> None:
    """Write the tags on a frame or on an encoder's codec context.

    Both need them. Frames accept them from PyAV 17 on.
    """
    if not hasattr(target, "color_trc"):
        return
    target.color_primaries, target.color_trc, target.colorspace = (
        color.primaries,
        color.transfer,
        color.matrix,
    )
    target.color_range = FULL if full_range else LIMITED


def _stated(code: int) -> bool:
    return code not in (0, UNSPECIFIED, 3)  # 0 and 3 are reserved
