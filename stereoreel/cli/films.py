"""Many films with one command: each is a job of its own, and one that fails does not stop the others."""

from __future__ import annotations

import argparse
import json
import os
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from ..core.files import save_text
from ..core.options import one_line
from ..core.output_names import refuse_harm
from ..core.system_errors import DISK_FULL, plain_error
from ..media.paths import check_name
from .paths import source
from .warned import print_above

if TYPE_CHECKING:
    from ..film.batch import Batch
    from ..workflow.graph import Graph

# Errors of one film after which the others can still be made.
FAILURES = (ValueError, OSError, RuntimeError, TypeError, ImportError, ArithmeticError, LookupError,
            AssertionError)  # fmt: skip
LONGEST_LABEL = 40  # characters of a film's name
SUMMARY = '{\n "stereoreel_films"'  # the beginning of a summary


class Made(NamedTuple):
    """The files of a finished film, ``frames`` long; ``complete`` if an earlier run had finished it."""

    paths: Sequence[Path]
    frames: int
    complete: bool = False


@dataclass
class Entry:
    """What a summary says about one film.

    ``state`` is ``pending``, ``made``, ``complete`` (by an earlier run), ``failed``, ``cancelled`` or
    ``left out``.
    """

    input: str
    output: str | None
    state: str = "pending"
    files: list[str] = field(default_factory=list)
    frames: int | None = None
    seconds: float = 0.0
    warnings: list[str] = field(default_factory=list)
    error: str | None = None

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Take the time; of a film that is made in the background, from its beginning to its end."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.seconds = self.seconds or round(time.monotonic() - begun, 3)


