"""Division of a film into pieces that can be computed independently and give the same frames.

A unit ends where everything the film depends on has a cut: no stage carries state across it. Short
neighbouring shots share a unit. A shot longer than ``LONGEST`` is split at fixed places, and each part is
computed with some frames before and after it that are discarded. The rule depends only on the clips, and
``pull`` itself follows it, so that a film rendered in one run, on the canvas, in pieces or by many machines
has the same frames.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor

from .bars import between
from .clip import Clip, ClipInfo, Shot, Stage, Step, seekable
from .excerpt import Rebuilt, Spans, frames_needed, makers_of, merge_spans, plain_facts
from .per_eye import TIME
from .stage_cache import StageCache
from .transforms import Recut, Uncut, Weightless

GROUP = 240  # frames of the finished film: shorter shots are computed together up to this
LONGEST = 1500  # the longest shot that is not split
LEAD = 48  # frames computed and discarded on either side of a part of a shot


class Unit(NamedTuple):
    """The frames ``[start, stop)`` of the finished film, computed from ``[first, last)`` of it."""

    start: int
    stop: int
    first: int
    last: int

    @property
    def frames(self) -> int:
        return self.stop - self.start


def units(clips: Sequence[Clip], group: int = GROUP) -> list[Unit]:
    """Return the units of clips of one length that are computed in one pull.

    Together they cover the clips; a larger ``group`` changes no frame.
    """
    frames = clips[0].info.frames
    if not _divisible(clips):
        return [Unit(0, frames, 0, frames)]
    lead = (
        LEAD
        if any(
            isinstance(maker, Step) and not getattr(maker.recipe, "framewise", False)
            for maker in makers_of(clips)
        )
        else 0
    )
    return cover([0, *_common_cuts(clips), frames], group, lead, _turns(clips))


def cover(
    edges: Sequence[int], group: int = GROUP, lead: int = LEAD, apart: Container[int] = ()
) -> list[Unit]:
    """Return units for the shots between ``edges``; none reaches across the frames in ``apart``."""
    found: list[Unit] = []
    for start, stop in pairwise(edges):
        parts = -(-(stop - start) // LONGEST)
        if parts > 1:
            places = [start + number * (stop - start) // parts for number in range(parts + 1)]
            found += [
                Unit(one, other, max(start, one - lead), min(stop, other + lead))
                for one, other in pairwise(places)
            ]
        elif (
            found
            and start not in apart
            and (last := found[-1]).last == start == last.stop
            and stop - last.start <= group
            and last.first == last.start
        ):
            found[-1] = Unit(last.start, stop, last.start, stop)
        else:
            found.append(Unit(start, stop, start, stop))
    return found


def merged_units(clips: Sequence[Clip]) -> list[Unit]:
    """Return the units as one machine computes them: consecutive ones that discard no frame are merged."""
    found: list[Unit] = []
    turns = _turns(clips)
    for unit in units(clips):
        whole = found and found[-1].last == found[-1].stop == unit.first == unit.start
        if whole and unit.start not in turns:
            found[-1] = Unit(found[-1].start, unit.stop, found[-1].first, unit.last)
        else:
            found.append(unit)
    return found


def excerpt(clips: Sequence[Clip], unit: Unit, stages: StageCache | None = None) -> list[Clip]:
    """Return clips that consist of a unit's frames; shared inputs stay shared.

    ``stages`` keeps the loaded stages, and so their networks, from one excerpt of the same clips to the next.
    """
    wanted = [(unit.first, unit.last)]
    result = Rebuilt(clips, wanted, _needed, stages)
    return [Clip(Step.over(_Window(unit.start, unit.stop), result.clip(clip, wanted))) for clip in clips]


def pieces(clips: Sequence[Clip]) -> Iterator[list[Clip]]:
    """Yield the clips in the pieces that successive pulls compute.

    It is one, unless a shot is split, or a stage takes some shots from one branch and some from another: then
    each piece has only the branch that it needs.
    """
    branches = any(isinstance(maker, Step) and len(_branches(maker)) > 1 for maker in makers_of(clips))
    found = merged_units(clips) if branches or clips[0].info.frames > LONGEST else []
    if len(found) < 2 and not (branches and _divisible(clips)):
        yield list(clips)
        return
    stages: StageCache[Stage] = StageCache()
    for stretch in found:
        yield excerpt(clips, stretch, stages)


def _divisible(clips: Sequence[Clip]) -> bool:
    """Whether the sources can be read in parts, and no stage leads from the last frame to the first."""
    makers = makers_of(clips)
    loops = any(isinstance(maker, Step) and getattr(maker.recipe, "loops", False) for maker in makers)
    return (
        clips[0].info.frames > 0
        and not loops
        and all(isinstance(maker, Step) or seekable(maker) for maker in makers)
    )


def _common_cuts(clips: Sequence[Clip]) -> list[int]:
    """Return where all the clips, and everything they depend on, have a cut."""
    known: dict[int, set[int] | None] = {}  # by maker; None: everywhere, because it is a source
    for maker in makers_of(clips):
        known[id(maker)] = (
            _after(maker, _intersection_of(known, maker.inputs)) if isinstance(maker, Step) else None
        )
    found = _intersection_of(known, clips)
    if found is None:  # nothing between sources and clips remembers anything
        found = set(clips[0].info.cuts)
    return sorted(cut for cut in found if 0 < cut < clips[0].info.frames)


def _branches(step: Step) -> tuple[Clip, ...]:
    """Return the inputs of which a stage takes one for each shot; none for any other stage."""
    return step.inputs if hasattr(step.recipe, "taken") else ()


def _turns(clips: Sequence[Clip]) -> set[int]:
    """Return the frames with which a stage that the clips depend on turns to another branch."""
    known: dict[int, set[int]] = {}  # by maker
    for maker in makers_of(clips):
        known[id(maker)] = set()
        if isinstance(maker, Step):
            before = set().union(*(known[id(clip.maker)] for clip in maker.inputs))
            known[id(maker)] = (_after(maker, before) or set()) | {*getattr(maker.recipe, "turns", ())}
    return set().union(*(known[id(clip.maker)] for clip in clips))


def _intersection_of(known: dict[int, set[int] | None], clips: Iterable[Clip]) -> set[int] | None:
    """Return where all of some clips may be divided."""
    found: set[int] | None = None
    for clip in clips:
        found = _intersection(found, known[id(clip.maker)])
    return found


def _after(step: Step, allowed: set[int] | None) -> set[int] | None:
    """Return where the output of a step may be divided if its inputs may be at ``allowed``."""
    if isinstance(step.recipe, (Recut, Uncut)):
        return allowed
    before, after = step.inputs[0].info.cuts, next(iter(step.infos.values())).cuts
    if len(before) != len(after):
        return set()
    return {result for cut, result in zip(before, after) if allowed is None or cut in allowed}


def _intersection(one: set[int] | None, other: set[int] | None) -> set[int] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _needed(step: Step, spans: Spans) -> Spans:
    """Return the input frames a stage needs; a span that starts or ends with a shot needs only that shot."""
    info, result = step.inputs[0].info, next(iter(step.infos.values()))
    found = []
    for start, stop in spans:
        [(first, last)] = frames_needed(step, [(start, stop)])
        moved = isinstance(step.recipe, (Recut, Uncut))  # the cuts, so that equal numbers mean nothing
        if len(info.cuts) == len(result.cuts) and not moved:
            after = bisect_right(result.cuts, start)  # the shot after empty ones begins at this frame
            if start == 0 or (after and result.cuts[after - 1] == start):
                first = info.cuts[after - 1] if after else 0
            before = bisect_left(result.cuts, stop)
            if stop == result.frames or (before < len(result.cuts) and result.cuts[before] == stop):
                last = info.cuts[before] if before < len(info.cuts) else info.frames
        found.append((first, last))
    return merge_spans(found)


@dataclass(frozen=True)
class _Window(Weightless):
    """Some frames of an excerpt as a clip of their own; cuts, times and rate are the film's."""

    places_bars = True
    start: int
    stop: int
    label: str = "Unit"

    def describe(self, clip: ClipInfo) -> ClipInfo:
        cuts = tuple(cut - self.start for cut in clip.cuts if self.start < cut < self.stop)
        times = clip.times and tuple(
            time - clip.times[self.start] for time in clip.times[self.start : self.stop]
        )
        bars = between(clip.bars, self.start, self.stop)
        facts = plain_facts(clip, frames=self.stop - self.start, cuts=cuts, times=times, bars=bars)
        return ClipInfo(**facts)

    def __call__(self, shot: Shot, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        place = shot.start
        for chunk in chunks:
            first, last = max(0, self.start - place), min(chunk.shape[TIME], self.stop - place)
            place += chunk.shape[TIME]
            if first < last:
                yield chunk.narrow(TIME, first, last - first)
