"""A shot with exact truth, and clips in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import torch.nn.functional as F
from torch import Tensor

from stereoreel.core.clip import Clip, ClipInfo
from stereoreel.core.host import Host
from stereoreel.core.per_eye import TIME
from stereoreel.image.resize import resize

FPS = Fraction(25)
FACTOR = 2  # of size and of rate, from the source to the truth
DIVERGENCE = 3.0  # percent of the width, between both views


@dataclass(frozen=True)
class Truth:
    """The exact result for a shot: ``frames`` ``[2N, H, W, 3]`` and ``depth`` ``[2N, H, W, 1]``.

    The frames in ``scored`` also have both views, ``eyes`` ``[2, n, H, W, 3]``, and their depths
    ``[2, n, H, W]``. In the left view, depth 1 is ``DIVERGENCE / 2`` percent of the width further right.
    """

    name: str
    frames: Tensor
    depth: Tensor
    scored: slice
    eyes: Tensor
    eye_depths: Tensor

    @property
    def size(self) -> tuple[int, int]:
        return tuple(self.frames.shape[1:3])

    def source(self) -> Tensor:
        """Return every second frame at half the size; each pixel is the mean of four."""
        height, width = self.size
        return resize(self.frames[::FACTOR], height // FACTOR, width // FACTOR, "area")

    def depth_at(self, height: int, width: int, every: int = 1) -> Tensor:
        """Return the depth ``[T, height, width]`` of every ``every``-th frame, averaged over each pixel."""
        return resize(self.depth[::every], height, width, "area")[..., 0]

    def depth_on(self, height: int, width: int, every: int = 1) -> Tensor:
        """Return the same at the centres of pixels, with sharp edges."""
        return F.interpolate(self.depth[::every].movedim(-1, 1), (height, width), mode="nearest-exact")[:, 0]


class Kept:
    """A source of frames in memory, with one or two views; one shot."""

    def __init__(self, frames: Tensor, info: ClipInfo, label: str):
        self.frames, self.info, self.label = frames, info.replace(cuts=()), label

    def chunks(self, host: Host, frames: int) -> Iterator[Tensor]:
        yield from self.frames.split(frames, TIME)

    def part(self, start: int, stop: int) -> Kept:
        return Kept(
            self.frames.narrow(TIME, start, stop - start), self.info.replace(frames=stop - start), self.label
        )


def kept(frames: Tensor, label: str, fps: Fraction = FPS) -> Clip:
    """Return a tensor as a clip without cuts."""
    views = 2 if frames.ndim == 5 else 1
    count, height, width, channels = frames.shape[-4:]
    return Clip(Kept(frames, ClipInfo(width, height, fps, count, channels=channels, views=views), label))


def all_frames(clip: Clip) -> Tensor:
    """Return the frames of a kept clip."""
    return clip.maker.frames


def area(clip: Clip) -> int:
    """Return the number of pixels of all frames of a clip."""
    info = clip.info
    return info.width * info.height * info.frames * info.views
