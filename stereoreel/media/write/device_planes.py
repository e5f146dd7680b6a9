"""Frames of an encoder, made on a GPU: half the bytes of RGB cross the bus, and the GPU goes on meanwhile."""

from __future__ import annotations

import av
import numpy as np
from torch import Tensor

from ...image.host_copy import Download
from ..yuv import PlaneFormat, to_planes

SHARED = ("yuv420p", "nv12")  # whose planes PyAV takes in memory that holds one after the other
ROWS = 4  # of which the height is a multiple, for PyAV to find the planes of those


class DevicePlanes:
    """The planes of one frame ``[H, W, C]``, 0..1, on their way to the host.

    ``space`` is swscale's number of the colour space of ``format``.
    """

    def __init__(self, frame: Tensor, space: int, form: PlaneFormat, format: str):
        self._height, self._width = frame.shape[:2]
        self._form, self._format = form, format
        self._values = Download(to_planes(frame, space, form))

    def frame(self) -> av.VideoFrame:
        """Wait for the planes; return them as a frame, without a copy if possible."""
        values = self._values.wait()
        if self._format in SHARED and self._height % ROWS == 0:
            rows = values.numpy().reshape(-1, self._width)
            return av.VideoFrame.from_numpy_buffer(rows, format=self._format)
        made = av.VideoFrame(self._width, self._height, self._format)
        for plane, given in zip(made.planes, self._form.planes(values, self._height, self._width)):
            numbers = given.reshape(len(given), -1).numpy()
            rows = np.frombuffer(memoryview(plane), numbers.dtype).reshape(len(given), -1)
            rows[:, : numbers.shape[1]] = numbers
        return made
