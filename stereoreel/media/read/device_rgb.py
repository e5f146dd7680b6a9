"""Decoded planes as they are in the file, which a GPU converts to RGB: half the bytes, and no work here."""

from __future__ import annotations

from typing import NamedTuple

import av
import numpy as np
import torch
from torch import Tensor

from .. import colour
from ..yuv import PlaneFormat, from_planes
from .file_facts import FileFacts


class PlaneBlock(NamedTuple):
    """The planes of frames ``[T, N]``, one after the other, and what they mean."""

    values: Tensor
    form: PlaneFormat


class PlaneReader:
    """Keep the planes of frames of one ``size``, before rotation, that need neither scaling nor blending.

    A file that is not ``plain`` has none: its frames are transparent, pictures, or light.
    """

    def __init__(self, facts: FileFacts, size: tuple[int, int]):
        self._width, self._height = size if facts.rotation % 180 == 0 else size[::-1]
        self.plain = facts.views is None and not (facts.alpha or facts.pictures or facts.is_float)
        self._bits = facts.bit_depth if self.plain else 0
        self._space = colour.to_rgb(facts.color, facts.full_range)["src_colorspace"]
        self._full = facts.full_range

    def form_of(self, frame: av.VideoFrame) -> PlaneFormat | None:
        """Return what the planes of a frame mean; None if it must be converted here."""
        form = PlaneFormat.named(frame.format.name)
        if form is None or form.bits != self._bits:
            return None
        whole = self._width % form.across == 0 and self._height % form.down == 0
        return form if whole and (frame.width, frame.height) == (self._width, self._height) else None

    def empty(self, frames: int, form: PlaneFormat, pin: bool) -> Tensor:
        """Return memory for frames."""
        return torch.empty(frames, form.count(self._height, self._width), dtype=form.dtype, pin_memory=pin)

    def into(self, values: Tensor, frame: av.VideoFrame, form: PlaneFormat) -> None:
        """Write the planes of one frame ``[N]``."""
        for plane, place in zip(frame.planes, form.planes(values, self._height, self._width)):
            target = place.view(len(place), -1).numpy()
            rows = np.frombuffer(memoryview(plane), target.dtype).reshape(plane.height, -1)
            target[:] = rows[: len(target), : target.shape[1]]

    def rgb(self, block: PlaneBlock, device: torch.device) -> Tensor:
        """Return the frames ``[T, H, W, 3]``, float32 in 0..1, on a device."""
        values = block.values.to(device, non_blocking=True)
        frames = values.new_empty(len(values), self._height, self._width, 3, dtype=torch.float32)
        for planes, frame in zip(values, frames):
            from_planes(planes, self._space, block.form, self._full, frame)
        return frames
