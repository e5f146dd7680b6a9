"""Loaded stages that many runs share, and a host that reports the progress of all of them as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ...core.clip import Clip, Step, makers_of, substituted
from ...core.host import Host
from ...core.stage_cache import StageCache
from ...models.lazy_stage import KeptPlan, Plan


def shared(clip: Clip, stages: StageCache) -> Clip:
    """Return a clip with stages from ``stages``: of each set of options as many as a graph runs together."""
    nth: Counter[tuple] = Counter()
    kept = {}
    for maker in makers_of([clip]):
        if isinstance(maker, Step) and isinstance(plan := maker.recipe, Plan):
            key = plan.kind, repr(sorted(plan.given.items()))
            kept[id(maker)] = replace(maker, recipe=KeptPlan(plan, stages, (*key, nth[key])))
            nth[key] += 1
    [result] = substituted([clip], lambda maker: kept.get(id(maker), maker))
    return result


@dataclass
class LabHost:
    """A host that reports the progress of all runs together and detects moved networks of ``stages``."""

    host: Host
    stages: StageCache
    total: int  # frames of all runs; 0 shows no progress
    before: int = 0
    places: dict[int, tuple[int, ...]] = field(default_factory=dict)  # of each stage's weights

    def __getattr__(self, name: str):
        return getattr(self.host, name)

    def place(self, nets: Sequence, memory: int) -> object:
        """Place networks; stages drop what they recorded for networks that were moved."""
        placed = self.host.place(nets, memory)
        for stage in self.stages.stages():
            where = tuple(weights.data_ptr() for net in stage.nets for weights in net.parameters())
            if self.places.setdefault(id(stage), where) != where:
                self.places[id(stage)] = where
                if hasattr(stage, "forget"):
                    stage.forget()
        return placed

    def tick(self, done: int, total: int) -> None:
        self.host.tick(*((self.before + done, self.total) if total and self.total else (0, 0)))
