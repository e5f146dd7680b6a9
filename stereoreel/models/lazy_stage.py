"""Stages that are selected but not loaded: what a clip holds until it is pulled."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

from ..core.clip import Clip, ClipInfo, Stage, Step, makers_of
from ..core.error_context import naming
from ..core.host import Host
from ..core.stage_cache import StageCache
from . import catalog
from .catalog import Entry
from .ncnn_files import halves
from .weights import find_file


class Ahead(Protocol):
    """Options of a stage that are found in its complete clips, and kept as texts in ``found``."""

    @property
    def found(self) -> Mapping[Any, str]: ...

    def recall(self, options: Any, text: str) -> None:
        """Take what was found for options before, unless it is corrupt."""
        ...

    def completed(self, options: Any) -> Any:
        """Return options with those found for them, if any."""
        ...

    def find(self, options: Any, host: Host) -> str:
        """Find what these options need; return a sentence about it, or nothing if nothing was to be done."""
        ...


@dataclass(frozen=True, eq=False)
class Plan:
    """A stage by name and options, not loaded. Options are checked on creation.

    Plans are equal only to themselves, because two steps of a graph are two stages even if their options
    agree. ``ahead`` finds, before the first frame, options that depend on the complete clips.
    """

    kind: str
    given: Mapping
    label: str
    ahead: Ahead | None = None
    picture_only = True

    def __post_init__(self):
        catalog.settings_of(self.kind, self.given)

    def over(self, clips: Sequence[Clip]) -> Plan:
        """Return the plan for these clips, in which its kind may have to look ahead."""
        ahead = getattr(catalog.module(self.kind), "ahead", None)
        return replace(self, ahead=ahead(clips)) if ahead else self

    @property
    def wanted(self) -> Any:
        """The options as they were given, in the class of the kind."""
        return catalog.settings_of(self.kind, self.given)

    @property
    def settings(self) -> Any:
        """The options as values, with those that have been found in the clips."""
        return self.ahead.completed(self.wanted) if self.ahead else self.wanted

    def look_ahead(self, host: Host) -> str:
        """Find what depends on the complete clips; return a sentence about it if that was news."""
        return self.ahead.find(self.wanted, host) if self.ahead else ""

    @property
    def found(self) -> str:
        """What looking ahead has found, as a text; empty if nothing."""
        return self.ahead.found.get(self.wanted, "") if self.ahead else ""

    def recall(self, text: str) -> None:
        """Take what was found before, unless it is corrupt."""
        if self.ahead:
            self.ahead.recall(self.wanted, text)

    def context(self, frames: ClipInfo) -> tuple[int, int]:
        """Return how many frames before and after one its kind needs in addition to the two around it."""
        return catalog.module(self.kind).context(self.settings, frames)

    @property
    def faithful(self) -> bool:
        """Whether the stage leaves everything in its place in the frame."""
        return catalog.module(self.kind).FAITHFUL

    @property
    def masks(self) -> tuple[str, ...]:
        """The outputs that say where something is, and so nothing in bars."""
        return getattr(catalog.module(self.kind), "MASKS", ())

    def rate(self, frames: ClipInfo) -> Fraction | None:
        """Return the frames that the stage makes of a second of its first input; None: as many as it has."""
        find = getattr(catalog.module(self.kind), "target_fps", None)
        return find(self.settings, frames) if find else None

    @property
    def loops(self) -> bool:
        """Whether the stage leads from the last frame to the first."""
        return getattr(self.settings, "loop", False)

    def unlooped(self) -> Plan:
        return replace(self, given={**self.given, "loop": False})

    def reused(self, stages: StageCache) -> KeptPlan:
        return KeptPlan(self, stages, self)

    def describe(self, *infos: ClipInfo) -> ClipInfo | dict[str, ClipInfo]:
        return catalog.module(self.kind).describe(self.settings, *infos)

    def choose(self, host: Host) -> tuple[Entry, str]:
        """Return the entry that runs, with weights present, and why."""
        return catalog.chosen(self.kind, self.settings, host)

    def files(self, host: Host) -> list[Path]:
        """Return the paths of the weights that run."""
        with naming(self.label):
            entry, _ = self.choose(host)
        places = [place for part in entry.parts.values() if (place := find_file(host, self.kind, part.file))]
        return [file for place in places for file in (place.iterdir() if place.is_dir() else halves(place))]

    def resamples(self, host: Host) -> bool:
        """Whether the model that runs only resizes every channel by itself, by Lanczos."""
        archs = getattr(catalog.module(self.kind), "RESAMPLERS", ())
        return bool(archs) and self.choose(host)[0].arch in archs

    def load(self, host: Host) -> Stage:
        return catalog.stage(self.kind, self.settings, host, self.label)


@dataclass(frozen=True, eq=False)
class KeptPlan:
    """A plan with its stage loaded once and kept in ``stages``, under ``key``, for all its graphs."""

    plan: Plan
    stages: StageCache[Stage]
    key: Hashable
    picture_only = True

    @property
    def masks(self) -> tuple[str, ...]:
        return self.plan.masks

    def rate(self, frames: ClipInfo) -> Fraction | None:
        return self.plan.rate(frames)

    @property
    def label(self) -> str:
        return self.plan.label

    @property
    def kind(self) -> str:
        return self.plan.kind

    @property
    def settings(self):
        return self.plan.settings

    def look_ahead(self, host: Host) -> str:
        return self.plan.look_ahead(host)

    def describe(self, *infos: ClipInfo) -> ClipInfo | dict[str, ClipInfo]:
        return self.plan.describe(*infos)

    def load(self, host: Host) -> Stage:
        stage = self.stages.get(self.key, lambda: self.plan.load(host))
        if counts := getattr(stage, "counts", None):
            counts.clear()  # they were recorded when the last pull ended
        return stage


def plans(*clips: Clip) -> Iterator[Plan]:
    """Yield the stages of the catalogue that clips depend on, each once, sources first."""
    for maker in makers_of(clips):
        if isinstance(maker, Step) and isinstance(maker.recipe, Plan):
            yield maker.recipe
