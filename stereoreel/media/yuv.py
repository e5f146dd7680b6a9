"""Conversion between RGB and the planes of a video file where the frames are, for frames on a GPU.

It equals swscale's conversion of ``colour.from_rgb`` and ``colour.to_rgb`` to within rounding: the same
matrices, ranges and filters. Chroma is made in the middle between the pixels that share it, averaged from two
columns, and read from where the file has it; swscale's bicubic filter is followed everywhere else. At the
edges of a frame swscale's filter is another, so that noise differs by a few codes in the outermost columns.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from ..image.fused import Kernels
from .fused_yuv import yuv_planes
from .layouts.arrangement import WHOLE, Arrangement

# weights of red and blue in luma, by swscale's colour space
LUMA = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}
PLANAR = re.compile(r"yuvj?(420|422|444)p(?:(10|12)le)?")
JOINED = {"nv12": 8, "p010le": 10}  # one plane holds both kinds of chroma


def _cubic(distance: float) -> float:
    """Return swscale's bicubic kernel, of the family of Mitchell and Netravali with B = 0 and C = 0.6."""
    x = abs(distance)
    if x < 1:
        return 1.4 * x**3 - 2.4 * x**2 + 1
    return -0.6 * x**3 + 3 * x**2 - 4.8 * x + 2.4 if x < 2 else 0.0


# of eight lines, for one between the fourth and the fifth
SHRINKING = [_cubic((place - 3.5) / 2) / 2 for place in range(8)]
MIDDLE = 0.5
TRIAL = 32  # rows and columns


