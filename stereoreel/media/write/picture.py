"""Prepare frames for an encoder: integers, a supported size, and the YUV matrix that the file's tags name."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from fractions import Fraction

import av
import numpy as np
import torch
from av.video.format import VideoFormat
from av.video.reformatter import VideoReformatter
from PIL import Image
from torch import Tensor

from ...core.clip import Color
from ...image.resize import Resizer, fitted_size
from ...image.transfer import linear_from_srgb
from .. import colour
from ..layouts.arrangement import Arrangement
from ..read.pictures import is_float
from ..yuv import PlaneFormat
from .device_planes import DevicePlanes, GivenPlanes, HostPlanes

WITH_ALPHA = ("bgra",)
RGB, RGBA = ("rgb24", "rgb48le"), ("rgba", "rgba64le")  # of 8 bits, and of more
LARGEST_HALF = 65504.0
OF_PNG = ("rgb24", "rgb48be")  # without tags, every reader shows a PNG file as it shows SDR video
RGB_MATRIX = 0  # H.273: the samples are red, green and blue


class Pictures:
    """Frames of one size, format and colour for an encoder, at most ``side`` pixels long (0: unchanged).

    ``aspect`` is the shape of their pixels. Float formats hold linear light, or ``depth`` as it is, if
    ``half`` in numbers of half precision.
    """

    def __init__(
        self,
        size: tuple[int, int],
        color: Color,
        pix_fmt: str,
        side: int = 0,
        aspect: Fraction = Fraction(1),
        depth: bool = False,
        half: bool = False,
    ):
        self.aspect = aspect
        self._shown = fitted_size(*size, side)
        self.size = coded_size(self._shown, pix_fmt)
        self.format = VideoFormat(pix_fmt, *self.size)
        self._rgb = self.format.is_rgb or self.format.has_palette
        self.color = dataclasses.replace(color, matrix=RGB_MATRIX) if self._rgb else color
        if pix_fmt in OF_PNG and colour.is_sdr(color):
            self.color = colour.UNTAGGED
        self._bits = self.format.components[0].bits
        self.alpha = any(component.is_alpha for component in self.format.components)
        self._float = is_float(pix_fmt)
        self._half = half
        self._light = self._float and not depth and color.transfer != colour.LINEAR.transfer
        self._swscale, self._resize = VideoReformatter(), Resizer()
        self._planes = None if self._rgb else PlaneFormat.named(pix_fmt)

    def quantize(self, *panes: Tensor | Arrangement) -> np.ndarray | DevicePlanes | HostPlanes:
        """Convert a frame [H, W, C] to integers ``[H', W', 3 or 4]``, rounded on its device.

        The frame may be given as panes next to each other, or as an arrangement of its views. C = 1 is grey.
        The last row and column are repeated if the format needs even sizes. Float formats get linear light,
        float32, unless the frames are depth or hold light already. YUV is made, as swscale would make it, on
        a CUDA device, and on a CPU where that is faster.
        """
        if isinstance(panes[0], Arrangement) and self._planes and panes[0].size == self._shown[::-1]:
            return self._on_device(panes[0], self._planes)
        views = [pane.packed() if isinstance(pane, Arrangement) else pane for pane in panes]
        if HostPlanes.available(views, self.size, self.format.name):
            return HostPlanes(views, colour.from_rgb(self.color)["dst_colorspace"])
        frame = views[0] if len(views) == 1 else torch.cat(views, 1)
        if frame.shape[:2] != self._shown[::-1] and not self._float:
            frame = self._resize(frame[None], *self._shown[::-1])[0]
        if self._planes and frame.device.type == "cuda":
            return self._on_device(frame, self._planes)
        if self._float:
            return self._floats(frame[..., :3].float())
        # swscale rounds 16-bit RGB to the YUV depth itself and expects its own code of white. RGB formats get
        # their own depth.
        white = (
            255
            if self._bits == 8
            else 2**self._bits - 1
            if self._rgb
            else colour.white_of_16_bits(self._bits, full_range=False)
        )
        channels = 4 if self.alpha and frame.shape[-1] == 4 else min(3, frame.shape[-1])
        opaque = 255 if self._bits == 8 else 65535  # swscale shifts alpha as it is
        levels = _rounded(frame[..., :channels].float(), [white, white, white, opaque][:channels], self._bits)
        height, width, channels = levels.shape
        if (width, height) != self.size:
            levels = np.pad(
                levels, ((0, self.size[1] - height), (0, self.size[0] - width), (0, 0)), mode="edge"
            )
        return np.repeat(levels, 3, axis=2) if channels == 1 else levels

    def _on_device(self, frame: Tensor | Arrangement, form: PlaneFormat) -> DevicePlanes:
        space = colour.from_rgb(self.color)["dst_colorspace"]
        return DevicePlanes(frame, space, form, self.format.name, self.size[::-1])

    def _floats(self, values: Tensor) -> np.ndarray:
        light = linear_from_srgb(values) if self._light else values
        if self._half:  # FFmpeg cuts off the other bits
            light = light.clamp(-LARGEST_HALF, LARGEST_HALF).half().float()
        return light.expand(*light.shape[:2], 3).contiguous().cpu().numpy()

    def frame(
        self,
        levels: np.ndarray | DevicePlanes | HostPlanes | GivenPlanes | av.VideoFrame,
        pts: int,
        time_base: Fraction,
    ) -> av.VideoFrame:
        """Return the encoder's frame, shown at ``pts`` x ``time_base`` seconds.

        ``levels`` is a result of ``quantize``, planes in limited range, or a decoded frame of an earlier
        encoding.
        """
        if isinstance(levels, GivenPlanes):
            levels = levels.frame()
        if isinstance(levels, (DevicePlanes, HostPlanes)):
            frame = levels.frame()
        elif isinstance(levels, av.VideoFrame):
            frame = (
                levels
                if levels.format.name == self.format.name
                else self._swscale.reformat(levels, format=self.format.name)
            )
            frame.pict_type = 0  # the second encoder chooses its own
        elif self.format.has_palette:
            frame = _paletted(levels)
        elif self.format.is_rgb and self.format.name not in WITH_ALPHA:
            frame = av.VideoFrame.from_ndarray(levels, format=self.format.name)
        else:
            formats = RGBA if levels.shape[2] == 4 else RGB
            frame = av.VideoFrame.from_ndarray(levels, format=formats[self._bits > 8])
            arguments = {} if self._rgb else colour.from_rgb(self.color)
            frame = self._swscale.reformat(frame, format=self.format.name, **arguments)
        frame.pts, frame.time_base = pts, time_base
        colour.tag(frame, self.color, full_range=self._rgb)
        return frame

    def configure(self, context) -> None:
        """Set an encoder's size, format and colour before it is opened."""
        context.width, context.height = self.size
        context.pix_fmt = self.format.name
        if self.aspect != 1:
            context.sample_aspect_ratio = self.aspect
        elif self._float or self.format.name in OF_PNG:
            context.sample_aspect_ratio = Fraction(1)  # otherwise these files state 0
        colour.tag(context, self.color, full_range=self._rgb)


