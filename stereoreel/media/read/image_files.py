"""Facts of image files that are read from their headers, without decoding them."""

from __future__ import annotations

import os
import struct
from contextlib import suppress

from PIL import Image, UnidentifiedImageError

ORIENTATION = 0x0112  # EXIF's tag
TURNED = {  # its values: quarter turns clockwise, after mirroring left and right
    1: (0, False),
    2: (0, True),
    3: (2, False),
    4: (2, True),
    5: (3, True),
    6: (1, False),
    7: (1, True),
    8: (3, False),
}
EXR, DPX = b"\x76\x2f\x31\x01", {b"SDPX": ">", b"XPDS": "<"}
HEADER = 1 << 16  # bytes of an EXR file that are searched for its size


def exif_orientation(path: str | os.PathLike) -> tuple[int, bool] | None:
    """Return quarter turns clockwise, and whether to mirror left and right first; None if it is no image."""
    # Pillow raises SyntaxError, ValueError and others for corrupt EXIF data
    with suppress(OSError, SyntaxError, ValueError, TypeError, struct.error), Image.open(path) as image:
        return TURNED.get(image.getexif().get(ORIENTATION, 1), (0, False))
    return None


def image_size(path: str | os.PathLike) -> tuple[int, int] | None:
    """Return the displayed width and height of an image; None if its header cannot be read."""
    with open(path, "rb") as file:
        head = file.read(16)
        if head.startswith(EXR):
            return _exr_size(head + file.read(HEADER))
        if head[:4] in DPX:
            file.seek(772)
            return struct.unpack(DPX[head[:4]] + "2I", file.read(8))
    with (
        suppress(UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError),
        Image.open(path) as image,
    ):
        turned = image.format != "PNG" and TURNED.get(image.getexif().get(ORIENTATION), (0,))[0] % 2
        return image.size[::-1] if turned else image.size
    return None


def _exr_size(head: bytes) -> tuple[int, int] | None:
    """Return the size of the display window, the frame that an EXR file's pixels lie in."""
    place = head.find(b"displayWindow\0box2i\0")
    if place < 0:
        return None
    left, top, right, bottom = struct.unpack_from("<4i", head, place + 24)
    return right - left + 1, bottom - top + 1