@dataclass(frozen=True)
class PlaneFormat:
    """How a pixel format stores YUV: bits, pixels that share chroma, one plane for both kinds of chroma.

    ``siting`` is where chroma lies among the pixels that share it, across and down: 0 at the first, 1 at the
    last.
    """

    bits: int
    across: int
    down: int
    joined: bool = False
    siting: tuple[float, float] = (MIDDLE, MIDDLE)

    @classmethod
    def named(cls, name: str) -> PlaneFormat | None:
        """Return the format of that name in FFmpeg; None if its planes are others."""
        if name in JOINED:
            return cls(JOINED[name], 2, 2, True)
        if not (found := PLANAR.fullmatch(name)):
            return None
        return cls(int(found[2] or 8), 1 if found[1] == "444" else 2, 2 if found[1] == "420" else 1)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of its values; more than 8 bits are those of uint16."""
        return torch.uint8 if self.bits == 8 else torch.int16

    @property
    def shift(self) -> int:
        """The number of unused low bits."""
        return 16 - self.bits if self.joined and self.bits > 8 else 0

    def shapes(self, height: int, width: int) -> list[tuple[int, ...]]:
        """Return the shape of every plane of a frame."""
        chroma = height // self.down, width // self.across
        return [(height, width), *([(*chroma, 2)] if self.joined else [chroma, chroma])]

    def count(self, height: int, width: int) -> int:
        """Return the number of values in a frame."""
        return height * width + 2 * (height // self.down) * (width // self.across)

    def planes(self, values: Tensor, height: int, width: int) -> list[Tensor]:
        """Return the planes in memory that holds one after the other."""
        shapes = self.shapes(height, width)
        sizes = [torch.Size(shape).numel() for shape in shapes]
        return [part.view(shape) for part, shape in zip(values.split(sizes), shapes)]


def _ranges(bits: int, full: bool) -> tuple[float, float, float]:
    """Return the code of black, those from black to white, and those of chroma from end to end."""
    unit = 1 << (bits - 8)
    return (0, 256 * unit - 1, 256 * unit - 1) if full else (16 * unit, 219 * unit, 224 * unit)


def to_planes(
    frame: Tensor | Arrangement,
    space: int,
    form: PlaneFormat,
    full_range: bool = False,
    size: tuple[int, int] | None = None,
) -> Tensor:
    """Return the planes ``[form.count(H, W)]``, one after the other, of RGB ``[H, W, C]`` in 0..1.

    A single channel is grey, a fourth is left out. ``space`` is swscale's number of the colour space.
    ``size`` is the height and width of the planes, whose last row and column repeat those of the frame; both
    are multiples of what shares chroma.
    """
    views = frame if isinstance(frame, Tensor) else frame.views
    size = size or ((frame.shape[0], frame.shape[1]) if isinstance(frame, Tensor) else frame.size)
    return CONVERSION.run(
        views.device,
        (views.dtype, views.shape[-1], form, None if isinstance(frame, Tensor) else frame.layout),
        lambda: _planes(frame, space, form, full_range, True, size),
        lambda: _planes(frame, space, form, full_range, False, size),
    )


def _planes(
    frame: Tensor | Arrangement,
    space: int,
    form: PlaneFormat,
    full_range: bool,
    kernels: bool,
    size: tuple[int, int],
) -> Tensor:
    height, width = size
    views = frame if isinstance(frame, Tensor) else frame.views
    values = views.new_empty(form.count(height, width), dtype=form.dtype)
    luma, *chroma = form.planes(values, height, width)
    black, span, swing = _ranges(form.bits, full_range)
    red, blue = LUMA[space]
    own = red, 1 - red - blue, blue
    middle = 1 << (form.bits - 1)
    weights = [
        [((place == index) - weight) / (2 - 2 * share) for place, weight in enumerate(own)]
        for index, share in ((2, blue), (0, red))
    ]
    if kernels:
        tables = [
            [weight * scale for weight in row]
            for row, scale in ((own, span), *((row, swing) for row in weights))
        ]
        mix: list[float] = []
        if isinstance(frame, Arrangement):
            eyes, kind = frame.eyes, frame.kind
            mix = [float(weight) for rows in zip(*frame.matrices or ()) for row in rows for weight in row]
        else:
            eyes, kind = (frame, frame), WHOLE
        yuv_planes(
            *(eye.contiguous() for eye in eyes), values, height, width, kind, mix,
            *(weight for row in tables for weight in row), black, middle, form.bits, form.across, form.down,
            form.joined, form.shift, *SHRINKING[:4],
        )  # fmt: skip
        return values
    whole = filled(frame if isinstance(frame, Tensor) else frame.packed(), height, width)
    rgb = whole[..., : min(3, whole.shape[-1])].float().clamp(0, 1)
    _store(luma, _weighted(rgb, own, span, black), form)
    if form.across == 2:
        rgb = (rgb[:, 0::2] + rgb[:, 1::2]).mul_(0.5)
    if form.down == 2:
        rgb = _fewer_lines(rgb)
    apart = chroma[0].unbind(-1) if form.joined else chroma
    for plane, row in zip(apart, weights):
        _store(plane, _weighted(rgb, row, swing, middle), form)
    return values


def filled(frame: Tensor, height: int, width: int) -> Tensor:
    """Return a frame ``[H, W, C]`` of a size, at most one more on each side: its last ones are repeated."""
    if frame.shape[0] < height:
        frame = torch.cat([frame, frame[-1:]], 0)
    return torch.cat([frame, frame[:, -1:]], 1) if frame.shape[1] < width else frame


def _trial(
    device: torch.device, dtype: torch.dtype, channels: int, form: PlaneFormat, layout: str | None = None
) -> bool:
    """Return whether the kernel makes the planes of a small picture as PyTorch's operations do."""
    count = TRIAL * TRIAL * channels
    place = torch.arange(count if layout is None else 2 * count, device=device, dtype=torch.float32)
    values = (place / 7).sin().mul(0.5).add(0.5).to(dtype)
    frame = (
        values.view(TRIAL, TRIAL, channels)
        if layout is None
        else Arrangement(values.view(2, 1, TRIAL, TRIAL, channels), layout)
    )
    size = (TRIAL, TRIAL) if isinstance(frame, Tensor) else frame.size
    one, other = (
        (_planes(frame, 1, form, False, kernels, size).int() & 0xFFFF) >> form.shift
        for kernels in (False, True)
    )
    return not bool((one - other).abs().max() > 1)


