"""Compute selected frames of a clip without processing all of it.

Each stage receives only the input those frames need. Frame numbers, timestamps and cuts are those of the full
clip. Only complete shots are skipped between samples, so timing, rates and schedules are unchanged. State
older than a stage's context is not available: the depth range and the zero-parallax plane come from the
frames around each sample.
"""

from __future__ import annotations

import dataclasses
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .clip import Clip, ClipInfo, Recipe, Shot, Source, Step, check_lengths, makers_of, seekable
from .host import Host
from .per_eye import TIME
from .stage_cache import StageCache
from .transforms import Recut, Relabelled, Uncut, Weightless

Spans = list[tuple[int, int]]  # [start, stop), in order, not touching


def evenly_spaced(frames: int, count: int) -> list[int]:
    """Return ``count`` frames of a clip in the middles of equal parts, or all if it has no more."""
    count = min(count, frames)
    return [(2 * place + 1) * frames // (2 * count) for place in range(count)]


def select_frames(clips: Sequence[Clip], frames: Iterable[int]) -> list[Clip]:
    """Return clips of the given frames, in order; nothing is computed yet, and common inputs stay shared.

    Frames of stages without memory equal those of a full pull. Raise ValueError if the clips' lengths differ.
    """
    check_lengths("This excerpt", clips)
    wanted = merge_spans((frame, frame + 1) for frame in frames)
    if not wanted or wanted[0][0] < 0 or wanted[-1][1] > clips[0].info.frames:
        raise ValueError(f"Choose frames between 0 and {clips[0].info.frames - 1}.")
    result = Rebuilt(clips, wanted)
    return [
        Clip(Step.over(_Pick(wanted, clip.maker.label, alone=True), result.clip(clip, wanted)))
        for clip in clips
    ]


@dataclass(frozen=True)
class Excerpt(ClipInfo):
    """Facts of a clip of which some shots are skipped; every frame that is not needed is in such a shot."""

    skipped: frozenset[int] = frozenset()  # numbers of shots

    @property
    def shots(self) -> list[tuple[int, int]]:
        return [shot for number, shot in enumerate(super().shots) if number not in self.skipped]


def _excerpt(info: ClipInfo, spans: Spans) -> Excerpt:
    """Return the facts of a clip cut at the edges of the spans too, and skipped outside of them."""
    edges = {edge for span in spans for edge in span if 0 < edge < info.frames}
    cuts = tuple(sorted({*info.cuts, *edges}))
    shots = zip((0, *cuts), (*cuts, info.frames))
    skipped = frozenset(
        number
        for number, shot in enumerate(shots)
        if not any(start <= shot[0] and shot[1] <= stop for start, stop in spans)
    )
    return Excerpt(**plain_facts(info, cuts=cuts), skipped=skipped)


def plain_facts(info: ClipInfo, **changes) -> dict:
    """Return a clip's facts without what has no meaning in pieces: its audio and its opacity."""
    return {fact.name: getattr(info, fact.name) for fact in dataclasses.fields(ClipInfo)} | {
        "audio": None,
        "alpha": None,
        **changes,
    }


def merge_spans(spans: Iterable[tuple[int, int]]) -> Spans:
    merged: Spans = []
    for start, stop in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(stop, merged[-1][1])
        else:
            merged.append((start, stop))
    return merged


class Rebuilt:
    """A copy of the graph that reads parts of its sources; ``wanted`` are the frames of its output clips.

    ``needed`` returns the input frames that a stage needs for part of its output. ``stages`` keeps the loaded
    stages, and so their networks, from one such graph to the next. ``label`` names the steps that trim clips;
    the default is their maker's label.
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        wanted: Spans,
        needed: Callable[[Step, Spans], Spans] | None = None,
        stages: StageCache | None = None,
        label: str = "",
    ):
        needed, self._label = needed or frames_needed, label
        self.rebuilt: dict[int, Source | Step] = {}
        self.picked: dict[tuple, Clip] = {}
        makers = makers_of(clips)
        demand: dict[int, Spans] = {id(clip.maker): wanted for clip in clips}
        needs: dict[int, Spans] = {}
        for maker in reversed(makers):
            if isinstance(maker, Step) and id(maker) in demand:
                needs[id(maker)] = need = needed(maker, demand[id(maker)])
                for source in _read(maker, need):
                    demand[id(source.maker)] = merge_spans([*demand.get(id(source.maker), ()), *need])
        for maker in makers:
            if id(maker) not in demand:
                continue  # in a branch that is not taken
            if isinstance(maker, Step):
                need = needs[id(maker)]
                inputs = _cut_alike([self.clip(source, need) for source in _read(maker, need)])
                recipe = _plain(maker)
                reused = getattr(recipe, "reused", None) if stages is not None else None
                self.rebuilt[id(maker)] = Step.over(reused(stages) if reused else recipe, *inputs)
            else:
                self.rebuilt[id(maker)] = _Parts(maker, demand[id(maker)])

    def clip(self, clip: Clip, spans: Spans) -> Clip:
        """Return the substitute of a clip, trimmed to exactly these spans; equal requests share it."""
        key = id(clip.maker), clip.port, tuple(spans)
        if key not in self.picked:
            result = Clip(self.rebuilt[id(clip.maker)], clip.port)
            exact = spans_of(result.info) == spans
            pick = _Pick(spans, self._label or clip.maker.label)
            self.picked[key] = result if exact else Clip(Step.over(pick, result))
        return self.picked[key]


def _read(step: Step, spans: Spans) -> tuple[Clip, ...]:
    """Return the inputs that a stage reads for these of their frames: all, or the only one it takes."""
    taken = getattr(step.recipe, "taken", None)
    place = taken(spans) if taken else None
    return step.inputs if place is None else (step.inputs[place],)


def _cut_alike(clips: Sequence[Clip]) -> list[Clip]:
    """The inputs of a stage, all cut where the first is: its cuts are those of everything the stage makes."""
    first, *others = clips
    cuts = first.info.cuts
    return [
        first,
        *(
            clip
            if clip.info.cuts == cuts or clip.info.frames != first.info.frames
            else Clip(Step.over(_Cuts(cuts, clip.maker.label), clip))
            for clip in others
        ),
    ]


def infos_of(maker: Source | Step) -> list[ClipInfo]:
    """Return the facts of all outputs of a maker."""
    return list(maker.infos.values()) if isinstance(maker, Step) else [maker.info]


def frames_needed(step: Step, spans: Spans) -> Spans:
    """Return the input frames a stage needs for part of its output.

    These are the neighbours, and the stage's context within their shot.
    """
    info, result = step.inputs[0].info, next(iter(step.infos.values()))
    around = getattr(step.recipe, "context", None)
    before, after = around(info) if around else (0, 0)
    # a frame stands up to half an output frame before the shot that owns it
    before += info.frames // (2 * result.frames)
    found = []
    for start, stop in (_between(step, *span) for span in spans):
        first, last = (bisect_right(info.cuts, frame) for frame in (start, stop - 1))
        begin = info.cuts[first - 1] if first else 0
        end = info.cuts[last] if last < len(info.cuts) else info.frames
        found.append((max(begin, start - before), min(end, stop + after)))
    return merge_spans(found)


def _between(step: Step, start: int, stop: int) -> tuple[int, int]:
    """Return the input frames of the output frames ``[start, stop)``, from where the stage maps a cut."""
    infos = [clip.info for clip in step.inputs]
    first, result = infos[0].replace(audio=None), next(iter(step.infos.values()))
    if (result.frames, result.fps, result.times) == (first.frames, first.fps, first.times):
        return start, stop
    recipe = _plain(step)

    def edge(frame: int) -> int:
        if not 0 < frame < first.frames:
            return result.frames if frame else 0
        described = recipe.describe(first.replace(cuts=(frame,)), *infos[1:])
        return (described if isinstance(described, ClipInfo) else next(iter(described.values()))).cuts[0]

    numbers = range(first.frames + 1)
    return bisect_right(numbers, start, hi=first.frames, key=edge) - 1, bisect_left(numbers, stop, key=edge)


def _plain(step: Step) -> Recipe:
    """Return the recipe of a step for excerpts.

    Cuts are set again. A loop, which needs the full clip, is left open.
    """
    recipe = step.recipe
    if isinstance(recipe, (Recut, Uncut)):
        return _Cuts(next(iter(step.infos.values())).cuts, recipe.label)
    unlooped = getattr(recipe, "unlooped", None)
    return unlooped() if unlooped and getattr(recipe, "loops", False) else recipe


def spans_of(info: ClipInfo) -> Spans:
    return merge_spans(shot for shot in info.shots if shot[0] < shot[1])


class _Parts:
    """Some parts of a source."""

    def __init__(self, source: Source, spans: Spans):
        self.source, self.spans, self.label = source, spans, source.label
        self.info = _excerpt(source.info, spans)

    def chunks(self, host: Host, frames: int) -> Generator[Tensor, None, None]:
        """Yield every part at its full length: if the file ends early, its last frame is repeated."""
        if not seekable(self.source):
            raise ValueError(f"{self.label} cannot be read from the middle. Save it to a file first.")
        for start, stop in self.spans:
            missing, chunk = stop - start, None
            for chunk in self.source.part(start, stop).chunks(host, frames):
                missing -= chunk.shape[TIME]
                yield chunk
            if chunk is None:
                raise ValueError(
                    f"no frame could be read around frame {start}. Check that the file is complete."
                )
            for _ in range(missing):
                yield chunk.narrow(TIME, chunk.shape[TIME] - 1, 1)


@dataclass(frozen=True)
class _Cuts(Relabelled):
    """The frames of an excerpt, with different cuts."""

    cuts: tuple[int, ...]
    label: str

    def describe(self, clip: ClipInfo) -> ClipInfo:
        return _excerpt(clip.replace(cuts=self.cuts), spans_of(clip))


@dataclass(frozen=True)
class _Pick(Weightless):
    """Spans of an excerpt; ``alone``: as a clip that consists of them."""

    spans: Spans
    label: str
    alone: bool = False

    def describe(self, clip: ClipInfo) -> ClipInfo:
        if not self.alone:
            return _excerpt(clip, self.spans)
        count = sum(stop - start for start, stop in self.spans)
        return ClipInfo(**plain_facts(clip, frames=count, cuts=tuple(range(1, count)), times=None))

    def __call__(self, shot: Shot, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        place = shot.start
        for chunk in chunks:
            frames = [
                number - place
                for start, stop in self.spans
                for number in range(max(start, place), min(stop, place + chunk.shape[TIME]))
            ]
            place += chunk.shape[TIME]
            if frames:
                yield chunk.index_select(TIME, torch.tensor(frames, device=chunk.device))
