"""Read with Pillow the animated images that FFmpeg does not split: WebP, and GIF without delays."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from PIL import Image, ImageSequence

from ...core import cancel

ANIMATED = 2  # a bit of the first byte of WebP's VP8X
# milliseconds, as in browsers, which show a frame with a shorter delay for this long
SHORTEST, INSTEAD = 11, 100


class Animation(NamedTuple):
    """An animated image: size, whether it has alpha, and each frame's start in milliseconds, then the end."""

    width: int
    height: int
    alpha: bool
    times: tuple[int, ...]


def is_animated_webp(path: str | os.PathLike) -> bool:
    with open(path, "rb") as file:
        head = file.read(21)
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and bool(head[20] & ANIMATED)


def read_animation(path: str | os.PathLike) -> Animation:
    """Return the facts of an animated image; raise ValueError if it cannot be read."""
    with _opened(path) as image:
        delays = _webp_delays(path) if image.format == "WEBP" else _delays(image)
        times = [0]
        for delay in delays:
            times.append(times[-1] + (delay if delay >= SHORTEST else INSTEAD))
        alpha = image.has_transparency_data or image.format == "GIF"
        return Animation(*image.size, alpha, tuple(times))


def animation_frames(path: str | os.PathLike, first: int, stop: int) -> Iterator[av.VideoFrame]:
    """Yield the frames ``first`` to ``stop`` - 1, composed as a browser shows them."""
    with _opened(path) as image:
        alpha = "A" if image.has_transparency_data or image.format == "GIF" else ""
        for number in range(first, stop):
            cancel.check()
            try:
                image.seek(number)
                pixels = np.asarray(image.convert("RGB" + alpha))
            except (EOFError, OSError, SyntaxError):
                return
            yield av.VideoFrame.from_ndarray(pixels, format="rgba" if alpha else "rgb24")


@contextmanager
def _opened(path: str | os.PathLike) -> Iterator[Image.Image]:
    try:
        image = Image.open(path)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise ValueError(
            f"{Path(path).name} has no frame that can be decoded. Check that the file is complete."
        ) from None
    with image:
        yield image


def _delays(image: Image.Image) -> list[int]:
    try:
        return [int(frame.info.get("duration", 0)) for frame in ImageSequence.Iterator(image)]
    except (OSError, SyntaxError):  # the file is truncated
        return [0] * (image.tell() + 1)


def _webp_delays(path: str | os.PathLike) -> Iterator[int]:
    """Yield the milliseconds for which each frame is shown, from the headers of the frames' chunks."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        place = 12
        while place + 24 <= size:
            file.seek(place)
            head = file.read(24)
            if head[:4] == b"ANMF":
                yield int.from_bytes(head[20:23], "little")
            length = struct.unpack_from("<I", head, 4)[0]
            place += 8 + length + length % 2
