"""Facts, shots and graph of a video whose frames are not computed yet.

A clip holds no frame and no network, so it may be cached, copied and inspected at no cost.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeGuard

from torch import Tensor, nn

from .bars import Bars

if TYPE_CHECKING:
    from .host import Host


LARGEST_SIDE = 1 << 20  # pixels
MOST_FRAMES = 1 << 31
LARGEST_ASPECT = 255  # of either number of a pixel's shape, as in the streams of most codecs


@dataclass(frozen=True)
class Light:
    """HDR10 static metadata (SMPTE ST 2086 and CTA-861.3); fields that a file lacks are empty.

    ``primaries`` of the mastering display: x and y of red, green, blue and white. ``luminance`` of that
    display, darkest and brightest. ``levels`` of the film: its brightest pixel and its brightest frame's
    mean. Luminances are in candelas per square metre.
    """

    primaries: tuple[Fraction, ...] = ()
    luminance: tuple[Fraction, ...] = ()
    levels: tuple[int, ...] = ()


@dataclass(frozen=True)
class Color:
    """Colour description in the code points of ITU-T H.273 (1 everywhere is BT.709), and HDR metadata."""

    primaries: int = 1
    transfer: int = 1
    matrix: int = 1
    light: Light | None = None


@dataclass(frozen=True)
class Soundtrack:
    """Window of a file from which a clip takes audio, subtitles and chapters.

    ``start`` is in seconds of the file after its first frame, ``duration`` in those of the clip. ``picture``,
    if known, holds the presentation time of that frame on the file's own clock, the duration of all frames,
    and the jumps of that clock. ``pace`` is how many seconds of the file one of the clip takes: less than 1
    in slow motion, where audio does not fit, only subtitles and chapters. ``without`` are the numbers of
    streams that are left out, because the frames show them.
    """

    file: Path
    start: Fraction = Fraction(0)
    duration: Fraction | None = None  # None: to the end of the file
    picture: tuple[Fraction, Fraction, tuple] | None = field(default=None, compare=False, repr=False)
    pace: Fraction = Fraction(1)
    without: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Samples:
    """Audio as samples: ``waveform`` is ``[channels, samples]``, float, -1..1, at ``rate`` Hz."""

    waveform: Tensor
    rate: int


@dataclass(frozen=True)
class ClipInfo:
    """Facts of a clip, known before its first frame is computed.

    ``width`` and ``height`` are those of one view. ``cuts`` holds the first frame of every shot but the
    first, in order; a shot may be empty (after a rate is lowered), so that shots correspond one to one along
    a chain of stages. ``times`` holds each frame's time in seconds if the source's rate varies; ``fps`` is
    then the rate of most frames, or else the mean. ``pixel_aspect`` is the shape of a pixel, width over
    height. ``bars`` are those around the picture, empty if none are known. ``alpha`` is a clip of one channel
    with the opacity of frames that are shown over black; stages do not read it, and it may have another size.
    """

    width: int
    height: int
    fps: Fraction
    frames: int
    channels: int = 3
    views: int = 1
    cuts: tuple[int, ...] = ()
    color: Color = field(default_factory=Color)
    audio: Soundtrack | Samples | None = None
    times: tuple[Fraction, ...] | None = None
    pixel_aspect: Fraction = Fraction(1)
    bars: tuple[Bars, ...] = ()
    alpha: Clip | None = field(default=None, compare=False, repr=False)

    def replace(self, **changes) -> ClipInfo:
        return dataclasses.replace(self, **changes)

    def stretched(self, width: int, height: int) -> ClipInfo:
        """Return the facts at another size, of the same shape on the screen if pixels are not square."""
        if self.pixel_aspect == 1:
            return self.replace(width=width, height=height)
        aspect = self.pixel_aspect * Fraction(self.width * height, self.height * width)
        return self.replace(width=width, height=height, pixel_aspect=aspect.limit_denominator(LARGEST_ASPECT))

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame of all views, as float32."""
        return 4 * self.width * self.height * self.channels * self.views

    @property
    def duration(self) -> Fraction:
        """Seconds from the first frame to the end of the last, which lasts as long as the one before it."""
        if self.times and len(self.times) > 1:
            return 2 * self.times[-1] - self.times[-2] - self.times[0]
        return self.frames / self.fps

    @property
    def mean_fps(self) -> Fraction:
        """The rate at which all frames last as long as the clip, for those that cannot hold ``times``."""
        return self.frames / self.duration if self.times and self.duration else self.fps

    @property
    def shots(self) -> list[tuple[int, int]]:
        """``[start, stop)`` of every shot."""
        edges = [0, *self.cuts, self.frames]
        return list(zip(edges, edges[1:]))

    def time(self, frame: int) -> Fraction:
        """Return when a frame is shown, in seconds; ``frame == frames`` is the end of the clip."""
        if not self.times:
            return frame / self.fps
        return self.times[frame] if frame < len(self.times) else self.times[0] + self.duration


