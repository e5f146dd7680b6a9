"""Decode a window of a video file in a thread, in chunks of exact RGB on the host's device."""

from __future__ import annotations

import copy
import dataclasses
import functools
import math
import os
import re
import sys
import warnings
from collections.abc import Callable, Generator
from contextlib import closing
from fractions import Fraction

import av
import numpy as np
import torch
from av.video.reformatter import VideoReformatter
from torch import Tensor

from ...core import cancel
from ...core.clip import ClipInfo, Soundtrack
from ...core.file_cache import FileCache
from ...core.host import Host
from ...core.transforms import EARLY
from ...image.resize import fitted_size, resize
from ...image.transfer import srgb_from_linear
from .. import colour
from ..paths import check_file
from .cuts import fact, index_cuts
from .frames import Damage, in_memory, read_frames
from .pictures import float_pixels
from .prefetch import ahead
from .probe import FileFacts, probe
from .rates import read_rate, snap

MOST_PLACES = 5  # named in a warning
# what swscale would convert to YUV and back on its way to 16 bits
PLANAR_RGB = re.compile(rf"gbrp(9|1\d){sys.byteorder[0]}e")


class FileSource:
    """The frames of a video file from ``start`` for ``duration`` seconds (0: to its end).

    Frames are upright and at most ``max_side`` pixels long. Reading ``info`` for the first time detects the
    cuts, which decodes the window once; ``tick(done, total)`` receives the progress and may raise to cancel.
    With ``look`` off ``info`` has no cuts, for callers that need no frame. ``files`` caches the results for
    the next time the file is opened.

    ``path`` may be a folder or pattern of numbered pictures, shown ``picture_fps`` times a second (0: as
    noted by Encode Video, or else 24).
    Float pixels, which hold linear light, get the curve of sRGB, unless ``linear_light`` is ``unchanged``.

    Raise FileNotFoundError or ValueError if the file or the window holds no video. Warn if the file ends
    early or is corrupt.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        start: float | Fraction = 0,
        duration: float | Fraction = 0,
        max_side: int = 0,
        cuts: bool = True,
        sensitivity: float = 0.5,
        tick: Callable[[int, int], None] | None = None,
        look: bool = True,
        files: FileCache | None = None,
        *,
        picture_fps: float | Fraction = 0,
        linear_light: str = "display",
    ):
        self.files = files or FileCache()
        with cancel.polling(tick):
            self.facts = _timed(probe(path, self.files), Fraction(picture_fps))
        self.label = self.facts.path.name
        self.first, self.stop = window(self.facts, Fraction(start), Fraction(duration))
        self._size = fitted_size(self.facts.width, self.facts.height, max_side)
        self.sensitivity, self._tick, self._look = (sensitivity if cuts else None), tick, look
        self._white = colour.white_of_16_bits(self.facts.bit_depth, self.facts.full_range)
        self._linear = self.facts.is_float and linear_light == "unchanged"
        self.linear_light = linear_light
        self._warned = self._goes_on = False
        if self.facts.gaps:
            warnings.warn(f"{self.label} {self.facts.gaps}. Its pictures follow each other.", stacklevel=2)
        if self.facts.missing and self.stop == self.facts.frames:
            whole = self.facts.frames + self.facts.missing
            self._warn(f"ends early: the file is truncated after {self.facts.frames} of about {whole} frames")
        if self.facts.joins:
            warnings.warn(f"{self.label} {_jumps(self.facts)}.", stacklevel=2)

    @property
    def bit_depth(self) -> int:
        """Bits of a sample in the file."""
        return self.facts.bit_depth

    @property
    def whole(self) -> bool:
        """Whether this is the complete file, at its own size."""
        return (self.first, self.stop) == (0, self.facts.frames) and self._size == (
            self.facts.width,
            self.facts.height,
        )

    @functools.cached_property
    def info(self) -> ClipInfo:
        fps, times = self._timing()
        cuts: tuple[int, ...] = ()
        if self._look and self.sensitivity is not None:
            if not self.facts.pictures:
                check_file(self.facts.path)
            find = functools.partial(self._find_cuts, self.sensitivity)
            cuts = self.files.get(self.facts.path, self._cuts, find)
        return ClipInfo(
            *self._size,
            fps,
            self.stop - self.first,
            cuts=cuts,
            color=colour.LINEAR if self._linear else self.facts.color,
            audio=self._soundtrack(),
            times=times,
        )

    @property
    def searched(self) -> bool:
        """Whether the cuts are known, so that ``info`` decodes nothing."""
        return "info" in self.__dict__ or self.files.knows(self.facts.path, self._cuts)

    @property
    def _cuts(self) -> tuple[str, int, int, float | None]:
        return fact((self.first, self.stop), self.sensitivity)

    def _find_cuts(self, sensitivity: float) -> tuple[int, ...]:
        facts = probe(self.facts.path, self.files)  # of the current file, under which the cuts are cached
        return index_cuts(facts, (self.first, self.stop), sensitivity, self._tick)

    def part(self, start: int, stop: int) -> FileSource:
        """Return the frames ``[start, stop)`` of this window as a source."""
        part = copy.copy(self)
        part.__dict__.pop("info", None)  # it describes the complete window
        part.first, part.stop = self.first + start, self.first + stop
        part._goes_on = self._goes_on or start > 0  # without any frame here, the clip ends early
        return part

    def chunks(self, host: Host, frames: int) -> Generator[Tensor, None, None]:
        """Yield chunks ``[T, H, W, 3]`` float32 of at most ``frames`` frames, on the host's device."""
        damage, done, total = Damage(), 0, self.stop - self.first
        decoded = self._blocks(max(1, frames), damage, host.device.type == "cuda")
        with in_memory(self.facts), closing(ahead(decoded)) as blocks:
            for block in blocks:
                done += len(block)
                if (
                    done == total and damage.held
                ):  # warn now, as the consumer does not resume after the last frame
                    self._warn(
                        f"is corrupt: {damage.held} of {done} frames could not be decoded; "
                        "the previous frame was repeated"
                    )
                yield self._finished(block.to(host.device, non_blocking=True))
        if not done and not self._goes_on:
            raise ValueError(
                f"{self.facts.path.name} has no frame in this part that can be decoded. "
                "Check that the file is complete."
            )
        if done < total:
            self._warn(f"ends early: {done} of {total} frames could be decoded")

    def _blocks(self, frames: int, damage: Damage, pin: bool) -> Generator[Tensor, None, None]:
        """Yield blocks of frames as they are in the file: numbers of its own kind, not rotated."""
        block: Tensor | None = None
        convert, filled = Planes(self.facts, self._size), 0
        for frame in read_frames(self.facts, self.first, self.stop, damage):
            if block is None:
                block, filled = convert.empty(frames, pin), 0
            convert.into(block[filled].numpy(), frame)
            filled += 1
            if filled == frames:
                yield block
                block = None
        if block is not None:
            yield block[:filled]

    def _finished(self, block: Tensor) -> Tensor:
        if self.facts.mirrored:
            block = block.flip(2)
        if self.facts.rotation:
            block = torch.rot90(block, -self.facts.rotation // 90, (1, 2))
        if block.dtype == torch.float32:
            return block if self._linear else srgb_from_linear(block)
        if block.dtype == torch.uint8:
            return block.to(torch.float32).div_(255)
        return (block.to(torch.int32) & 0xFFFF).to(torch.float32).div_(self._white).clamp_(max=1)

    def _timing(self) -> tuple[Fraction, tuple[Fraction, ...] | None]:
        facts = self.facts
        if not facts.times:
            return facts.fps, None
        fps, varies = read_rate(facts.pts[self.first : self.stop], facts.time_base, [facts.fps])
        begin = facts.times[self.first]
        return fps, tuple(time - begin for time in facts.times[self.first : self.stop]) if varies else None

    def _soundtrack(self) -> Soundtrack | None:
        """Return the window's audio, subtitles and chapters; open-ended if the window ends with the file."""
        if not self.facts.audio_streams and not self.facts.extras:
            return None
        facts, start = self.facts, self.facts.time(self.first)
        duration = None if self.stop == facts.frames else facts.time(self.stop) - start
        return Soundtrack(
            facts.sound or facts.path, start, duration, (facts.start_time, facts.duration, facts.joins)
        )

    def _warn(self, what: str) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(f"{self.label} {what}.", stacklevel=3)


def _timed(facts: FileFacts, fps: Fraction) -> FileFacts:
    """Return the facts of numbered pictures at another rate (0: their own); other files have a rate."""
    if not facts.pictures or not fps:
        return facts
    fps = snap(fps)
    return dataclasses.replace(facts, fps=fps, duration=facts.frames / fps)


def _jumps(facts: FileFacts) -> str:
    """Say where the clock of a file jumps."""
    places = [f"{float(join.time - facts.start_time):.2f} s" for join in facts.joins]
    more = f" and {len(places) - MOST_PLACES} more" if len(places) > MOST_PLACES else ""
    return f"has jumps in its clock, which were closed up: at {', '.join(places[:MOST_PLACES])}{more}"


def window(facts: FileFacts, start: Fraction, duration: Fraction) -> tuple[int, int]:
    """Return the first frame shown at or after ``start`` seconds, and the frame after the window's last one.

    ``duration`` is in seconds; 0 means up to the end of the file.
    """
    if start < 0 or duration < 0:
        raise ValueError("Start and duration are in seconds and cannot be negative. Set both to 0 or more.")
    first = _first_at(facts, start)
    stop = _first_at(facts, start + duration) if duration else facts.frames
    if first >= facts.frames:
        length, begin = float(facts.duration), float(start)
        raise ValueError(
            f"{facts.path.name} is {length:.2f} s long, so no frame is left after {begin:.2f} s. "
            "Set an earlier start."
        )
    return first, max(first + 1, stop)


def _first_at(facts: FileFacts, time: Fraction) -> int:
    time -= EARLY
    if facts.times:
        return next((index for index, shown in enumerate(facts.times) if shown >= time), facts.frames)
    return min(facts.frames, max(0, math.ceil(time * facts.fps)))


class Planes:
    """Convert decoded frames to blocks ``[T, H, W, 3]`` of RGB, before rotation.

    Values are uint8, the bits of uint16 for more than 8 bits, or float32 for float pixels.
    """

    def __init__(self, facts: FileFacts, size: tuple[int, int]):
        self.width, self.height = size if facts.rotation % 180 == 0 else size[::-1]
        self._bits, self._full = facts.bit_depth, facts.full_range
        self._dtype = torch.float32 if facts.is_float else torch.int16 if self._bits > 8 else torch.uint8
        self._arguments = colour.to_rgb(facts.color, facts.full_range)
        self._swscale = VideoReformatter()

    def _fits(self, frame: av.VideoFrame) -> bool:
        return (frame.width, frame.height) == (self.width, self.height)

    def empty(self, frames: int, pin: bool) -> Tensor:
        return torch.empty(frames, self.height, self.width, 3, dtype=self._dtype, pin_memory=pin)

    def into(self, block: np.ndarray, frame: av.VideoFrame) -> None:
        """Write one frame into ``block`` ``[H, W, 3]``."""
        if self._dtype == torch.float32:
            pixels = torch.from_numpy(float_pixels(frame))
            if pixels.shape[:2] != block.shape[:2]:
                pixels = resize(pixels[None], self.height, self.width, clamp=False)[0]
            block[:] = pixels.numpy()
            return
        deep = self._dtype == torch.int16
        bits = max(component.bits for component in frame.format.components)
        rgb, shift = frame, 16 - bits
        if not (deep and PLANAR_RGB.fullmatch(frame.format.name) and self._fits(frame)):
            shift, name = 0, colour.RGB_16 if deep else colour.RGB_8
            if any(component.is_alpha for component in frame.format.components):
                name = name.replace("gbrp", "gbrap")
            rgb = self._swscale.reformat(frame, self.width, self.height, name, **self._arguments)
        for channel, plane in zip((1, 2, 0), rgb.planes):  # the planes are green, blue, red
            rows = np.frombuffer(memoryview(plane), block.dtype).reshape(self.height, -1)
            np.left_shift(rows[:, : self.width], shift, out=block[..., channel])
        if len(rgb.planes) == 4:
            opacity = np.frombuffer(memoryview(rgb.planes[3]), block.dtype).reshape(self.height, -1)
            _over_black(block, opacity[:, : self.width])
        if deep and bits != self._bits:  # a picture of another depth than the first
            levels = block.view(np.uint16).astype(np.float64) * (
                colour.white_of_16_bits(self._bits, self._full) / colour.white_of_16_bits(bits, self._full)
            )
            block.view(np.uint16)[:] = (levels + 0.5).clip(max=65535)


def _over_black(block: np.ndarray, opacity: np.ndarray) -> None:
    """Compose ``[H, W, 3]`` with straight alpha ``[H, W]`` over black, in place; both are uint8 or uint16."""
    if block.dtype == np.int16:
        block, opacity = block.view(np.uint16), opacity.view(np.uint16)
    white = np.iinfo(block.dtype).max
    if opacity.min() < white:
        block[:] = (block.astype(np.uint32) * opacity[..., None] + white // 2) // white
