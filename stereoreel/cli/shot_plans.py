"""Options of ``film`` for what is planned by shot: read a plan from a CSV file, or write one to edit it."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.clip import Clip
from ..core.error_context import naming
from ..core.files import save_text
from ..core.host import Host
from ..core.output_names import refuse_harm
from ..core.pull import look_ahead
from ..core.system_errors import plain_errors
from ..film import plans
from ..media.write.request import files_read
from ..workflow.graph import Graph, declared, override
from ..workflow.node_specs import NODES
from .progress import print_above

LARGEST = 16 << 20  # bytes of a plan


@dataclass(frozen=True)
class Planned:
    """A kind of node with the option ``plan``: its words in the terminal, and the remedy if it has none."""

    kind: str
    word: str  # of --WORD-plan
    read: str
    written: str
    remedy: str

    @property
    def reading(self) -> str:
        return f"--{self.word}-plan"

    @property
    def writing(self) -> str:
        return f"--write-{self.word}-plan"

    def file_of(self, options: Namespace, flag: str) -> Path | None:
        return getattr(options, flag.strip("-").replace("-", "_"))


KINDS = (
    Planned(
        "stereo",
        "stereo",
        "strength and convergence by shot, for Stereo; default: found ahead if its strength is set",
        "find the strength of each shot, write it into this file, to edit it, and exit",
        "Set Stereo's strength, such as with --set stereo.strength=normal, and leave its plan empty.",
    ),
    Planned(
        "switch",
        "shot",
        "noisy or clean by shot, for Shot Switch; default: measured before the first frame",
        "measure the shots, write which are noisy into this file, to edit it, and exit",
        "Choose a workflow with a Shot Switch, such as by_shot, and leave its plan empty.",
    ),
)


def declare(film) -> None:
    """Add the options to the command."""
    for planned in KINDS:
        film.add_argument(planned.reading, type=Path, metavar="CSV", help=planned.read)
        film.add_argument(planned.writing, type=Path, metavar="CSV", help=planned.written)


def given(graph: Graph, options: Namespace) -> Graph:
    """Return the workflow with the plans of files; raise ValueError or OSError if one has none."""
    for planned in KINDS:
        if path := planned.file_of(options, planned.reading):
            text = _text(path, planned)
            nodes = [node_id for node_id, node in declared(graph).items() if node.kind == planned.kind]
            with naming(planned.reading):
                if not nodes:
                    name = next(node.name for node in NODES if node.kind == planned.kind)
                    raise ValueError(
                        f"this workflow has no {name}. Leave the plan out, or choose a workflow with one."
                    )
                graph = override(graph, [f"{node}.plan={text}" for node in nodes])
    return graph


def _text(path: Path, planned: Planned) -> str:
    with plain_errors(path), naming(str(path)):
        if path.stat().st_size > LARGEST:
            raise ValueError("this file is too large for a plan of shots. Choose another one.")
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise ValueError("this file is not text. Save the table as CSV in UTF-8.") from None
        if not text.strip():
            raise ValueError(f"this file is empty. Write a plan of shots with {planned.writing}.")
    return text


def wanted(options: Namespace) -> Planned | None:
    """Return which plan is to be written; None if none is. Raise ValueError if there are several."""
    found = [planned for planned in KINDS if planned.file_of(options, planned.writing)]
    if len(found) > 1:
        raise ValueError(f"{found[0].writing} and {found[1].writing} are two commands. Run one at a time.")
    return found[0] if found else None


def write(planned: Planned, options: Namespace, clips: Sequence[Clip], host: Host) -> Path:
    """Find the plan of the stages of a kind of a workflow's clips, and write it; return the path."""
    path = planned.file_of(options, planned.writing)
    assert path
    refuse_harm([path], [options.workflow, *files_read(clips, host)], options.overwrite)
    look_ahead(clips, host, lambda label, text: print_above(f"{label}: {text}."))
    found = {stage.found for stage in plans.stages(clips) if stage.kind == planned.kind and stage.found}
    if len(found) > 1:
        raise ValueError("Several nodes have different plans. Write the plan of a workflow with one of them.")
    if not found:
        raise ValueError(f"There is no plan to write, because no stage had to find one. {planned.remedy}")
    return save_text(path, found.pop(), replace=options.overwrite)