@dataclass(frozen=True)
class Shot:
    """The frames between two cuts: where they begin in the clip, and the facts of that clip.

    The number of frames is known only when all have arrived. In live use, ``drained`` says whether the chunk
    just received is the last one available; a stage that collects frames into a batch needs it. ``frame`` is
    the width and height of the full frames if the chunks hold only the picture within their bars.
    """

    start: int
    info: ClipInfo
    drained: Callable[[], bool] = field(default=bool, compare=False)
    frame: tuple[int, int] | None = None

    @property
    def live(self) -> bool:
        """Whether frames arrive over time, in pieces that must not wait for each other."""
        return self.drained is not bool


class Stage(Protocol):
    """Process one shot: chunks ``[T, H, W, C]`` of each input to chunks, or to a dict of them by output.

    ``nets`` are the networks that the host places before the first frame. A ``joint`` stage takes two-view
    chunks ``[2, T, H, W, C]`` unchanged; any other runs on each view independently.

    A stage may also have ``memory(*infos) -> bytes``, which its networks need to process such clips, and
    ``counts``, a mapping of what it counted while it ran. For live use: ``delay(info)``, how many frames it
    buffers at most (0 without the method), ``remembers``, whether its output depends on earlier frames
    (True), ``retuned(options)``, the same stage under other options with its loaded networks, None if they
    must be reloaded, and ``forget()``, which drops what it recorded for networks that have been moved.
    """

    @property
    def nets(self) -> Sequence[nn.Module]: ...

    @property
    def joint(self) -> bool: ...

    # one iterable of tensors per input; Any, because each stage names its own inputs
    def __call__(self, shot: Shot, *chunks: Any, **named: Any) -> Iterator[Tensor | dict[str, Tensor]]: ...


class Recipe(Protocol):
    """A stage that is not loaded yet: describes its output, and loads when a pull begins.

    A recipe may also have ``context(info)``, how many frames of its first input before and after one its
    stage needs in addition to the two around it (none); ``framewise``, whether it remembers nothing from
    frame to frame (False); ``faithful``, whether everything stays at its place in the frame, so that the
    opacity of its input fits (False); ``picture_only``, whether its stage gets the picture within the bars of
    its first input (False), ``masks``, the outputs that are then 0 in the bars, and ``rate(info)``, how many
    frames it makes of a second of that input (None: as many as it has); ``places_bars``, whether ``describe``
    returns the bars of its output (False); ``loops``, whether it leads from the last frame to the first
    (False), and then ``unlooped()``, the same recipe without that; ``reused(stages)``, the same recipe with a
    stage that is loaded once and kept in a ``StageCache``; ``files(host)``, the files that it reads, such as
    weights; ``look_ahead(host)``, which finds what the stage must know of its complete input, and returns a
    sentence about it; ``resamples(host)``, whether its stage only resizes every channel by itself, by Lanczos
    (False), so that planes of YUV may be resized instead; and ``taken(spans)``, the only input that it reads
    for these frames (None: it reads all), with ``turns``, the frames with which it turns to another one.
    """

    @property
    def label(self) -> str: ...

    # one ClipInfo per input; Any, because each recipe names its own inputs
    def describe(self, *infos: Any, **named: Any) -> ClipInfo | Mapping[str, ClipInfo]: ...

    def load(self, host: Host) -> Stage: ...


