"""A film of a few excerpts of another, through the same graph, to extrapolate the full cost from."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...core import excerpt
from ...core import transforms as views
from ...core.clip import Clip, ClipInfo, SeekableSource, Shot, Source, Step, seekable, substituted
from ...core.host import Host
from ...core.per_eye import TIME
from ...core.pull import chunk_bytes
from ...core.stage_cache import StageCache
from ...models.lazy_stage import Plan

JOINT = "Excerpts"  # joins excerpts, which the complete film does not need
LEAST, ENOUGH = 12, 24  # frames of an excerpt, if time allows
MOST = 8  # excerpts


def least(clips: Sequence[Clip], device: torch.device) -> int:
    """Return the frames of an excerpt that fills two chunks, and so needs as much memory as a film."""
    largest = max(info.frame_bytes for maker in excerpt.makers_of(clips) for info in excerpt.infos_of(maker))
    return max(LEAST, min(ENOUGH, 2 * chunk_bytes(device) // largest))


def spans(info: ClipInfo, frames: int, each: int = LEAST) -> excerpt.Spans:
    """Return about ``frames`` frames of a clip in excerpts of at least ``each``, each within a shot.

    They are spread over the clip; all of it if that is not much more. There are at least two, shorter ones if
    necessary.
    """
    if frames > 0.8 * info.frames:
        return [(0, info.frames)]
    found: excerpt.Spans = []
    count = max(2, min(MOST, frames // each))
    while True:
        length, before = -(-frames // count), sum(stop - start for start, stop in found)
        found = excerpt.merge_spans(
            _around(info, place, length) for place in excerpt.evenly_spaced(info.frames, count)
        )
        have = sum(stop - start for start, stop in found)
        if have >= 0.75 * frames or have <= before or count >= info.frames:
            return found
        count *= 2  # the shots are shorter than that


def _around(info: ClipInfo, place: int, length: int) -> tuple[int, int]:
    """Return frames centred on ``place``, within its shot."""
    begin, end = next(shot for shot in info.shots if shot[0] <= place < shot[1])
    start = max(begin, min(place - length // 2, end - length))
    return start, min(end, start + length)


class Excerpts:
    """The clips of a job, computed in one pull, trimmed to ``wanted``; ``stages`` serves all such films.

    When ``until`` (of ``time.monotonic``) has passed the film ends early. ``late`` are the seconds of waiting
    for sources at the start of excerpts, which a continuous film does not have.
    """

    def __init__(
        self, clips: Sequence[Clip], wanted: excerpt.Spans, stages: StageCache, until: float = math.inf
    ):
        self.late = 0.0
        timed = substituted(clips, self._waited)
        rebuilt = excerpt.Rebuilt(timed, wanted, _needed, stages, JOINT)
        joined = (_Joined(tuple(wanted), math.inf if place else until) for place in range(len(timed)))
        self.clips = [
            Clip(Step.over(recipe, rebuilt.clip(clip, wanted))) for recipe, clip in zip(joined, timed)
        ]

    def _waited(self, maker: Source | Step) -> Source | Step:
        return _Waited(maker, self) if seekable(maker) else maker

    @property
    def info(self) -> ClipInfo:
        return self.clips[0].info


def _needed(step: Step, wanted: excerpt.Spans) -> excerpt.Spans:
    """Return the frames that a stage needs for some of its output.

    Depth gets no context, because each extra frame costs it as much as a wanted one, a dozen each time.
    """
    if isinstance(step.recipe, Plan) and step.recipe.kind == "depth":
        return wanted
    return excerpt.frames_needed(step, wanted)


@dataclass(frozen=True)
class _Joined(views.Weightless):
    """Excerpts one after the other as a clip of their own; ends early when its time is over."""

    wanted: tuple[tuple[int, int], ...]
    until: float
    label: str = JOINT

    def describe(self, clip: ClipInfo) -> ClipInfo:
        cuts, frames = set(), 0
        for start, stop in self.wanted:
            cuts |= {frames + cut - start for cut in (start, *clip.cuts) if start <= cut < stop}
            frames += stop - start
        return ClipInfo(
            **excerpt.plain_facts(clip, frames=frames, cuts=tuple(sorted(cuts - {0})), times=None)
        )

    def __call__(self, shot: Shot, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        if shot.start > self.wanted[0][0] and time.monotonic() > self.until:
            return
        for chunk in chunks:
            yield chunk
            if time.monotonic() > self.until:
                return


class _Waited:
    """A source that measures how much longer the start of each part takes than the rest."""

    def __init__(self, source: SeekableSource, excerpts: Excerpts):
        self._source, self._excerpts, self.label, self.info = source, excerpts, source.label, source.info
        self._part = source

    def part(self, start: int, stop: int) -> _Waited:
        part = _Waited.__new__(_Waited)
        part.__dict__.update(self.__dict__, _part=self._source.part(start, stop))
        return part

    def chunks(self, host: Host, frames: int) -> Generator[Tensor, None, None]:
        waits: list[float] = []
        chunks, begun = self._part.chunks(host, frames), time.perf_counter()
        for chunk in chunks:
            waits.append((time.perf_counter() - begun) / chunk.shape[TIME])
            frames = min(frames, chunk.shape[TIME])
            if len(waits) == 2:
                self._excerpts.late += max(0.0, waits[0] - waits[1]) * frames
            yield chunk
            begun = time.perf_counter()
