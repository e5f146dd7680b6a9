"""Take each shot of a clip from one of several branches of the graph.

A pull that can read its sources in parts computes, of each shot, only the branch that it is taken from
(``partition.pieces``); any other computes all branches and drops the others' frames.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from .bars import Bars
from .clip import Clip, ClipInfo, Shot, apply
from .host import Host
from .transforms import Weightless


class Choices(Protocol):
    """Decides, before the first frame, which branch each shot comes from."""

    @property
    def source(self) -> Clip:
        """The clip that is looked at."""
        ...

    @property
    def options(self) -> Any:
        """What decides, as values."""
        ...

    @property
    def found(self) -> str:
        """The decision as text; empty if it is not made, or was given."""
        ...

    def find(self, host: Host) -> str:
        """Decide, if that has not been done; return a sentence about it, or nothing if it was known."""
        ...

    def recall(self, text: str) -> None:
        """Take a decision that was made before, unless it is corrupt."""
        ...

    def branch(self, number: int) -> int | None:
        """Return the input for a shot by its number; None if that is not decided yet."""
        ...

    def files(self, host: Host) -> list[Path]:
        """Return the files that it reads."""
        ...


class ShotSwitch(Weightless):
    """The frames of one of its clips, shot by shot; they agree in everything but their pixels.

    ``starts`` are the first frames of the shots, ``bars`` those around the picture. In an excerpt it may have
    a single clip, if all of its shots come from that one.
    """

    kind = "switch"
    framewise = faithful = places_bars = True

    def __init__(self, choices: Choices, starts: Sequence[int], bars: tuple[Bars, ...], label: str):
        self.choices, self.starts, self.bars, self.label = choices, tuple(starts), bars, label

    @property
    def turns(self) -> list[int]:
        """The frames with which it turns to another input; none while that is not decided."""
        shots = [number for number, _ in self._shots(0, None)]
        branches = [(self.starts[number], self.choices.branch(number)) for number in shots]
        return [start for (_, before), (start, after) in pairwise(branches) if before != after]

    def taken(self, spans: Iterable[tuple[int, int]]) -> int | None:
        """Return the only input that these frames come from; None if there are several or none is known."""
        branches = {self.choices.branch(number) for span in spans for number, _ in self._shots(*span)}
        return branches.pop() if len(branches) == 1 else None

    def _shots(self, start: int, stop: int | None) -> Iterator[tuple[int, int]]:
        """Yield the number and the first frame of the shots in ``[start, stop)`` that have frames."""
        first = bisect_right(self.starts, start) - 1
        for number in range(first, len(self.starts)):
            if stop is not None and self.starts[number] >= stop:
                return
            if number + 1 == len(self.starts) or self.starts[number] < self.starts[number + 1]:
                yield number, self.starts[number]

    def describe(self, first: ClipInfo, *others: ClipInfo) -> ClipInfo:
        """Return the facts that the clips share."""
        audio = next((one.audio for one in (first, *others) if one.audio is not None), None)
        alpha = first.alpha if all(other.alpha is first.alpha for other in others) else None
        return first.replace(audio=audio, alpha=alpha, bars=self.bars)

    def files(self, host: Host) -> list[Path]:
        return self.choices.files(host)

    def look_ahead(self, host: Host) -> str:
        return self.choices.find(host)

    @property
    def found(self) -> str:
        return self.choices.found

    def recall(self, text: str) -> None:
        self.choices.recall(text)

    def __call__(self, shot: Shot, *clips: Iterable[Tensor]) -> Iterator[Tensor]:
        if len(clips) == 1:
            yield from clips[0]
            return
        branch = self.choices.branch(bisect_right(self.starts, shot.start) - 1)
        assert branch is not None, "a pull looks ahead first"
        for chunks in zip(*clips):
            yield chunks[branch]


def switched(clips: Sequence[Clip], choices: Choices, label: str) -> Clip:
    """Return a clip whose shots come from one of the clips each.

    Raise ValueError if they differ in more than their pixels. Bars on which they disagree count as picture.
    """
    first, *others = (clip.info for clip in clips)
    for other in others:
        _compare(first, other)
    bars = first.bars if all(other.bars == first.bars for other in others) else ()
    return apply(ShotSwitch(choices, (0, *first.cuts), bars, label), *clips)["clip"]


def _compare(first: ClipInfo, other: ClipInfo) -> None:
    """Raise ValueError if two branches differ in more than their pixels."""
    sizes = [f"{one.width}x{one.height}" for one in (first, other)]
    if len(set(sizes)) > 1:
        raise ValueError(
            f"The inputs have frames of {sizes[0]} and {sizes[1]} pixels. Let both "
            "branches upscale to the same size."
        )
    if (first.fps, first.frames, first.times) != (other.fps, other.frames, other.times):
        rates = [f"{float(one.fps):.4g} fps, {one.frames} frames" for one in (first, other)]
        raise ValueError(
            f"The inputs differ in time ({rates[0]} and {rates[1]}). Let both branches "
            "interpolate to the same rate."
        )
    kinds = [(one.views, one.channels, one.pixel_aspect, one.color) for one in (first, other)]
    if kinds[0] != kinds[1]:
        raise ValueError(
            "The inputs are of different kinds (views, channels, pixel shape or colour). "
            "Let both branches end with the same kind of clip, such as frames, depth or a stereo pair."
        )
    if first.cuts != other.cuts:
        raise ValueError(
            "The inputs have different cuts. Set cuts in Extract Video only, upstream of both branches."
        )
