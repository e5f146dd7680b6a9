"""Decoded frames as exact RGB, over a colour where they are transparent."""

from __future__ import annotations

import re
import sys

import av
import numpy as np
import torch
from av.video.reformatter import VideoReformatter
from torch import Tensor

from ...image.resize import resize
from .. import colour
from .file_facts import FileFacts
from .pictures import float_pixels
from .transparency import over, parse_color

# what swscale would convert to YUV and back on its way to 16 bits
PLANAR_RGB = re.compile(rf"gbrp(9|1\d){sys.byteorder[0]}e")


class RgbConverter:
    """Convert decoded frames to blocks ``[T, H, W, 3]`` of RGB, before rotation.

    Values are uint8, the bits of uint16 for more than 8 bits, or float32 for float pixels. Transparent parts
    are shown over the colour ``background``, and noted; with ``opacity`` the values are those of the opacity
    instead.
    """

    def __init__(
        self, facts: FileFacts, size: tuple[int, int], background: str = "black", opacity: bool = False
    ):
        self._opacity = opacity
        self.width, self.height = size if facts.rotation % 180 == 0 else size[::-1]
        self._bits, self._full = facts.bit_depth, facts.full_range
        self._dtype = torch.float32 if facts.is_float else torch.int16 if self._bits > 8 else torch.uint8
        self.deep = self._dtype == torch.int16
        self.transparent = False
        self._format = colour.RGB_16 if self.deep else colour.RGB_8
        self._arguments = colour.to_rgb(facts.color, facts.full_range)
        self._swscale = VideoReformatter()
        self._alpha, self._numbered = facts.alpha, bool(facts.pictures)
        white = colour.white_of_16_bits(facts.bit_depth, facts.full_range) if self.deep else 255
        self._opaque = colour.white_of_16_bits(facts.bit_depth, True) if self.deep else 255
        self._white = white
        red, green, blue = parse_color(background)
        self._background = [green * white, blue * white, red * white]

    def _fits(self, frame: av.VideoFrame) -> bool:
        return (frame.width, frame.height) == (self.width, self.height)

    def empty(self, frames: int, pin: bool) -> Tensor:
        return torch.empty(frames, self.height, self.width, 3, dtype=self._dtype, pin_memory=pin)

    def into(self, block: np.ndarray, frame: av.VideoFrame) -> None:
        """Write one frame into ``block`` ``[H, W, 3]``."""
        import cv2

        if self._dtype == torch.float32:
            self._floats_into(block, frame)
            return
        bits, shift = max(component.bits for component in frame.format.components), 0
        # a later picture may have alpha, which the first one has not
        if self._alpha or (self._numbered and any(one.is_alpha for one in frame.format.components)):
            rgb = self._scaled(self._opaque_frame(frame), interpolation=colour.PRECISE)
        elif self.deep and PLANAR_RGB.fullmatch(frame.format.name) and self._fits(frame):
            rgb, shift = frame, 16 - bits
        else:
            rgb = self._scaled(frame, **self._arguments)
        green, blue, red = self._planes(rgb)
        numbers = block.view(green.dtype)
        cv2.merge([red, green, blue], numbers)
        if shift:
            np.left_shift(numbers, shift, out=numbers)
        if self.deep and bits != self._bits:  # a picture of another depth than the first
            levels = block.view(np.uint16).astype(np.float64) * (
                colour.white_of_16_bits(self._bits, self._full) / colour.white_of_16_bits(bits, self._full)
            )
            block.view(np.uint16)[:] = (levels + 0.5).clip(max=65535)

    def _floats_into(self, block: np.ndarray, frame: av.VideoFrame) -> None:
        pixels = torch.from_numpy(float_pixels(frame))
        if pixels.shape[:2] != block.shape[:2]:
            pixels = resize(pixels[None], self.height, self.width, clamp=False)[0]
        block[:] = pixels.numpy()

    def _scaled(self, frame: av.VideoFrame, **arguments) -> av.VideoFrame:
        return self._swscale.reformat(frame, self.width, self.height, self._format, **arguments)

    def _opaque_frame(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Return a frame over the background, at its own size, so that scaling mixes no hidden colour in."""
        format = colour.RGBA_16 if self.deep else colour.RGBA_8
        given = self._swscale.reformat(frame, format=format, **self._arguments)
        *planes, alpha = self._planes(given)
        if self._opacity:
            share = np.minimum(alpha / np.float32(self._opaque), 1)
            planes = [np.rint(share * self._white).astype(alpha.dtype)] * 3
        elif alpha.min() < self._opaque:
            self.transparent = True
            share = np.minimum(alpha / np.float32(self._opaque), 1)
            planes = over(planes, share, self._background)
        green, blue, red = planes
        return av.VideoFrame.from_ndarray(np.stack([red, green, blue], -1), format=self._format)

    def _planes(self, frame: av.VideoFrame) -> list[np.ndarray]:
        kind = np.uint16 if self.deep else np.uint8
        rows = (np.frombuffer(memoryview(plane), kind).reshape(frame.height, -1) for plane in frame.planes)
        return [plane[:, : frame.width] for plane in rows]
