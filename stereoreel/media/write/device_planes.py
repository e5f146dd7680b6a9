"""Frames of an encoder, made where their colours are: half the bytes of RGB cross the bus or are written.

A GPU goes on meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence

import av
import numpy as np
import torch
from torch import Tensor

from ...image import native
from ...image.host_copy import Download
from ..layouts.arrangement import Arrangement
from ..yuv import PlaneFormat, to_planes

LARGE = 1 << 18  # pixels from which loading compiled code pays
SHARED = ("yuv420p", "nv12")  # whose planes PyAV takes in memory that holds one after the other
ROWS = 4  # of which the height is a multiple, for PyAV to find the planes of those


class DevicePlanes:
    """The planes of one frame ``[H, W, C]``, 0..1, or of two views to be packed, on their way to the host.

    ``space`` is swscale's number of the colour space of ``format``. ``size`` (height and width) may be one
    more than the frame's.
    """

    def __init__(
        self,
        frame: Tensor | Arrangement,
        space: int,
        form: PlaneFormat,
        format: str,
        size: tuple[int, int] | None = None,
    ):
        self._height, self._width = size or (frame.shape[:2] if isinstance(frame, Tensor) else frame.size)
        self._form, self._format = form, format
        self._values = Download(to_planes(frame, space, form, size=(self._height, self._width)))

    def frame(self) -> av.VideoFrame:
        """Wait for the planes; return them as a frame, without a copy if possible."""
        return frame_of(self._values.wait(), self._width, self._height, self._form, self._format)


class HostPlanes:
    """The planes of one frame, uint8, of panes ``[H, W, 3]`` next to each other, float32 on the CPU.

    They are made at once, by compiled code: without numba ``available`` is false.
    """

    FORMAT = "yuv420p"

    def __init__(self, panes: Sequence[Tensor], space: int):
        from ..compiled_yuv import planes_of

        self._height, self._width = len(panes[0]), sum(pane.shape[1] for pane in panes)
        self._values = torch.from_numpy(planes_of([pane.numpy() for pane in panes], space))

    @classmethod
    def available(cls, panes: Sequence[Tensor], size: tuple[int, int], format: str) -> bool:
        """Whether they can be made of these panes, and the frame is so large that it pays."""
        shapes = [pane.shape for pane in panes]
        return (
            format == cls.FORMAT
            and size[0] * size[1] >= LARGE
            and size == (sum(width for _, width, _ in shapes), shapes[0][0])
            and all(width % 2 == 0 and channels == 3 for _, width, channels in shapes)
            and all(pane.device.type == "cpu" and pane.dtype == torch.float32 for pane in panes)
            and native.enabled()
        )

    def frame(self) -> av.VideoFrame:
        """Return the planes as a frame, without a copy if possible."""
        form = PlaneFormat.named(self.FORMAT)
        assert form
        return frame_of(self._values, self._width, self._height, form, self.FORMAT)


class GivenPlanes:
    """The planes of one frame, made already: ``values`` ``[N]`` hold one after the other."""

    def __init__(self, values: Tensor, width: int, height: int, format: str):
        self._values, self._width, self._height, self._format = values, width, height, format

    def frame(self) -> av.VideoFrame:
        """Return the planes as a frame, without a copy if possible."""
        form = PlaneFormat.named(self._format)
        assert form
        return frame_of(self._values, self._width, self._height, form, self._format)


def frame_of(values: Tensor, width: int, height: int, form: PlaneFormat, format: str) -> av.VideoFrame:
    """Return planes that lie one after the other as a frame, without a copy if possible."""
    if format in SHARED and height % ROWS == 0:
        return av.VideoFrame.from_numpy_buffer(values.numpy().reshape(-1, width), format=format)
    made = av.VideoFrame(width, height, format)
    for plane, given in zip(made.planes, form.planes(values, height, width)):
        numbers = given.reshape(len(given), -1).numpy()
        rows = np.frombuffer(memoryview(plane), numbers.dtype).reshape(len(given), -1)
        rows[:, : numbers.shape[1]] = numbers
    return made
