"""Frames as the planes of a pixel format: chunks ``[T, 1, 1, N]`` that hold one plane after the other.

Sources give them, and stages resize them, where nothing between a file and its encoder needs RGB.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import av
import numpy as np
import torch
from av.filter import Graph
from av.video.reformatter import VideoReformatter
from torch import Tensor

from ..core.clip import Color
from . import colour
from .write.device_planes import frame_of
from .yuv import MIDDLE, PlaneFormat

LANCZOS = "lanczos+accurate_rnd"
POSITIONS = 256  # of chroma within a pixel, as the filter counts them
LOBES = 3
TICK = Fraction(1, 25)  # any clock: the filter passes times on


@dataclass(frozen=True)
class PlaneFrames:
    """Size, FFmpeg's name of the pixel format, and the place of chroma (``PlaneFormat.siting``).

    Codes have limited range.
    """

    width: int
    height: int
    format: str
    siting: tuple[float, float] = (MIDDLE, MIDDLE)

    @classmethod
    def fits(cls, width: int, height: int, format: str) -> bool:
        """Whether such frames are planes of YUV without padding."""
        form = None if format.startswith("yuvj") else PlaneFormat.named(format)
        return form is not None and width % form.across == 0 and height % form.down == 0

    @property
    def form(self) -> PlaneFormat:
        form = PlaneFormat.named(self.format)
        assert form
        across, down = self.siting
        return replace(
            form, siting=(across if form.across == 2 else MIDDLE, down if form.down == 2 else MIDDLE)
        )

    def empty(self, frames: int) -> Tensor:
        """Return memory for a chunk."""
        form = self.form
        return torch.empty(frames, 1, 1, form.count(self.height, self.width), dtype=form.dtype)

    def frame(self, values: Tensor) -> av.VideoFrame:
        """Return a frame ``[N]`` for FFmpeg, without a copy if possible."""
        return frame_of(values, self.width, self.height, self.form, self.format)

    def rgb(self, chunk: Tensor, color: Color) -> Tensor:
        """Return the frames ``[T, H, W, 3]``, float32 in 0..1, of 8 bits."""
        swscale, arguments = VideoReformatter(), colour.to_rgb(color, full_range=False)
        frames = (self.frame(values) for values in chunk.flatten(1))
        made = [swscale.reformat(frame, format="rgb24", **arguments).to_ndarray() for frame in frames]
        return torch.from_numpy(np.stack(made)).float().div_(255)


def store(frame: av.VideoFrame, form: PlaneFormat, values: Tensor) -> None:
    """Write the planes of a frame into ``values`` ``[N]``."""
    for plane, place in zip(frame.planes, form.planes(values, frame.height, frame.width)):
        target = place.view(len(place), -1).numpy()
        rows = np.frombuffer(memoryview(plane), target.dtype).reshape(plane.height, -1)
        target[:] = rows[: len(target), : target.shape[1]]


class PlaneScaler:
    """Resize planes to another size or format by swscale's Lanczos filter of three lobes, exactly rounded.

    Each plane is resized by itself, about the place where its samples lie.
    """

    def __init__(self, source: PlaneFrames, target: PlaneFrames):
        self._source, self._target = source, target
        self._form = target.form
        one, other = source.form, self._form
        alike = (one.across, one.down) == (other.across, other.down)
        same = (source.width, source.height) == (target.width, target.height)
        # swscale moves no chroma in frames of the same size and subsampling
        self._moves = same and alike and one.siting != other.siting
        converts = not same or source.format != target.format
        self._graph = _graph(source, target) if converts else None

    def __call__(self, values: Tensor, out: Tensor) -> None:
        """Write one frame ``[N]`` of the target."""
        if self._moves:
            values = self._moved(values)
        if self._graph is None:
            out.copy_(values)
            return
        _, start, end = self._graph
        frame = self._source.frame(values)
        frame.pts, frame.time_base = 0, TICK
        start.push(frame)
        store(end.pull(), self._form, out)

    def _moved(self, values: Tensor) -> Tensor:
        """Return a frame with chroma at the place of the target."""
        import cv2

        source, form = self._source, self._source.form
        moved = values.clone()
        across, down = (_shift((MIDDLE - place) / 2) for place in form.siting)
        _, *planes = form.planes(moved, source.height, source.width)
        for plane in planes:
            codes = plane.numpy().view(np.uint8 if form.bits == 8 else np.uint16)
            codes[:] = cv2.sepFilter2D(codes, -1, across, down, borderType=cv2.BORDER_REPLICATE).clip(
                max=((1 << form.bits) - 1) << form.shift
            )
        return moved


def _shift(distance: float) -> np.ndarray:
    """Return the weights of samples around one for a place at a distance after it, less than a sample."""
    apart = np.arange(-LOBES, LOBES + 1) - distance
    weights = np.where(np.abs(apart) < LOBES, np.sinc(apart) * np.sinc(apart / LOBES), 0)
    return weights / weights.sum()


def _graph(source: PlaneFrames, target: PlaneFrames):
    """Return a filter graph, where frames enter it, and where they leave it."""
    graph = Graph()
    places = {
        f"{end}_{axis}_chr_pos": round(POSITIONS * place)
        for end, frames in (("in", source), ("out", target))
        for axis, place in zip("hv", _positions(frames.form))
    }
    options = {"w": target.width, "h": target.height, "flags": LANCZOS, **places}
    parts = [
        graph.add_buffer(
            width=source.width, height=source.height, time_base=TICK,
            format=av.VideoFormat(source.format, source.width, source.height),
        ),
        graph.add("scale", ":".join(f"{name}={value}" for name, value in options.items())),
        graph.add("format", f"pix_fmts={target.format}"),
        graph.add("buffersink"),
    ]  # fmt: skip
    for part, following in zip(parts, parts[1:]):
        part.link_to(following)
    graph.configure()
    return graph, parts[0], parts[-1]


def _positions(form: PlaneFormat) -> tuple[float, float]:
    """Return where chroma lies after the first of the pixels that share it, in pixels."""
    across, down = form.siting
    return (across if form.across == 2 else 0.0), (down if form.down == 2 else 0.0)