CONVERSION = Kernels("Conversion to YUV", _trial)


def _weighted(rgb: Tensor, weights, scale: float, offset: float) -> Tensor:
    """Return the weighted sum of the channels: never by a matrix product, which may round to 10 bits."""
    if rgb.shape[-1] < 3:
        return rgb[..., 0] * (sum(weights) * scale) + offset
    red, green, blue = rgb.unbind(-1)
    mixed = red * (weights[0] * scale)
    return mixed.add_(green, alpha=weights[1] * scale).add_(blue, alpha=weights[2] * scale).add_(offset)


def _store(plane: Tensor, codes: Tensor, form: PlaneFormat) -> None:
    plane.copy_(codes.add_(0.5).clamp_(0, (1 << form.bits) - 1))  # positive, so cut off is rounded down
    if form.shift:
        plane.bitwise_left_shift_(form.shift)


def _fewer_lines(rgb: Tensor) -> Tensor:
    """Return half of the lines of ``[H, ...]``; at the ends the last line is repeated."""
    rows = torch.cat([rgb[:1], rgb[:1], rgb[:1], rgb, rgb[-1:], rgb[-1:], rgb[-1:]])
    count = rgb.shape[0] // 2
    taken = [rows[place : place + 2 * count : 2] for place in range(len(SHRINKING))]
    mixed = taken[0] * SHRINKING[0]
    for lines, weight in zip(taken[1:], SHRINKING[1:]):
        mixed.add_(lines, alpha=weight)
    return mixed


def from_planes(values: Tensor, space: int, form: PlaneFormat, full_range: bool, rgb: Tensor) -> None:
    """Write RGB ``[H, W, 3]``, float32 in 0..1, of the planes of a frame, which lie one after the other."""
    height, width = rgb.shape[:2]
    luma, *chroma = form.planes(values, height, width)
    black, span, swing = _ranges(form.bits, full_range)
    red, blue = LUMA[space]
    apart = [_codes(plane, form) for plane in (chroma[0].unbind(-1) if form.joined else chroma)]
    if form.across == 2:  # swscale has no codes beyond the highest, but some below the lowest
        apart = [_more(plane, 1, form.siting[0]).clamp_(max=1 << form.bits) for plane in apart]
    if form.down == 2:
        apart = [_more(plane, 0, form.siting[1]) for plane in apart]
    middle = 1 << (form.bits - 1)
    apart = [plane.sub_(middle).mul_(1 / swing) for plane in apart]
    bright = _codes(luma, form).sub_(black).mul_(1 / span)
    of_blue, of_red = apart
    green = 1 - red - blue
    torch.add(bright, of_red, alpha=2 * (1 - red), out=rgb[..., 0])
    torch.add(bright, of_blue, alpha=2 * (1 - blue), out=rgb[..., 2])
    bright.add_(of_red, alpha=-2 * (1 - red) * red / green)
    torch.add(bright, of_blue, alpha=-2 * (1 - blue) * blue / green, out=rgb[..., 1])
    rgb.clamp_(0, 1)


def _codes(plane: Tensor, form: PlaneFormat) -> Tensor:
    if form.shift:
        plane = (plane.to(torch.int32) & 0xFFFF) >> form.shift
    return plane.float()


def _more(plane: Tensor, axis: int, siting: float) -> Tensor:
    """Return twice as many lines or columns; at the ends the last one is repeated."""
    size = plane.shape[axis]
    first, last = plane.narrow(axis, 0, 1), plane.narrow(axis, size - 1, 1)
    padded = torch.cat([first, first, plane, last, last], axis)
    taken = [padded.narrow(axis, place, size) for place in range(5)]
    early, late = (
        # none where chroma lies at the pixel itself
        reduce(torch.add, [part * weight for part, weight in zip(taken, weights) if weight])
        for weights in (
            [_cubic(place - 2 - (pixel - siting) / 2) for place in range(5)] for pixel in range(2)
        )
    )
    return torch.stack([early, late], axis + 1).flatten(axis, axis + 1)