def add_input(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the films."""
    parser.add_argument(
        "--input",
        type=source,
        nargs="+",
        default=[],
        help="the video that Extract opens, or 'sample'; or several, a folder, or a pattern such as "
        "'clips/**/*.mp4': each film is then written into the folder --output, under its own name",
    )


def add_summary(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--summary", type=Path, help="with several films: a JSON file that says what became of each"
    )


def one_workflow(options) -> None:
    """Take a workflow that follows the inputs, as in ``--input a.mp4 default``, for what it is."""
    if options.workflow is None and len(options.input) > 1:
        options.workflow = options.input.pop()
    if options.workflow is None:
        raise ValueError("Name a workflow before --input, such as default.")


def graph_of(options) -> Graph:
    """Return the workflow with the options of ``--set``; ``--input`` replaces a folder that Extract names."""
    from ..media.extract_options import NO_FOLDER
    from ..workflow import graph as workflow
    from ..workflow.nodes.extract import NODE

    graph = workflow.override(workflow.read(options.workflow), options.set)
    for node in graph.values():
        if options.input and node["class_type"] == NODE.id and isinstance(node["inputs"].get("folder"), str):
            node["inputs"]["folder"] = NO_FOLDER
    return graph


def batch_of(
    options, graph: Graph, owns: Callable[[argparse.Namespace], bool] = lambda own: False
) -> Batch | None:
    """Return the films that ``--input`` names; None if it names one video, or none.

    ``owns`` is whether an earlier run has made, or begun, the output from the input. Raise ValueError if
    there is no film, or ``--output`` names no folder.
    """
    from ..film.batch import Naming, choose, names_many

    if not names_many(options.input, options.output):
        if options.summary:
            raise ValueError("--summary is for several films. Name a folder or a pattern with --input.")
        return None
    suffix, also = _files(graph)
    if options.output is None:
        raise ValueError("Several films need a folder. Name one with --output.")
    if not options.output.is_dir() and (
        (suffix and options.output.suffix.lower() == suffix) or options.output.is_file()
    ):
        one = len(options.input) == 1 and options.input[0].is_dir()
        many = f"--input {_shown(options.input[0])} is a folder" if one else "--input names several films"
        raise ValueError(
            f"{many}, but --output {options.output} names one file. Name a folder with --output, such as "
            f"{options.output.with_suffix('')}."
        )
    check_name(options.output, "output")
    naming = Naming(suffix, also, lambda source, output: owns(_options_of(options, source, output)))
    found = choose(options.input, options.output, naming)
    if not found.films and not any(problem.fault for problem in found.left_out):
        for problem in found.left_out:
            print_above(_left_out(problem))
        raise ValueError(f"There is no video in {', '.join(map(_shown, options.input))}. Check the name.")
    return found


def _files(graph: Graph) -> tuple[str, Callable[[Path], list[Path]]]:
    """Return the suffix of a workflow's file, and the files that it writes besides."""
    from ..media.layouts.layout import TWO_FILES, WITH_DEPTH
    from ..media.write.options import extension
    from ..media.write.request import depth_path, right_path
    from ..workflow.graph import sinks

    settings, has_depth = only(sinks(graph))

    def also(path: Path) -> list[Path]:
        eyes = [right_path(path)] if settings.layout == TWO_FILES else []
        if not has_depth or settings.layout in WITH_DEPTH:
            return eyes
        depth = depth_path(path)
        return [*eyes, depth, *([right_path(depth)] if eyes else [])]

    return extension(settings), also


Sink = TypeVar("Sink")


def only(sinks: Sequence[Sink]) -> Sink:
    """Return the one Encode node of a workflow; raise ValueError if there are several."""
    if len(sinks) != 1:
        raise ValueError(
            f"A film needs one Encode Video node, but this workflow has {len(sinks)}. "
            "Make a workflow for each."
        )
    return sinks[0]


def check_summary(options, graph: Graph, batch: Batch) -> None:
    """Raise if ``--summary`` names a file that is not a summary, or one that the films need."""
    if (path := options.summary) is None:
        return
    from ..film import job_folder

    check_name(path, "--summary")
    refuse_harm([path], [options.workflow, *(film.source for film in batch.films)], overwrite=True)
    also, taken = _files(graph)[1], set()
    for film in batch.films:
        own = (film.output, *also(film.output))
        taken |= {os.path.realpath(file) for file in (*own, *map(job_folder, own))}
    if os.path.realpath(path) in taken:
        raise ValueError(f"{path} is the name of a film or of its job. Choose another --summary.")
    if path.is_file() and not options.overwrite:
        with open(path, "rb") as file:
            if file.read(len(SUMMARY)) not in (b"", SUMMARY.encode()):
                raise FileExistsError(
                    f"{path} is not a summary of StereoReel. Choose another --summary, or replace it with "
                    "--overwrite."
                )


def entries_of(batch: Batch) -> list[Entry]:
    return [Entry(str(film.source), str(film.output)) for film in batch.films]


def run_films(
    options,
    graph: Graph,
    batch: Batch,
    make: Callable[[argparse.Namespace, str], Made],
    entries: Sequence[Entry] | None = None,
) -> int:
    """Make every film; report what is left out, and at the end what failed. Return 1 if any film failed.

    ``make`` receives the options of one film, and a label for its bar. ``entries`` are those of the batch, if
    something is known of them already. After Ctrl-C, or if the disk is full, no other film is begun.
    """
    check_summary(options, graph, batch)
    entries = entries or entries_of(batch)
    others = [
        Entry(str(problem.path), None, "failed" if problem.fault else "left out", error=problem.why)
        for problem in batch.left_out
    ]
    for problem in batch.left_out:
        print_above(_left_out(problem))
    try:
        for entry, (own, label) in zip(entries, each_film(options, batch)):
            with _surviving(entry, options.trace), options.warned.of_one_film(entry.warnings):
                made = make(own, label)
                entry.state = "complete" if made.complete else "made"
                entry.files, entry.frames = [str(path) for path in made.paths], made.frames
    finally:
        _end(options, [*entries, *others])
    return int(any(entry.state == "failed" for entry in (*entries, *others)))


def each_film(options, batch: Batch) -> Iterator[tuple[argparse.Namespace, str]]:
    """Yield the options of each film, and a label for its bar."""
    for number, film in enumerate(batch.films, 1):
        own = _options_of(options, film.source, film.output)
        yield own, f"{number} of {len(batch.films)} · {_short(film.name)}"


def _short(name: PurePath) -> str:
    """Return the end of a film's name, which fits next to a bar."""
    text = _printable(str(name))
    return text if len(text) <= LONGEST_LABEL else f"…{text[-LONGEST_LABEL:]}"


def _options_of(options, source: Path, output: Path) -> argparse.Namespace:
    """Return the options of one film of many."""
    own = argparse.Namespace(**vars(options))
    own.input, own.output = source, output
    if getattr(options, "job", None):
        from ..film import job_folder

        own.job = options.job / job_folder(output).relative_to(options.output)
    return own


@contextmanager
def _surviving(entry: Entry, trace: bool) -> Iterator[None]:
    """Record the time, and an error that the other films survive."""
    try:
        with entry.timed():
            yield
    except FAILURES as error:
        entry.state, entry.error = "failed", sentence(error)
        if trace:
            traceback.print_exc()
        print_above(f"error: {_printable(entry.input)}: {entry.error}")
        if getattr(error, "errno", None) in DISK_FULL:
            raise
    except KeyboardInterrupt:
        entry.state = "cancelled"
        raise


def sentence(error: Exception) -> str:
    """Return the message of an error; system errors have only a number and a path."""
    return plain_error(error) if isinstance(error, OSError) and error.strerror else str(error)


def show(paths: Iterable[Path], stream) -> None:
    """Print paths, also those that the terminal's encoding cannot express."""
    for path in paths:
        print(_printable(str(path), getattr(stream, "encoding", None) or "utf-8"), file=stream, flush=True)


def _printable(text: str, encoding: str = "utf-8") -> str:
    return one_line(text).encode(encoding, "backslashreplace").decode(encoding)


def _end(options, entries: Sequence[Entry]) -> None:
    """Print what became of the films, and write the summary."""
    films = [entry for entry in entries if entry.state != "left out"]
    counts = {state: sum(entry.state == state for entry in films) for state in ("made", "complete", "failed")}
    done = counts["made"] + counts["complete"]
    facts = {
        "stereoreel_films": len(films),
        "complete": done,
        "failed": counts["failed"],
        "films": [asdict(entry) for entry in entries],
    }
    if options.summary:
        try:
            save_text(options.summary, json.dumps(facts, indent=1) + "\n", replace=True)
        except OSError as error:  # must not hide a cancel or the films' own errors
            print_above(f"error: {sentence(error)}")
    if getattr(options, "json", False):
        print(json.dumps(facts), flush=True)
    print_above(f"{done} of {len(films)} {'film is' if len(films) == 1 else 'films are'} complete.")
    if failed := [entry for entry in films if entry.state == "failed"]:
        print_above(f"{len(failed)} failed:")
        for entry in failed:
            print_above(f"  {_printable(entry.input)}: {entry.error}")
        print_above("Correct what is named, then run the same command. Complete films are not made again.")
    if done + len(failed) < len(films):
        print_above("Run the same command again to continue.")


def _left_out(problem) -> str:
    what = f"{_shown(problem.path)}: {problem.why}"
    return f"error: {what}" if problem.fault else f"Left out {what.rstrip('.')}."


def _shown(path: Path) -> str:
    return _printable(str(path))
