"""Weightless stages for views and time: select a view, join or split side-by-side frames, trim."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from math import ceil
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

from ..image.resize import fitted_size, resize
from .bars import between, cropped, every_nth
from .clip import Clip, ClipInfo, Color, Shot, Soundtrack, apply
from .error_context import naming
from .host import Host
from .options import shown

EARLY = Fraction(1, 1000)  # seconds by which a typed or rounded time may exceed its frame's
AUTO_CUTS = ("auto", "")  # of an option cuts: those that the clip has


Itself = TypeVar("Itself")


class Weightless:
    """A recipe that is its own stage; ``framewise`` if it remembers nothing from frame to frame."""

    nets: list[nn.Module] = []
    joint = True
    framewise = False
    places_bars = False

    def load(self: Itself, host: Host) -> Itself:
        return self


class Relabelled(Weightless):
    """A recipe that changes what is known of a clip, and none of its frames."""

    faithful = True

    def __call__(self, shot: Shot, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        yield from chunks


@dataclass(frozen=True)
class Eye(Weightless):
    """One view of a two-view clip: 0 is left, 1 is right."""

    framewise = True
    eye: int
    label: str = "Eye"

    def describe(self, clip: ClipInfo) -> ClipInfo:
        return clip.replace(views=1)

    def __call__(self, shot: Shot, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        for chunk in chunks:
            yield chunk[self.eye]


@dataclass(frozen=True)
class Swap(Weightless):
    """The two views of a clip, exchanged."""

    framewise = True
    label: str = "Swap"

    def describe(self, clip: ClipInfo) -> ClipInfo:
        return clip

    def __call__(self, shot: Shot, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        for chunk in chunks:
            yield chunk.flip(0)


@dataclass(frozen=True)
class Recut(Relabelled):
    """The same frames with other cuts: ``none``, or the first frames of shots, such as ``48, 120``.

    Raise ValueError for anything else.
    """

    framewise = True
    cuts: str
    label: str = "Cuts"

    def describe(self, clip: ClipInfo) -> ClipInfo:
        with naming(self.label):
            cuts = parse_cuts(self.cuts)
        if cuts and not 0 < cuts[0] <= cuts[-1] < clip.frames:
            raise ValueError(
                f"{self.label}: cuts must be between frame 1 and {clip.frames - 1} of this clip, not at "
                f"{shown(self.cuts)}."
            )
        return clip.replace(cuts=cuts)


def parse_cuts(written: str) -> tuple[int, ...]:
    """Return the frames of ``48, 120``, in order, or none of ``none``; raise ValueError for anything else."""
    if written.strip() == "none":
        return ()
    try:
        return tuple(sorted({int(word) for word in written.replace(",", " ").split()}))
    except ValueError:
        raise ValueError(
            f"cuts must be auto, none, or frame numbers such as 48, 120, not {shown(written)}."
        ) from None


@dataclass(frozen=True)
class SideBySide(Weightless):
    """Two views as one full side-by-side frame, as stereo clips appear outside this pack."""

    framewise = True
    label: str = "Side by side"

    def describe(self, clip: ClipInfo) -> ClipInfo:
        return clip.replace(views=1, width=2 * clip.width)

    def __call__(self, shot: Shot, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        for chunk in chunks:
            yield torch.cat([chunk[0], chunk[1]], dim=2)


@dataclass(frozen=True)
class Split(Weightless):
    """A full side-by-side frame as two views. Raise ValueError if its width is odd."""

    framewise = True
    label: str = "Full SBS"

    def describe(self, clip: ClipInfo) -> ClipInfo:
        if clip.width % 2:
            raise ValueError(
                f"{self.label}: a full side-by-side frame must have an even width, this one has {clip.width} "
                "pixels."
            )
        return clip.replace(views=2, width=clip.width // 2)

    def __call__(self, shot: Shot, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        for chunk in chunks:
            half = chunk.shape[2] // 2
            yield torch.stack([chunk[:, :, :half], chunk[:, :, half:]])


@dataclass(frozen=True)
class Trim(Weightless):
    """The frames ``[start, stop)`` of a clip, with their audio."""

    framewise = faithful = places_bars = True
    start: int
    stop: int
    label: str = "Trim"

    def describe(self, clip: ClipInfo) -> ClipInfo:
        start, stop = self._window(clip.frames)
        audio = clip.audio
        if isinstance(audio, Soundtrack):
            begin, end = clip.time(start), clip.time(stop)
            begin, length = audio.pace * (begin - clip.time(0)), end - begin
            audio = replace(audio, start=audio.start + begin, duration=length)
        elif audio is not None:
            first, last = (round((clip.time(edge) - clip.time(0)) * audio.rate) for edge in (start, stop))
            audio = type(audio)(audio.waveform[:, first:last], audio.rate)
        times = clip.times and tuple(clip.times[place] - clip.times[start] for place in range(start, stop))
        cuts = tuple(min(max(cut, start), stop) - start for cut in clip.cuts)
        alpha = clip.alpha and apply(self, clip.alpha)["clip"]
        bars = between(clip.bars, start, stop)
        info = clip.replace(frames=stop - start, cuts=cuts, audio=audio, times=times, alpha=alpha, bars=bars)
        return info.replace(fps=_rate_of_most(info)) if times else info

    def __call__(self, shot: Shot, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        place = shot.start
        for chunk in chunks:
            count = chunk.shape[-4]
            first, last = max(0, self.start - place), min(count, self.stop - place)
            place += count
            if first < last:
                yield chunk.narrow(-4, first, last - first)

    def _window(self, frames: int) -> tuple[int, int]:
        start = min(max(self.start, 0), frames)
        return start, min(max(self.stop, start), frames)


def _rate_of_most(info: ClipInfo) -> Fraction:
    """Return the rate of a clip with times if most of its frames have it, else their mean rate."""
    assert info.times
    period, steps = 1 / info.fps, [later - earlier for earlier, later in pairwise(info.times)]
    alike = sum(abs(step - period) <= period / 3 for step in steps)
    return info.fps if 2 * alike > len(steps) else info.mean_fps


@dataclass(frozen=True)
class EveryNth(Weightless):
    """The frames 0, n, 2n … of a clip, at an n-th of its rate."""

    framewise = faithful = places_bars = True
    every: int
    label: str = "Every nth frame"

    def describe(self, clip: ClipInfo) -> ClipInfo:
        frames = every_nth_cut(clip.frames, self.every)
        cuts = tuple(every_nth_cut(cut, self.every) for cut in clip.cuts)
        times = clip.times and clip.times[:: self.every]
        alpha = clip.alpha and apply(self, clip.alpha)["clip"]
        info = clip.replace(
            fps=clip.fps / self.every,
            frames=frames,
            cuts=cuts,
            times=times,
            alpha=alpha,
            bars=every_nth(clip.bars, self.every),
        )
        return info.replace(fps=_rate_of_most(info)) if times else info

    def __call__(self, shot: Shot, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        place = shot.start
        for chunk in chunks:
            first = -place % self.every
            place += chunk.shape[-4]
            if first < chunk.shape[-4]:
                chosen = torch.arange(first, chunk.shape[-4], self.every, device=chunk.device)
                yield chunk.index_select(-4, chosen)


def every_nth_cut(frame: int, every: int) -> int:
    """Return the number, among every n-th frame, of the first one at or after ``frame``."""
    return -(-frame // every)


@dataclass(frozen=True)
class Uncut(Relabelled):
    """The same frames as a single shot."""

    framewise = True
    label: str = "Uncut"

    def describe(self, clip: ClipInfo) -> ClipInfo:
        return clip.replace(cuts=())


@dataclass(frozen=True)
class Unbarred(Relabelled):
    """The same frames, of which every stage gets all, bars included."""

    framewise = places_bars = True
    label: str = "Bars"

    def describe(self, clip: ClipInfo) -> ClipInfo:
        return clip.replace(bars=())


@dataclass(frozen=True)
class Recolored(Relabelled):
    """The same frames under another colour description; no value changes."""

    framewise = True
    color: Color
    label: str = "Colour"

    def describe(self, clip: ClipInfo) -> ClipInfo:
        return clip.replace(color=self.color)


@dataclass(frozen=True)
class Crop(Weightless):
    """A rectangle of every frame, in pixels of one view."""

    framewise = places_bars = True
    left: int
    top: int
    width: int
    height: int
    label: str = "Crop"
    joint = False

    def describe(self, clip: ClipInfo) -> ClipInfo:
        sides = self.top, clip.height - self.top - self.height, self.left, clip.width - self.left - self.width
        return clip.replace(width=self.width, height=self.height, bars=cropped(clip.bars, sides))

    def __call__(self, shot: Shot, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        for chunk in chunks:
            yield chunk[:, self.top : self.top + self.height, self.left : self.left + self.width]


@dataclass(frozen=True)
class Fit(Weightless):
    """Frames downscaled until their longer side is ``side`` pixels, at even sizes."""

    framewise = faithful = True
    side: int
    label: str = "Fit"
    joint = False

    def describe(self, clip: ClipInfo) -> ClipInfo:
        width, height = fitted_size(clip.width, clip.height, self.side)
        return clip.replace(width=width, height=height)

    def __call__(self, shot: Shot, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        size = self.describe(shot.info)
        for chunk in chunks:
            yield resize(chunk, size.height, size.width)


@dataclass(frozen=True)
class SquarePixels(Weightless):
    """Frames made wider or narrower, to an even width, until their pixels are square."""

    framewise = faithful = True
    label: str = "Square pixels"
    joint = False

    def describe(self, clip: ClipInfo) -> ClipInfo:
        if clip.pixel_aspect == 1:
            return clip
        return clip.replace(width=square_width(clip.width, clip.pixel_aspect), pixel_aspect=Fraction(1))

    def __call__(self, shot: Shot, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        width = self.describe(shot.info).width
        for chunk in chunks:
            yield chunk if chunk.shape[2] == width else resize(chunk, chunk.shape[1], width)


def square_width(width: int, aspect: Fraction) -> int:
    """Return the even width that frames have with square pixels; unchanged if that is within a pixel."""
    return width if abs(width * aspect - width) < 1 else max(2, 2 * round(width * aspect / 2))


def squared(clip: Clip, label: str) -> Clip:
    """Return a clip with square pixels."""
    return clip if clip.info.pixel_aspect == 1 else apply(SquarePixels(label), clip)["clip"]


class Timed(Protocol):
    """What frame times follow from: a rate, a count, and the seconds of each frame if the rate varies."""

    @property
    def fps(self) -> Fraction: ...
    @property
    def frames(self) -> int: ...
    @property
    def times(self) -> tuple[Fraction, ...] | None: ...


def frame_at(info: Timed, seconds: float | Fraction) -> int:
    """Return the first frame shown at or after a typed or rounded time, which may be a millisecond late."""
    wanted = Fraction(seconds) - EARLY
    if info.times:
        return next((place for place, time in enumerate(info.times) if time >= wanted), info.frames)
    return min(info.frames, max(0, ceil(wanted * info.fps)))
