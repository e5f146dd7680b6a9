"""Store what the stages of a film found by looking ahead, so that resuming uses the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path

from ..core.clip import Clip, LooksAhead, Step, looks_ahead, makers_of
from ..core.error_context import naming
from ..core.files import save_text
from ..core.host import Host
from ..media.write.request import RenderRequest
from .identity import FOUND, described, digest
from .job_root import PLANS, alone, prepare, read_json


def stages(clips: Iterable[Clip]) -> list[LooksAhead]:
    """Return the stages of the clips that may look ahead, sources first."""
    recipes = (maker.recipe for maker in makers_of(clips) if isinstance(maker, Step))
    return [recipe for recipe in recipes if looks_ahead(recipe)]


def found(clips: Iterable[Clip]) -> list[str]:
    """Return what was found for each stage of the clips; empty if nothing was needed."""
    return [recipe.found for recipe in stages(clips)]


def recall(clips: Iterable[Clip], known: list[str]) -> None:
    """Give what ``found`` returned to the same stages; what they cannot read is found again."""
    for recipe, text in zip(stages(clips), known):
        if text:
            recipe.recall(text)


def name_of(identity: dict) -> str:
    """Return the name of a film, by what is known of it before looking ahead."""
    made = [{name: value for name, value in one.items() if name != FOUND} for one in identity["made"]]
    return digest({**identity, "made": made})


def read(job: Path, name: str, clips: Iterable[Clip]) -> None:
    """Load what a job has stored for the film of this name; corrupt entries are ignored."""
    known = _stored(job).get(name)
    if isinstance(known, list) and all(isinstance(text, str) for text in known):
        recall(clips, known)


def write(job: Path, name: str, clips: Iterable[Clip]) -> None:
    """Store it for the next run, if anything was found."""
    if any(known := found(clips)):
        prepare(job)
        with alone(job):
            save_text(job / PLANS, json.dumps({**_stored(job), name: known}, indent=1), replace=True)


def choose_branches(job: Path, request: RenderRequest, host: Host, say: Callable[[str, str], None]) -> None:
    """Let stages decide which branch each shot comes from, unless the job knows it: units end there."""
    choosing = [stage for stage in stages(request.clips) if hasattr(stage, "turns")]
    if not choosing:
        return
    read(job, name_of(described(request.clips, request.settings, host)), request.clips)
    for stage in choosing:
        with naming(stage.label):
            if said := stage.look_ahead(host):
                say(stage.label, said)


def _stored(job: Path) -> dict:
    known = read_json(job / PLANS) if (job / PLANS).is_file() else None
    return known if isinstance(known, dict) else {}
