"""Stages that are chosen and not loaded: what a clip holds until somebody pulls it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from . import catalog
from .catalog import Entry
from .clip import Clip, ClipInfo, Stage, Step
from .host import Host
from .options import resolve


@dataclass(frozen=True)
class Plan:
    """A stage by name and options, not loaded: what a clip holds. Options are checked when it is made."""

    kind: str
    given: Mapping
    label: str

    def __post_init__(self):
        resolve(catalog.options(self.kind), self.given)

    @property
    def settings(self):
        return resolve(catalog.options(self.kind), self.given)

    def describe(self, *infos: ClipInfo) -> ClipInfo | dict[str, ClipInfo]:
        return catalog.module(self.kind).describe(self.settings, *infos)

    def choose(self, host: Host) -> tuple[Entry, str]:
        """What runs, its weights present, and why."""
        return catalog.chosen(self.kind, self.settings, host)

    def load(self, host: Host) -> Stage:
        return catalog.stage(self.kind, self.settings, host, self.label)


def plans(*clips: Clip) -> Iterator[Plan]:
    """The stages of the catalogue that clips are made by, each once, sources first."""
    seen = set()

    def walk(clip: Clip) -> Iterator[Plan]:
        if id(clip.maker) in seen or not isinstance(clip.maker, Step):
            return
        seen.add(id(clip.maker))
        for source in clip.maker.inputs:
            yield from walk(source)
        if isinstance(clip.maker.recipe, Plan):
            yield clip.maker.recipe

    for clip in clips:
        yield from walk(clip)
