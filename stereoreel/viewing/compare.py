"""Show two clips in one frame to compare them: split, side by side, one above the other, or difference."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ..core.clip import Clip, ClipInfo, Shot, apply
from ..core.options import Options, option
from ..core.per_eye import TIME
from ..core.timeline import gaps, output_count, output_edge
from ..core.transforms import Trim, Weightless
from ..image.resize import resize


@dataclass(frozen=True)
class CompareOptions(Options):
    """Options of Compare Clips."""

    mode: str = option(
        "split",
        "split shows the left part of clip and the right part of other; side by side and above show both "
        "completely; difference shows their absolute difference times gain.",
        choices=("split", "side by side", "above", "difference"),
    )
    position: float = option(
        0.5,
        "Position of the split, as a fraction of the width.",
        low=0.0,
        high=1.0,
        step=0.01,
        only=("mode", ("split",)),
    )
    sweep: float = option(
        0.0,
        "Seconds in which the split moves from left to right and back, repeatedly; 0 keeps it fixed.",
        low=0.0,
        high=60.0,
        step=0.5,
        only=("mode", ("split",)),
        word="off",
    )
    label: str = option("A", "Label of the first clip; empty: none.")
    other_label: str = option("B", "Label of the second clip; empty: none.")
    gain: float = option(
        4.0,
        "Factor by which the difference is multiplied.",
        low=1.0,
        high=100.0,
        step=1.0,
        only=("mode", ("difference",)),
    )


OPTIONS = CompareOptions
LINE = 1 / 640  # of the width: the split's line, at least one pixel
LETTERS = 1 / 24  # of the height: the size of labels
SHAPE = 0.02  # by which the clips' aspect ratios may differ, because of rounding


def compare(clip: Clip, other: Clip, settings: CompareOptions, label: str) -> Clip:
    """Return one lazy clip of both: at the larger size and the higher rate, as long as the shorter.

    Frames of the lower rate are repeated. The audio is the first clip's. Raise ValueError if the clips differ
    in their number of views or their aspect ratio.
    """
    first, second = clip.info, other.info
    if first.views != second.views:
        raise ValueError(
            f"The clips have {first.views} and {second.views} views. "
            "Compare stereo clips with stereo clips, or connect Stereo's left."
        )
    if abs(first.width * second.height / (first.height * second.width) - 1) > SHAPE:
        raise ValueError(
            f"Frames of {first.width} x {first.height} and {second.width} x {second.height} have different "
            "aspect ratios. Crop one of them."
        )
    fps = max(first.fps, second.fps)
    clips = [
        one if (one.info.fps, one.info.times) == (fps, None) else apply(RepeatFrames(fps, label), one)["clip"]
        for one in (clip, other)
    ]
    frames = min(one.info.frames for one in clips)
    clips = [
        one if one.info.frames == frames else apply(Trim(0, frames, label), one)["clip"] for one in clips
    ]
    return apply(Compared(settings, label), *clips)["clip"]


@dataclass(frozen=True)
class RepeatFrames(Weightless):
    """The same frames at a higher rate, each repeated until the next."""

    recorded_as = "Held"  # in the identity of jobs and kept frames, which must not change
    fps: Fraction
    label: str = "Held frames"

    def describe(self, clip: ClipInfo) -> ClipInfo:
        cuts = tuple(output_edge(cut, clip, self.fps) for cut in clip.cuts)
        return clip.replace(fps=self.fps, frames=output_count(clip, self.fps), cuts=cuts, times=None)

    def __call__(self, shot: Shot, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        for gap in gaps(shot, (frame for chunk in chunks for frame in chunk.split(1, TIME)), self.fps):
            assert isinstance(gap.left, Tensor)
            yield gap.left.repeat_interleave(len(gap.times), TIME)


@dataclass(frozen=True)
class Compared(Weightless):
    """Two clips of equal length, rate and number of views as one.

    Frames ``[T, H, W, 1, 3 or 4]`` become ``[T, H', W', 3]``.
    """

    settings: CompareOptions
    label: str = "Compare"
    joint = False

    def describe(self, clip: ClipInfo, other: ClipInfo) -> ClipInfo:
        wide, tall = {"side by side": (2, 1), "above": (1, 2)}.get(self.settings.mode, (1, 1))
        width, height = larger(clip, other)
        return clip.replace(width=wide * width, height=tall * height, channels=3)

    def __call__(self, shot: Shot, chunks: Iterable[Tensor], others: Iterable[Tensor]) -> Iterator[Tensor]:
        number, settings = shot.start, self.settings
        for pair in zip(chunks, others):
            height, width = (max(sizes) for sizes in zip(*(chunk.shape[1:3] for chunk in pair)))
            first, second = (sized(chunk, height, width) for chunk in pair)
            if settings.mode == "difference":
                yield ((first - second).abs() * settings.gain).clamp(0, 1)
                continue
            first = labelled(first, settings.label, "left")
            second = labelled(second, settings.other_label, "right" if settings.mode == "split" else "left")
            if settings.mode == "split":
                places = [
                    edge(settings, (number + index) / float(shot.info.fps)) for index in range(len(first))
                ]
                number += len(first)
                yield torch.stack(
                    [split(left, right, place) for left, right, place in zip(first, second, places)]
                )
            else:
                yield torch.cat([first, second], 2 if settings.mode == "side by side" else 1)


def larger(first: ClipInfo, second: ClipInfo) -> tuple[int, int]:
    """Return the larger width and the larger height."""
    return max(first.width, second.width), max(first.height, second.height)


def sized(chunk: Tensor, height: int, width: int) -> Tensor:
    """Return RGB at this size, float32."""
    chunk = chunk[..., :3].float()
    chunk = chunk if chunk.shape[1:3] == (height, width) else resize(chunk, height, width)
    return chunk.expand(*chunk.shape[:3], 3)


def edge(settings: CompareOptions, seconds: float) -> float:
    """Return the position of the split at a time, as a fraction of the width."""
    if not settings.sweep:
        return settings.position
    turn = seconds / settings.sweep % 1
    return 0.5 - 0.5 * math.cos(2 * math.pi * turn)


def split(first: Tensor, second: Tensor, place: float) -> Tensor:
    """Join the left part of a frame ``[H, W, 3]`` and the right part of another at a white line."""
    width = first.shape[1]
    column = round(place * width)
    result = torch.cat([first[:, :column], second[:, column:]], 1)
    half = max(1, round(LINE * width)) / 2
    if 0 < column < width:
        result[:, max(0, math.ceil(column - half)) : math.ceil(column + half)] = 1
    return result


def labelled(frames: Tensor, text: str, side: str) -> Tensor:
    """Draw a label in a lower corner of frames ``[T, H, W, 3]``, on a dark plate so that it is legible."""
    if not text:
        return frames
    plate = torch.from_numpy(_plate(text, max(10, round(frames.shape[1] * LETTERS)))).to(frames.device)
    rows, columns = (min(size, room) for size, room in zip(plate.shape[:2], frames.shape[1:3]))
    frames = frames.clone()
    area = frames[:, -rows:, :columns] if side == "left" else frames[:, -rows:, -columns:]
    area.copy_(
        area * (1 - plate[:rows, :columns, 3:]) + plate[:rows, :columns, :3] * plate[:rows, :columns, 3:]
    )
    return frames


@lru_cache(16)
def _plate(text: str, size: int) -> np.ndarray:
    """Return a label as float32 RGBA ``[h, w, 4]`` in 0..1."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(text)
    plate = Image.new(
        "RGBA", (math.ceil(right - left) + size, math.ceil(bottom - top) + size), (0, 0, 0, 150)
    )
    ImageDraw.Draw(plate).text((size // 2 - left, size // 2 - top), text, (255, 255, 255, 255), font)
    return np.asarray(plate, np.float32) / 255
