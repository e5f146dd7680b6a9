"""Options of ``film`` for the plan of Stereo's strength by shot: read it from a CSV file, or write one."""

from __future__ import annotations

from collections.abc import Sequence
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
from ..workflow.graph import Graph, override
from .progress import print_above

LARGEST = 16 << 20  # bytes of a plan


def declare(film) -> None:
    """Add the options to the command."""
    film.add_argument(
        "--stereo-plan",
        type=Path,
        metavar="CSV",
        help="strength and convergence by shot, for Stereo; default: found ahead if its strength is set",
    )
    film.add_argument(
        "--write-stereo-plan",
        type=Path,
        metavar="CSV",
        help="find the strength of each shot, write it into this file, to edit it, and exit",
    )


def given(graph: Graph, path: Path | None) -> Graph:
    """Return the workflow with the plan of a file; raise ValueError or OSError if it has none."""
    if path is None:
        return graph
    with plain_errors(path), naming(str(path)):
        if path.stat().st_size > LARGEST:
            raise ValueError("this file is too large for a plan of shots. Choose another one.")
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise ValueError("this file is not text. Save the table as CSV in UTF-8.") from None
        if not text.strip():
            raise ValueError("this file is empty. Write a plan of shots with --write-stereo-plan.")
    with naming("--stereo-plan"):
        return override(graph, [f"stereo.plan={text}"])


def write(path: Path, workflow: Path, clips: Sequence[Clip], host: Host, overwrite: bool) -> Path:
    """Find the plan of the only Stereo stage of a workflow's clips and write it; return the path."""
    refuse_harm([path], [workflow, *files_read(clips, host)], overwrite)
    look_ahead(clips, host, lambda label, text: print_above(f"{label}: {text}."))
    found = [text for text in plans.found(clips) if text]
    if len(found) != 1:
        raise ValueError(
            "There is no plan to write, because no stage had to find one. Set Stereo's strength, such as "
            "with --set stereo.strength=normal, and leave its plan empty."
        )
    return save_text(path, found[0], replace=overwrite)
