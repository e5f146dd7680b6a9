"""Decode a window of a video file in a thread, in chunks of exact RGB on the host's device."""

from __future__ import annotations

import copy
import dataclasses
import functools
import os
import warnings
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction

import torch
from torch import Tensor

from ...core import cancel
from ...core.bars import Bars, between, every_nth, resized
from ...core.clip import Clip, ClipInfo, Soundtrack
from ...core.file_cache import FileCache
from ...core.host import Host
from ...image.resize import fitted_size
from ...image.transfer import srgb_from_linear
from .. import colour
from ..layouts.packing import Packing
from ..paths import check_file
from ..plane_frames import PlaneFrames
from ..yuv import PlaneFormat
from .cuts import Shots, fact, index_shots
from .device_rgb import PlaneBlock, PlaneReader
from .file_facts import FileFacts
from .frames import Damage, in_memory
from .prefetch import ahead
from .probe import probe
from .rates import read_rate, snap
from .rgb import RgbConverter
from .selection import Selection, read_selected, select
from .transparency import TRANSPARENT

MOST_PLACES = 5  # named in a warning
HARDWARE = "STEREOREEL_HARDWARE_DECODING"  # set to 1 to let the GPU decode


class FileSource:
    """The frames of a video file from ``start`` for ``duration`` seconds (0: to its end).

    Of these the first ``skip`` are left out, then every ``every``-th is taken, at most ``most`` (0: all).
    Transparent parts are shown over the colour ``background``, with a warning; with ``transparent`` over
    black, and ``info.alpha`` is their opacity.
    Frames are upright and at most ``max_side`` pixels long; pixels are ``square``, or those of the file.

    Reading ``info`` for the first time detects the cuts, which decodes the window once; ``tick(done, total)``
    receives the progress and may raise to cancel. With ``look`` off ``info`` has no cuts, for callers that
    need no frame. ``files`` caches the results for the next time the file is opened. The same pass finds the
    bars of the shots, unless ``bars`` is off; it is made for them alone if that is ``crop``.

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
        skip: int = 0,
        every: int = 1,
        most: int = 0,
        square: bool = True,
        background: str = "black",
        picture_fps: float | Fraction = 0,
        linear_light: str = "display",
        bars: str = "keep",
    ):
        self.files = files or FileCache()
        with cancel.polling(tick):
            self.facts = _timed(probe(path, self.files), Fraction(picture_fps))
        self.label = self.facts.path.name
        self.selection = select(
            self.facts, Fraction(start), Fraction(duration), skip=skip, every=every, most=most
        )
        facts = self.facts
        self._size = fitted_size(*((facts.width, facts.height) if square else facts.upright), max_side)
        self.pixel_aspect = Fraction(1) if square else facts.pixel_aspect
        self.sensitivity, self._tick, self._look = (sensitivity if cuts else None), tick, look
        self.background, self._said = background, set[str]()
        self.opacity = False
        self.bars = bars
        self._white = colour.white_of_16_bits(self.facts.bit_depth, self.facts.full_range)
        self._linear = self.facts.is_float and linear_light == "unchanged"
        self.linear_light = linear_light
        self._warned = self._goes_on = False
        self._planes: PlaneFrames | None = None
        self.packing: Packing | None = None  # of two views in a frame, as whoever opens the file decides
        if self.facts.gaps:
            warnings.warn(f"{self.label} {self.facts.gaps}. Its pictures follow each other.", stacklevel=2)
        if self.facts.missing and self.selection.stop == self.facts.frames:
            whole = self.facts.frames + self.facts.missing
            self._warn(f"ends early: the file is truncated after {self.facts.frames} of about {whole} frames")
        if self.facts.joins:
            warnings.warn(f"{self.label} {_jumps(self.facts)}.", stacklevel=2)

    @property
    def bit_depth(self) -> int:
        """Bits of a sample in the file."""
        return self.facts.bit_depth

    @property
    def native(self) -> bool:
        """Whether frames have the file's own size."""
        return self._size == (self.facts.width, self.facts.height)

    @property
    def whole(self) -> bool:
        """Whether this is the complete file, at its own size."""
        return self.native and self.selection == Selection(0, self.facts.frames)

    @functools.cached_property
    def info(self) -> ClipInfo:
        fps, times = self._timing()
        return ClipInfo(
            *self._size,
            fps,
            self.selection.count,
            cuts=self.selection.cuts(self.window_cuts),
            color=colour.LINEAR if self._linear else self.facts.color,
            audio=self._soundtrack(),
            times=times,
            pixel_aspect=self.pixel_aspect,
            channels=1 if self.opacity else 3,
            alpha=Clip(self._of_opacity()) if self.keeps_alpha and not self.opacity else None,
            views=1 if self.facts.views is None else 2,
            bars=self._bars(),
        )

    def _bars(self) -> tuple[Bars, ...]:
        """Return the bars of the chosen frames, at their size."""
        if self.bars == "off" or self.opacity:
            return ()
        found = between(self.window_shots.bars, 0, self.selection.stop - self.selection.first)
        return resized(every_nth(found, self.selection.every), self.facts.upright, self._size)

    @property
    def keeps_alpha(self) -> bool:
        """Whether the opacity of the frames is wanted in the file that is written."""
        return self.background == TRANSPARENT and self.facts.alpha

    @property
    def colour(self) -> str:
        """The colour that is seen under transparent parts."""
        return "black" if self.background == TRANSPARENT else self.background

    def _of_opacity(self) -> FileSource:
        """Return the opacity of these frames as a clip of one channel."""
        source = copy.copy(self)
        source.__dict__.pop("info", None)
        source.opacity, source.label = True, f"{self.label} (opacity)"
        return source

    @property
    def window(self) -> tuple[int, int]:
        """The first frame of the file that belongs to the clip, and the frame after the last one."""
        return self.selection.first, self.selection.stop

    @property
    def window_cuts(self) -> tuple[int, ...]:
        """The first frame of every shot but the first, among all frames of the window."""
        return self.window_shots.cuts

    @property
    def indexed(self) -> bool:
        """Whether all frames are read once before, for cuts or for bars that are cut off."""
        return self.sensitivity is not None or self.bars == "crop"

    @property
    def window_shots(self) -> Shots:
        """The shots of all frames of the window, and their bars."""
        if not self._look or not self.indexed:
            return Shots()
        if not self.facts.pictures:
            check_file(self.facts.path)
        return self.files.get(self.facts.path, self._shots, self._find_shots)

    @property
    def searched(self) -> bool:
        """Whether the cuts are known, so that ``info`` decodes nothing."""
        return "info" in self.__dict__ or self.files.knows(self.facts.path, self._shots)

    @property
    def _shots(self) -> tuple[str, int, int, float | None]:
        return fact(self.window, self.sensitivity)

    def _find_shots(self) -> Shots:
        facts = probe(self.facts.path, self.files)  # of the current file, under which the shots are cached
        return index_shots(facts, self.window, self.sensitivity, self._tick)

    def as_stored(self, pixel_aspect: Fraction) -> FileSource:
        """Return the same frames as they are stored: upright, at their own size.

        ``pixel_aspect`` is the shape of pixels that they will have when the views are separate.
        """
        source = copy.copy(self)
        source.__dict__.pop("info", None)
        source._size, source.pixel_aspect = self.facts.upright, pixel_aspect
        return source

    @property
    def plane_frames(self) -> PlaneFrames | None:
        """What the planes of the first frame are; None if frames must become RGB to be shown as they are."""
        facts = self.facts
        reader = PlaneReader(facts, self._size)
        turned = facts.mirrored or facts.rotation
        if not reader.plain or turned or facts.full_range or not self.selection.count:
            return None
        with closing(read_selected(facts, self.selection.part(0, 1), Damage())) as frames:
            frame = next(frames, None)
        form = frame and reader.form_of(frame)
        if not frame or not form or not PlaneFrames.fits(*self._size, frame.format.name):
            return None
        return PlaneFrames(*self._size, frame.format.name, form.siting)

    def in_planes(self, frames: PlaneFrames) -> FileSource:
        """Return the same frames as planes, chunks ``[T, 1, 1, N]`` on the CPU."""
        source = copy.copy(self)
        source._planes = frames
        return source

    def part(self, start: int, stop: int) -> FileSource:
        """Return the frames ``[start, stop)`` of this clip as a source."""
        part = copy.copy(self)
        part.__dict__.pop("info", None)  # it describes the complete clip
        part.selection = self.selection.part(start, stop)
        part._goes_on = self._goes_on or start > 0  # without any frame here, the clip ends early
        return part

    def chunks(self, host: Host, frames: int) -> Generator[Tensor, None, None]:
        """Yield chunks ``[T, H, W, 3]`` float32 of at most ``frames`` frames, on the host's device.

        A stream of two views gives ``[2, T, H, W, 3]``, a source ``in_planes`` those.
        """
        damage, done, total = Damage(), 0, self.selection.count
        convert = RgbConverter(self.facts, self._size, self.background, self.opacity)
        wanted = self._planes
        kept = wanted is not None or host.device.type == "cuda"
        planes = PlaneReader(self.facts, self._size, wanted) if kept else None
        asked = planes is not None and planes.plain and os.environ.get(HARDWARE) == "1"
        hardware = host.device.type if asked else ""
        decoded = self._blocks(max(1, frames), damage, host.device.type == "cuda", convert, planes, hardware)
        with in_memory(self.facts), closing(ahead(decoded)) as blocks:
            for block in blocks:
                done += len(block.values) if isinstance(block, PlaneBlock) else block.shape[-4]
                if convert.transparent and not self.keeps_alpha:
                    self._say_once(
                        f"has transparent parts, which are shown over {self.colour}. Extract Video's "
                        "background sets another colour"
                    )
                if (
                    done == total and damage.held
                ):  # warn now, as the consumer does not resume after the last frame
                    self._warn(
                        f"is corrupt: {damage.held} of {done} frames could not be decoded; "
                        "the previous frame was repeated"
                    )
                if isinstance(block, PlaneBlock) and wanted:
                    yield block.values[:, None, None]
                elif isinstance(block, PlaneBlock):
                    assert planes
                    yield self._turned(planes.rgb(block, host.device))
                else:
                    yield self._finished(block.to(host.device, non_blocking=True))
        if not done and not self._goes_on:
            raise ValueError(
                f"{self.facts.path.name} has no frame in this part that can be decoded. "
                "Check that the file is complete."
            )
        if done < total:
            self._warn(f"ends early: {done} of {total} frames could be decoded")

    def _blocks(
        self,
        frames: int,
        damage: Damage,
        pin: bool,
        convert: RgbConverter,
        planes: PlaneReader | None = None,
        hardware: str = "",
    ) -> Generator[Tensor | PlaneBlock, None, None]:
        """Yield blocks of frames as they are in the file: numbers of its own kind, not rotated.

        With ``planes`` blocks are not converted to RGB where that can be done later; ``hardware`` decodes
        them if it can.
        """
        if self.facts.views is None:
            facts = replace(self.facts, hardware=hardware)
            yield from self._of_view(facts, frames, damage, pin, convert, planes)
            return
        of_views = Damage(), Damage()
        left, right = (
            self._of_view(replace(self.facts, view=view), frames, found, pin, convert)
            for view, found in zip(self.facts.views, of_views)
        )
        with closing(left), closing(right):
            for blocks in zip(left, right):
                damage.held = max(found.held for found in of_views)
                views = [block for block in blocks if isinstance(block, Tensor)]  # without ``planes`` all
                shared = min(map(len, views))
                yield torch.stack([block[:shared] for block in views])

    def _of_view(
        self,
        facts: FileFacts,
        frames: int,
        damage: Damage,
        pin: bool,
        convert: RgbConverter,
        planes: PlaneReader | None = None,
    ) -> Generator[Tensor | PlaneBlock, None, None]:
        block: Tensor | None = None
        form: PlaneFormat | None = None
        filled = 0
        for frame in read_selected(facts, self.selection, damage):
            found = planes.form_of(frame) if planes else None
            if block is not None and found != form:  # the stream changes
                yield block[:filled] if form is None else PlaneBlock(block[:filled], form)
                block = None
            if block is None:
                form, filled = found, 0
                block = planes.empty(frames, form, pin) if planes and form else convert.empty(frames, pin)
            if planes and form:
                planes.into(block[filled], frame, form)
            else:
                convert.into(block[filled].numpy(), frame)
            filled += 1
            if filled == frames:
                yield block if form is None else PlaneBlock(block, form)
                block = None
        if block is not None:
            yield block[:filled] if form is None else PlaneBlock(block[:filled], form)

    def _turned(self, block: Tensor) -> Tensor:
        if self.facts.mirrored:
            block = block.flip(-2)
        if self.facts.rotation:
            block = torch.rot90(block, -self.facts.rotation // 90, (-3, -2))
        return block

    def _finished(self, block: Tensor) -> Tensor:
        block = self._turned(block[..., :1] if self.opacity else block)
        if block.dtype == torch.float32:
            return block if self._linear else srgb_from_linear(block)
        if block.dtype == torch.uint8:
            return block.to(torch.float32).div_(255)
        return (block.to(torch.int32) & 0xFFFF).to(torch.float32).div_(self._white).clamp_(max=1)

    def _timing(self) -> tuple[Fraction, tuple[Fraction, ...] | None]:
        facts, chosen = self.facts, slice(*self.window, self.selection.every)
        usual = facts.fps / self.selection.every
        if not facts.times:
            return usual, None
        fps, varies = read_rate(facts.pts[chosen], facts.time_base, [usual])
        times = facts.times[chosen]
        return fps, tuple(time - times[0] for time in times) if varies else None

    def _soundtrack(self) -> Soundtrack | None:
        """Return the window's audio, subtitles and chapters; open-ended if the window ends with the file."""
        if not self.facts.audio_streams and not self.facts.extras:
            return None
        facts, (first, stop) = self.facts, self.window
        start = facts.time(first)
        duration = None if stop == facts.frames else facts.time(stop) - start
        return Soundtrack(
            facts.sound or facts.path, start, duration, (facts.start_time, facts.duration, facts.joins)
        )

    def _say_once(self, what: str) -> None:
        """Warn of what is no fault, once for all parts of the source."""
        if what not in self._said:
            self._said.add(what)
            warnings.warn(f"{self.label} {what}.", stacklevel=3)

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
