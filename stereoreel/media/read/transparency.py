"""Transparent files: how to find them, how to decode them, and their frames over a colour."""

from __future__ import annotations

import av
import numpy as np
from PIL import ImageColor

# FFmpeg's own decoders of these ignore the alpha that WebM and MKV keep beside the packets
WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
PALETTES = ("png", "apng")  # codecs of which a palette may be transparent
TRANSPARENT = "transparent"  # the background that is kept
UNUSED = ("rawvideo", "bmp")  # codecs in AVI whose fourth byte is padding, mostly zero


def alpha_decoder(stream) -> str:
    """Return the decoder that reads a stream's alpha; empty if it is the stream's own, or there is none."""
    name = WITH_ALPHA.get(stream.codec_context.name, "")
    return name if name in av.codecs_available and stream.metadata.get("alpha_mode") == "1" else ""


def has_alpha(container, stream, frame: av.VideoFrame) -> bool:
    """Whether the frames of a stream may have transparent parts, by the format of the first one."""
    codec = stream.codec_context.name
    if alpha_decoder(stream):
        return True
    if container.format.name == "avi" and codec in UNUSED:
        return False
    if frame.format.has_palette:
        return codec in PALETTES
    return any(component.is_alpha for component in frame.format.components)


def is_transparent(frame: av.VideoFrame) -> bool:
    """Whether any pixel of a frame is not opaque."""
    planes = frame.reformat(format="gbrap").planes
    return bool(
        np.frombuffer(memoryview(planes[3]), np.uint8).reshape(frame.height, -1)[:, : frame.width].min() < 255
    )


def parse_color(text: str) -> tuple[float, float, float]:
    """Return red, green and blue, 0..1, of a name of CSS or ``#rrggbb``; raise ValueError for other text.

    ``transparent`` is black, as in CSS.
    """
    try:
        red, green, blue = ImageColor.getrgb("black" if text == TRANSPARENT else text.strip())[:3]
    except ValueError:
        raise ValueError(
            f"background must be a colour such as black, orange or #20c040, or transparent, not {text!r}."
        ) from None
    return red / 255, green / 255, blue / 255


def over(planes: list[np.ndarray], alpha: np.ndarray, color: list[float]) -> list[np.ndarray]:
    """Return planes ``[H, W]`` of integers over a colour in their codes; ``alpha`` is 0..1."""
    return [
        np.rint(plane * alpha + code * (1 - alpha)).astype(plane.dtype) for plane, code in zip(planes, color)
    ]