def _rounded(values: Tensor, white: Sequence[int], bits: int) -> np.ndarray:
    """Return values 0..1 as the nearest integers 0..white of each channel, uint8 or uint16."""
    if values.device.type == "cpu" and len(set(white)) == 1:
        import cv2  # whose one pass takes a tenth of the time of torch's four

        flat = np.ascontiguousarray(values.numpy()).reshape(len(values), -1)
        if not flat.max() <= 1:  # beyond its integers OpenCV returns 0
            flat = np.minimum(flat, np.float32(1))
        kind = cv2.CV_8U if bits == 8 else cv2.CV_16U
        return cv2.multiply(flat, white[0], dtype=kind).reshape(values.shape)  # type: ignore[call-overload]
    scaled = values.clamp(0, 1).mul(values.new_tensor(white)).add_(0.5)
    return scaled.to(torch.uint8 if bits == 8 else torch.uint16).cpu().numpy()


def _paletted(levels: np.ndarray) -> av.VideoFrame:
    """Quantise a frame to a palette of its own 256 colours, with dithering."""
    picture = Image.fromarray(levels)
    picture = picture.quantize(
        palette=picture.quantize(256, Image.Quantize.MEDIANCUT), dither=Image.Dither.FLOYDSTEINBERG
    )
    colors = np.array(picture.getpalette(), np.uint8).reshape(-1, 3)
    palette = np.full((256, 4), 255, np.uint8)  # opacity first
    palette[: len(colors), 1:] = colors
    indexed = (np.array(picture), palette)
    # pal8 takes a tuple, which PyAV's stub lacks
    return av.VideoFrame.from_ndarray(indexed, format="pal8")  # type: ignore[arg-type]


def coded_size(size: tuple[int, int], pix_fmt: str) -> tuple[int, int]:
    """Round ``size`` up to a multiple of the format's chroma subsampling."""
    chroma = VideoFormat(pix_fmt, 16, 16)
    across, down = 16 // chroma.chroma_width(16), 16 // chroma.chroma_height(16)
    return -(-size[0] // across) * across, -(-size[1] // down) * down
