"""Sampled windows: short runs of frames spread over a clip, each kept as a few small arrays.

Files are read as they are coded, neither deinterlaced nor converted to RGB; other clips are pulled.
"""

from __future__ import annotations

import functools
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

import numpy as np
from torch import Tensor

from ...core.clip import Clip
from ...core.excerpt import Spans, evenly_spaced, select_frames
from ...core.host import Host
from ...core.pull import pull
from ...image.flow import flow
from .luma_source import LumaSource, Planes

# width and height sampled pixel by pixel; of a larger frame each window shows another part
CROP = 1280, 720
SMALL = 384  # pixels: longer side of the reduced frame, for motion
# of the part, in halves of the remaining space
PLACES = (1, 1), (0, 0), (2, 2), (2, 0), (0, 2), (1, 0), (1, 2), (0, 1), (2, 1)
# times the samples: a clip up to this length is sampled completely, because a cut in a gap would be missed
WHOLE = 1.25
GRID = 16  # pixels: the largest block of common codecs, at whose edges a part begins
LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)  # of BT.709


@dataclass(frozen=True)
class Window:
    """Consecutive frames from number ``start`` on, in levels of 255, float32.

    ``luma`` and ``noise`` ``[T, h, w]`` are a part of the frames as coded, from ``origin`` (y, x), aligned to
    blocks of 16, of the ``full`` height and width; ``small`` ``[T, h', w']`` is all of the frames, reduced to
    ``scale`` of their size. ``carried``: the first frame was the last window's last. ``repeated`` are the
    numbers of frames that could not be decoded and repeat the previous one.
    """

    start: int
    carried: bool
    luma: np.ndarray
    noise: np.ndarray
    small: np.ndarray
    scale: float
    origin: tuple[int, int]
    full: tuple[int, int]
    repeated: frozenset[int] = frozenset()

    @functools.cached_property
    def gray(self) -> np.ndarray:
        """``small`` as uint8."""
        return np.clip(self.small + 0.5, 0, 255).astype(np.uint8)

    @functools.cached_property
    def motion(self) -> list[np.ndarray]:
        """Return each pixel's motion to the next frame, ``[h', w', 2]`` in pixels of ``small``."""
        return [flow(a, b) for a, b in zip(self.gray, self.gray[1:])]

    @functools.cached_property
    def back(self) -> list[np.ndarray]:
        """Return the same from each frame but the first to the previous one."""
        return [flow(b, a) for a, b in zip(self.gray, self.gray[1:])]

    @property
    def own(self) -> int:
        """The first frame that no earlier window contains."""
        return int(self.carried)


def sample_spans(frames: int, samples: int, window: int) -> Spans:
    """Return ``samples`` spans of ``window`` frames in the middles of equal parts of a clip.

    Return all of a clip that is hardly longer than they are.
    """
    if frames <= WHOLE * samples * window:
        return [(start, min(start + window, frames)) for start in range(0, frames, window)]
    return [
        (middle - window // 2, middle - window // 2 + window) for middle in evenly_spaced(frames, samples)
    ]


def windows(clip: Clip, host: Host, spans: Spans) -> Generator[Window, None, None]:
    """Yield the windows of a clip at ``spans``, one in memory at a time."""
    source = LumaSource.of(clip)
    last: Planes | None = None
    with closing(source.planes(spans) if source else _pulled(clip, host, spans)) as frames:
        for index, (start, stop) in enumerate(spans):
            carried = last if index and spans[index - 1][1] == start else None
            shown = [] if carried is None else [_parts(carried, index)]
            repeated: set[int] = set()
            for number, last in enumerate(islice(frames, stop - start), start):
                shown.append(_parts(last, index))
                repeated |= {number} if last.repeated else set()
            if last is None or len(shown) == (carried is not None):
                return  # a file that ends early
            luma, noise, small = (np.stack(part) for part in zip(*shown))
            full, follows = last.luma.shape, carried is not None
            origin = tuple(edge.start for edge in _crop(full, index))
            yield Window(
                start - follows,
                follows,
                luma,
                noise,
                small,
                small.shape[2] / full[1],
                origin,
                full,
                frozenset(repeated),
            )
            host.tick(index + 1, len(spans))


def _pulled(clip: Clip, host: Host, spans: Spans) -> Generator[Planes, None, None]:
    """Yield the frames of a clip without a file (its left view), a chunk in memory at a time."""
    (part,) = select_frames([clip], [frame for span in spans for frame in range(*span)])
    with closing(pull(part, host)) as chunks:
        for (chunk,) in chunks:
            for frame in chunk[0] if chunk.ndim == 5 else chunk:
                yield _planes_of(frame)


def _planes_of(frame: Tensor) -> Planes:
    pixels = frame[..., :3].float().cpu().numpy()
    if pixels.shape[-1] < 3:
        return Planes(pixels[..., 0], pixels[..., 0], 0.0, 255.0)
    return Planes(pixels @ LUMA, pixels[..., 1], 0.0, 255.0)


def _parts(planes: Planes, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a part of both planes as coded, and all of the luma reduced, in levels of 255."""
    rows, columns = _crop(planes.luma.shape, index)
    luma = _levels(planes, planes.luma[rows, columns])
    noise = luma if planes.noise is planes.luma else _levels(planes, planes.noise[rows, columns])
    return luma, noise, _levels(planes, _reduced(planes.luma))


def _levels(planes: Planes, codes: np.ndarray) -> np.ndarray:
    return (codes.astype(np.float32) - planes.black) * planes.gain


def _crop(shape: tuple[int, int], index: int) -> tuple[slice, slice]:
    place = PLACES[index % len(PLACES)]
    edges = []
    for size, most, half in zip(shape, reversed(CROP), reversed(place)):
        start = max(0, size - most) * half // 2 // GRID * GRID
        edges.append(slice(start, min(size, start + most)))
    rows, columns = edges
    return rows, columns


def _reduced(plane: np.ndarray) -> np.ndarray:
    import cv2

    height, width = plane.shape
    shrink = SMALL / max(height, width)
    if shrink >= 1:
        return plane
    return cv2.resize(
        plane, (max(1, round(width * shrink)), max(1, round(height * shrink))), interpolation=cv2.INTER_AREA
    )
