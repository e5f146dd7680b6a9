"""Loaded stages that many runs share, and a host that tells the progress of all of them as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ...core.clip import Clip, ClipInfo, Stage, Step
from ...core.excerpt import makers_of
from ...core.host import Host
from ...models.lazy_stage import Plan


class Shelf:
    """Loaded stages, for every order and every window that has one of the same options: what they remember ends with a shot."""

    def __init__(self):
        self.stages: dict[tuple, Stage] = {}
        self.used: dict[str, str] = {}  # the model that runs, by kind
        self._places: dict[int, tuple[int, ...]] = {}

    def keep(self, clip: Clip, source: Clip) -> dict[str, str]:
        """Make the stages of a clip use the shelf; by label the kinds of those that were added to ``source``."""
        kinds, nth = {}, Counter()
        before = {id(maker) for maker in makers_of([source])}
        for maker in makers_of([clip]):
            if isinstance(maker, Step) and isinstance(maker.recipe, Plan):
                plan = maker.recipe
                key = plan.kind, repr(sorted(plan.given.items()))
                maker.recipe = _Kept(plan, self, (*key, nth[key]))
                nth[key] += 1
                if id(maker) not in before:
                    kinds[maker.label] = plan.kind
        return kinds

    def placed(self) -> None:
        """Networks have been placed: stages whose own were moved let go what they recorded for them."""
        for stage in self.stages.values():
            where = tuple(weights.data_ptr() for net in stage.nets for weights in net.parameters())
            if self._places.setdefault(id(stage), where) != where:
                self._places[id(stage)] = where
                if hasattr(stage, "forget"):
                    stage.forget()


@dataclass(frozen=True)
class _Kept:
    plan: Plan
    shelf: Shelf
    key: tuple

    @property
    def label(self) -> str:
        return self.plan.label

    @property
    def kind(self) -> str:
        return self.plan.kind

    @property
    def settings(self):
        return self.plan.settings

    def describe(self, *infos: ClipInfo):
        return self.plan.describe(*infos)

    def load(self, host: Host) -> Stage:
        if self.key not in self.shelf.stages:
            self.shelf.used[self.kind] = self.plan.choose(host)[0].name
            self.shelf.stages[self.key] = self.plan.load(host)
        stage = self.shelf.stages[self.key]
        if counts := getattr(stage, "counts", None):
            counts.clear()  # they were noted when the last run ended
        return stage


@dataclass
class LabHost:
    """A host whose progress is that of all runs together."""

    host: Host
    shelf: Shelf
    total: int  # frames of all runs; 0 shows no progress
    before: int = 0

    def __getattr__(self, name: str):
        return getattr(self.host, name)

    def place(self, nets: Sequence, memory: int) -> object:
        placed = self.host.place(nets, memory)
        self.shelf.placed()
        return placed

    def tick(self, done: int, total: int) -> None:
        self.host.tick(*((self.before + done, self.total) if total and self.total else (0, 0)))
