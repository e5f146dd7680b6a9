"""Decoded planes as they are in the file: half the bytes, and no work here.

A GPU converts them to RGB, or an encoder takes them.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import NamedTuple

import av
import numpy as np
import torch
from av.video.reformatter import VideoReformatter
from torch import Tensor

from .. import colour
from ..plane_frames import PlaneFrames, store
from ..yuv import PlaneFormat, from_planes
from .file_facts import FileFacts

PROBE = 32  # pixels: the sides of a picture that shows where swscale takes chroma to be
EDGE = 6  # of them, where its filter is another
SAME = 1.5 / 255
PLACES = (0.5, 0.0, 1.0)  # of chroma, among two pixels


class PlaneBlock(NamedTuple):
    """The planes of frames ``[T, N]``, one after the other, and what they mean."""

    values: Tensor
    form: PlaneFormat


class PlaneReader:
    """Keep the planes of frames of one ``size``, before rotation, that need neither scaling nor blending.

    A file that is not ``plain`` has none: its frames are transparent, pictures, or light. With ``wanted`` all
    frames become such, if the stream changes too.
    """

    def __init__(self, facts: FileFacts, size: tuple[int, int], wanted: PlaneFrames | None = None):
        self._width, self._height = size if facts.rotation % 180 == 0 else size[::-1]
        self.plain = facts.views is None and not (facts.alpha or facts.pictures or facts.is_float)
        self._bits = facts.bit_depth if self.plain else 0
        self._arguments = colour.to_rgb(facts.color, facts.full_range)
        self._space = self._arguments["src_colorspace"]
        self._full = facts.full_range
        self._forms: dict[tuple[str, bool], PlaneFormat | None] = {}
        self._wanted, self._swscale = wanted, VideoReformatter()

    def form_of(self, frame: av.VideoFrame) -> PlaneFormat | None:
        """Return what the planes of a frame mean; None if it must be converted here."""
        return self._wanted.form if self._wanted else self._own(frame)

    def _own(self, frame: av.VideoFrame) -> PlaneFormat | None:
        form = PlaneFormat.named(frame.format.name)
        if form is None or form.bits != self._bits:
            return None
        whole = self._width % form.across == 0 and self._height % form.down == 0
        if not whole or (frame.width, frame.height) != (self._width, self._height):
            return None
        if (kind := (frame.format.name, frame.interlaced_frame)) not in self._forms:
            self._forms[kind] = self._sited(frame, form)
        return self._forms[kind]

    def _sited(self, frame: av.VideoFrame, form: PlaneFormat) -> PlaneFormat | None:
        """Return the format with chroma where swscale takes that of the frame to be; None if nowhere here.

        PyAV has no name for the place, but a resized frame keeps it. So swscale converts noise in such a
        frame, which shows the place, and whether lines of two fields are kept apart.
        """
        swscale = VideoReformatter()
        probe = swscale.reformat(frame, PROBE, PROBE, frame.format.name, **self._same())
        if probe is frame:  # of the same size
            probe = swscale.reformat(frame, PROBE + 2, PROBE + 2, frame.format.name, **self._same())
        height, width = probe.height, probe.width
        values = torch.empty(form.count(height, width), dtype=form.dtype)
        noise, low, high = np.random.default_rng(0), int(0.4 * (1 << form.bits)), int(0.6 * (1 << form.bits))
        for plane, place in zip(probe.planes, form.planes(values, height, width)):
            target = place.view(len(place), -1).numpy()
            target[:] = noise.integers(low, high, target.shape) << form.shift
            rows = np.frombuffer(memoryview(plane), target.dtype).reshape(plane.height, -1)
            rows[:, : target.shape[1]] = target
        deep = form.bits > 8
        made = swscale.reformat(probe, format=colour.RGB_16 if deep else colour.RGB_8, **self._arguments)
        kind, white = (np.uint16, colour.white_of_16_bits(form.bits, self._full)) if deep else (np.uint8, 255)
        planes = [np.frombuffer(memoryview(plane), kind).reshape(height, -1) for plane in made.planes]
        green, blue, red = (torch.from_numpy(plane[:, :width] / np.float32(white)) for plane in planes)
        wanted, found = torch.stack([red, green, blue], -1), torch.empty(height, width, 3)
        for siting in product(
            PLACES if form.across == 2 else PLACES[:1], PLACES if form.down == 2 else PLACES[:1]
        ):
            sited = replace(form, siting=siting)
            from_planes(values, self._space, sited, self._full, found)
            apart = (found - wanted.clamp(0, 1))[EDGE:-EDGE, EDGE:-EDGE]
            if float(apart.abs().max()) <= SAME:
                return sited
        return None

    def _same(self) -> dict[str, int]:
        """Return swscale's arguments for another size in the same colours."""
        side = {"colorspace": self._space, "color_range": self._arguments["src_color_range"]}
        return {f"{end}_{name}": value for end in ("src", "dst") for name, value in side.items()}

    def empty(self, frames: int, form: PlaneFormat, pin: bool) -> Tensor:
        """Return memory for frames."""
        return torch.empty(frames, form.count(self._height, self._width), dtype=form.dtype, pin_memory=pin)

    def into(self, values: Tensor, frame: av.VideoFrame, form: PlaneFormat) -> None:
        """Write the planes of one frame ``[N]``."""
        if self._wanted and self._own(frame) != form:
            how = {**self._same(), "interpolation": colour.PRECISE}
            frame = self._swscale.reformat(frame, self._width, self._height, self._wanted.format, **how)
        store(frame, form, values)

    def rgb(self, block: PlaneBlock, device: torch.device) -> Tensor:
        """Return the frames ``[T, H, W, 3]``, float32 in 0..1, on a device."""
        values = block.values.to(device, non_blocking=True)
        frames = values.new_empty(len(values), self._height, self._width, 3, dtype=torch.float32)
        for planes, frame in zip(values, frames):
            from_planes(planes, self._space, block.form, self._full, frame)
        return frames