class LooksAhead(Protocol):
    """A recipe of a ``kind`` that looks ahead, and whose finding a film stores."""

    @property
    def label(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def found(self) -> str:
        """What it has found, as a text; empty if nothing."""
        ...

    def recall(self, text: str) -> None:
        """Take what was found before, unless it is corrupt."""
        ...

    def look_ahead(self, host: Host) -> str:
        """Find it; return a sentence about it, or nothing if it was known or is not needed."""
        ...


def looks_ahead(recipe: Any) -> TypeGuard[LooksAhead]:
    """Whether a recipe may look ahead and recall what it has found."""
    return hasattr(recipe, "recall")


class Source(Protocol):
    """Source of frames: a file or a tensor."""

    @property
    def label(self) -> str: ...

    @property
    def info(self) -> ClipInfo: ...

    def chunks(self, host: Host, frames: int) -> Generator[Tensor, None, None]:
        """Yield all frames in order, at most ``frames`` per chunk."""
        ...


class SeekableSource(Source, Protocol):
    """A source that can also be read from the middle."""

    def part(self, start: int, stop: int) -> SeekableSource:
        """Return the frames ``[start, stop)`` alone."""
        ...


def seekable(source: Source | Step) -> TypeGuard[SeekableSource]:
    """Whether a source can be read from the middle."""
    return hasattr(source, "part")


@dataclass(frozen=True, eq=False)
class Step:
    """One stage of the graph, its input clips, and the facts of its outputs by name; immutable."""

    recipe: Recipe
    inputs: tuple[Clip, ...]
    infos: Mapping[str, ClipInfo]

    @classmethod
    def over(cls, recipe: Recipe, *inputs: Clip) -> Step:
        """Return a stage over clips. Raise ValueError if their lengths differ or the stage refuses them."""
        check_lengths(recipe.label, inputs)
        from .picture_only import describe_bars

        given = [clip.info for clip in inputs]
        described = recipe.describe(*given)
        infos = described if isinstance(described, Mapping) else {"clip": described}
        infos = describe_bars(recipe, given, infos)
        keeps = getattr(recipe, "faithful", False)
        infos = {port: _with_fitting_alpha(info, keeps) for port, info in infos.items()}
        for info in infos.values():
            check_size(recipe.label, info)
        return cls(recipe, inputs, infos)

    @property
    def label(self) -> str:
        return self.recipe.label


@dataclass(frozen=True, eq=False, repr=False)
class Clip:
    """One output of a source or of a step; lazy."""

    maker: Source | Step
    port: str = "clip"

    @property
    def info(self) -> ClipInfo:
        return self.maker.infos[self.port] if isinstance(self.maker, Step) else self.maker.info

    def __repr__(self) -> str:
        return f"<Clip {self.port} of {self.maker.label}>"


def apply(recipe: Recipe, *inputs: Clip) -> dict[str, Clip]:
    """Return the outputs of a stage over clips, by name; nothing is computed.

    Raise ValueError if the inputs' lengths differ or the stage refuses its input.
    """
    step = Step.over(recipe, *inputs)
    return {port: Clip(step, port) for port in step.infos}


def makers_of(clips: Iterable[Clip]) -> list[Source | Step]:
    """Return all sources and steps the clips depend on, each once, sources first."""
    found: dict[int, Source | Step] = {}
    path = [clip.maker for clip in reversed(list(clips))]
    while path:
        maker = path[-1]
        inputs = _inputs(maker) if id(maker) not in found else ()
        source = next((clip.maker for clip in inputs if id(clip.maker) not in found), None)
        if source is not None:
            path.append(source)
        else:
            found.setdefault(id(path.pop()), maker)
    return list(found.values())


def substituted(clips: Iterable[Clip], substitute: Callable[[Source | Step], Source | Step]) -> list[Clip]:
    """Return the clips of a new graph with ``substitute(maker)`` in the place of each maker.

    A substitute has the facts of its original, and may be the original. ``substitute`` is called once per
    maker, after all of its readers; the inputs of a step that a source replaces are left out. Shared makers
    stay shared.
    """
    clips = list(clips)
    makers, wanted = makers_of(clips), {id(clip.maker) for clip in clips}
    found: dict[int, Source | Step] = {}
    for maker in reversed(makers):
        if id(maker) in wanted:
            found[id(maker)] = substitute(maker)
            wanted.update(id(clip.maker) for clip in _inputs(found[id(maker)]))

    def moved(clip: Clip) -> Clip:
        return clip if found[id(clip.maker)] is clip.maker else Clip(found[id(clip.maker)], clip.port)

    for maker in filter(lambda maker: id(maker) in found, makers):
        step = found[id(maker)]
        inputs = tuple(map(moved, _inputs(step)))
        if isinstance(step, Step) and inputs != step.inputs:
            found[id(maker)] = dataclasses.replace(step, inputs=inputs)
    return list(map(moved, clips))


def _inputs(maker: Source | Step) -> tuple[Clip, ...]:
    return maker.inputs if isinstance(maker, Step) else ()


def _with_fitting_alpha(info: ClipInfo, keeps: bool) -> ClipInfo:
    """Return the facts without an opacity that is no longer that of the frames."""
    fits = info.alpha is None or (keeps and info.alpha.info.frames == info.frames)
    return info if fits else info.replace(alpha=None)


def check_size(label: str, info: ClipInfo) -> None:
    """Raise ValueError for more pixels or frames than any machine can compute, before numbers overflow."""
    if max(info.width, info.height) > LARGEST_SIDE:
        raise ValueError(
            f"{label}: its frames would be wider or higher than {LARGEST_SIDE} pixels. Upscale less."
        )
    if info.frames > MOST_FRAMES:
        raise ValueError(
            f"{label}: its output would have more than {MOST_FRAMES} frames. Choose a lower rate."
        )


def check_lengths(label: str, inputs: Iterable[Clip]) -> None:
    first, *others = inputs
    for other in others:
        if other.info.frames != first.info.frames:
            raise ValueError(
                f"{label}: its inputs have {first.info.frames} and {other.info.frames} frames. "
                "Connect clips of equal length, such as the depth of the same frames."
            )
