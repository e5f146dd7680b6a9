"""Decode numbered pictures, a few at a time in threads, as the frames of a clip."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import av
import av.error
import numpy as np

from ...core import cancel
from ...image.transfer import srgb_from_linear
from .container import open_media
from .image_files import image_size

THREADS = min(4, os.cpu_count() or 1)
IN_A_CONTAINER = (".avif", ".heic", ".heif")  # the others are one packet
FLOATS = {"gbrpf": (2, 0, 1), "gbrapf": (2, 0, 1), "grayf": (0, 0, 0)}  # where red, green and blue are
BRIGHTEST = 65504.0  # the largest number of half precision, which takes the place of infinity


def check_sizes(files: Sequence[Path], name: str) -> None:
    """Raise ValueError if the pictures have several sizes; only their headers are read."""
    first = image_size(files[0])
    for file in files[1:]:
        cancel.check()
        size = image_size(file)
        if first and size and size != first:
            raise ValueError(
                f"{name}: {file.name} has {size[0]} x {size[1]} pixels, but {files[0].name} has "
                f"{first[0]} x {first[1]}. Resize it, or name pictures of one size."
            )


def picture_frames(
    files: Sequence[Path], codec: str, size: tuple[int, int], lost: Callable[[], None]
) -> Generator[av.VideoFrame, None, None]:
    """Yield one frame for each file. One that cannot be decoded repeats the frame before it, or the next.

    ``lost`` is called for each of these. Raise ValueError for a frame of another size.
    """
    held, leading = None, 0
    for file, frame in _ahead(files, codec):
        if frame is None:
            lost()
            leading += held is None
        elif (frame.width, frame.height) != size:
            raise ValueError(
                f"{file.name} has {frame.width} x {frame.height} pixels, but the clip has {size[0]} x "
                f"{size[1]}. Resize it, or name pictures of one size."
            )
        else:
            yield from [frame] * leading
            held, leading = frame, 0
        if held is not None:
            yield held


def _ahead(files: Sequence[Path], codec: str) -> Iterator[tuple[Path, av.VideoFrame | None]]:
    waiting: deque[tuple[Path, Future]] = deque()
    rest = iter(files)
    with ThreadPoolExecutor(THREADS, thread_name_prefix="stereoreel-picture") as workers:
        try:
            for file in islice(rest, THREADS):
                waiting.append((file, workers.submit(decode_picture, file, codec)))
            while waiting:
                file, future = waiting.popleft()
                frame = cancel.wait_result(future)
                if (following := next(rest, None)) is not None:
                    waiting.append((following, workers.submit(decode_picture, following, codec)))
                yield file, frame
        finally:
            for _, future in waiting:
                future.cancel()


def decode_picture(file: Path, codec: str) -> av.VideoFrame | None:
    """Return the picture in a file; None if it cannot be decoded or read."""
    try:
        if file.suffix.lower() in IN_A_CONTAINER:
            with open_media(file) as container:
                return next(container.decode(video=0), None)
        decoder = av.VideoCodecContext.create(codec, "r")
        assert isinstance(decoder, av.VideoCodecContext)
        decoder.thread_count = 1
        frames = [*decoder.decode(av.Packet(file.read_bytes())), *decoder.decode(None)]
    except (av.error.FFmpegError, OSError, ValueError, EOFError):
        return None
    return frames[0] if frames and isinstance(frames[0], av.VideoFrame) else None


def is_float(pix_fmt: str) -> bool:
    """Whether pixels are floats, which hold linear light in the formats that have them."""
    return pix_fmt.startswith(tuple(FLOATS))


def float_pixels(frame: av.VideoFrame) -> np.ndarray:
    """Return a float frame as ``[H, W, 3]`` float32, finite, without alpha."""
    name = frame.format.name
    kind = np.dtype(f"{'>' if name.endswith('be') else '<'}f{frame.format.components[0].bits // 8}")
    planes = [
        np.frombuffer(memoryview(plane), kind).reshape(plane.height, -1)[:, : frame.width]
        for plane in frame.planes
    ]
    places = next(places for start, places in FLOATS.items() if name.startswith(start))
    pixels = np.stack([planes[place] for place in places], -1).astype(np.float32)
    return np.nan_to_num(pixels, copy=False, nan=0.0, posinf=BRIGHTEST, neginf=-BRIGHTEST)


def displayed(frame: av.VideoFrame) -> av.VideoFrame:
    """Return a float frame as a display shows it, with 8 bits."""
    pixels = srgb_from_linear(float_pixels(frame).clip(0, 1))
    return av.VideoFrame.from_ndarray((pixels * 255 + 0.5).astype(np.uint8), format="rgb24")
