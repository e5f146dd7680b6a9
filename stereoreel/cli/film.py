"""``python -m stereoreel film``: run a workflow over a long film; resume after any interruption."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..core.error_context import naming
from ..core.output_names import refuse_folders, refuse_harm
from ..core.partition import GROUP
from ..media.write.options import EncodeOptions
from ..models.headless import Headless
from ..models.lazy_stage import plans
from ..workflow import graph as workflow
from . import shot_plans
from .films import (
    FAILURES,
    Made,
    add_input,
    add_summary,
    batch_of,
    each_film,
    entries_of,
    graph_of,
    one_workflow,
    only,
    run_films,
    sentence,
    show,
)
from .paths import check_metrics, check_output, find_video, find_workflow
from .progress import ByteBar, FilmBar, Metrics
from .warned import print_above

if TYPE_CHECKING:
    from ..film import FilmSettings
    from ..film.batch import Batch
    from ..film.cluster import Cluster
    from ..film.queue import QueuedFilm
    from ..media.write.request import RenderRequest


def declare(commands) -> None:
    """Add the command to the parser."""
    film = commands.add_parser(
        "film",
        help="run a workflow over a long film, in units that survive a crash; the same command resumes it",
    )
    film.add_argument(
        "workflow",
        type=Path,
        nargs="?",
        help="an API-format file with one Encode Video node, or a bundled one by its name, such as default",
    )
    add_input(film)
    film.add_argument(
        "--output", type=Path, required=True, help="the file to write; with several films, the folder"
    )
    film.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    film.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KIND.OPTION=VALUE",
        help="change an option, by kind or node id",
    )
    film.add_argument("--device", help="cuda, mps or cpu; default: the best available")
    film.add_argument(
        "--job",
        type=Path,
        help="folder for finished units; default: OUTPUT.job, deleted when the film is complete. With "
        "several films, the folder in which each has one",
    )
    film.add_argument("--keep-job", action="store_true", help="do not delete the units")
    film.add_argument(
        "--verify",
        action="store_true",
        help="record the hash of every frame before it is encoded with the units, to compare machines or "
        "versions; costs time. Add --keep-job",
    )
    film.add_argument(
        "--unit",
        type=int,
        default=GROUP,
        metavar="FRAMES",
        help=f"combine short shots into units of at most this many frames; default: {GROUP}",
    )
    film.add_argument(
        "--json",
        action="store_true",
        help="print the figures as a line of JSON after every unit; with "
        "several films, a last line says what became of each",
    )
    add_summary(film)
    film.add_argument("--metrics", type=Path, help="a text file for Prometheus, rewritten after every unit")
    film.add_argument("--plan", action="store_true", help="print the units and exit")
    shot_plans.declare(film)
    film.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="compute the units on a Ray cluster: local (processes on this machine), auto, or the head's "
        "address",
    )
    film.add_argument(
        "--workers",
        type=int,
        default=0,
        help="number of workers; default: one per GPU, or one per machine without a GPU",
    )
    film.add_argument(
        "--gpus",
        type=float,
        default=-1,
        help="GPUs per worker, such as 0.5; default: 1 if the cluster has GPUs",
    )
    film.add_argument(
        "--mixed",
        action="store_true",
        help="accept workers with other devices or libraries, whose frames may differ in the last bits",
    )
    film.add_argument(
        "--store",
        default="",
        metavar="URL",
        help="transfer units through this store if workers do not share the job's folder: "
        "any URL that fsspec opens, such as s3://bucket/films",
    )
    film.set_defaults(run=run, repeat_warnings=True)


def run(options) -> int:
    """Return 0 if the film or all films are complete, 1 if units are missing or a film failed."""
    if options.store and not options.ray:
        raise ValueError("--store needs a cluster. Name one with --ray.")
    from ..film import Unfinished

    one_workflow(options)
    options.workflow = find_workflow(options.workflow)
    graph, planned = shot_plans.given(graph_of(options), options), shot_plans.wanted(options)
    if batch := batch_of(options, graph, lambda own: _owns(graph, own)):
        if planned:
            raise ValueError(f"{planned.writing} takes one film, because each has its own shots.")
        return _films(graph, options, batch)
    options.input = next(iter(options.input), None)
    if options.plan:
        print("\n".join(_plan(graph, options)))
        return 0
    if planned:
        _, request, host, _, bar, _ = _prepared(graph, options, "")
        with bar:
            path = shot_plans.write(planned, options, request.clips, host)
        show([path], sys.stdout)
        return 0
    try:
        with _cluster(options) as cluster:
            made = _film(graph, options, cluster)
    except Unfinished as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    show(made.paths, sys.stderr if options.json else sys.stdout)
    return 0


def _film(graph: workflow.Graph, options, cluster: Cluster | None, label: str = "") -> Made:
    """Make one film, or recognise that it is complete; raise Unfinished if units are missing."""
    from ..film import film

    sink, request, host, how, bar, known = _prepared(graph, options, label)
    if cluster and not known.complete:
        how = replace(how, crew=cluster.crew(graph, _video(sink), options.device))
    with bar:
        return known._replace(paths=film(request, host, how, bar))


class _Prepared(NamedTuple):
    """A film of which nothing is computed yet; ``known`` is what is said of it when it is made."""

    sink: workflow.Output[EncodeOptions]
    request: RenderRequest
    host: Headless
    how: FilmSettings
    bar: FilmBar
    known: Made


def _prepared(graph: workflow.Graph, options, label: str) -> _Prepared:
    """Return a film that is checked, and searched for cuts unless it is complete."""
    from ..film import FilmSettings, cuts, job_folder
    from ..film.job_root import check_root, is_job

    job = options.job or job_folder(options.output)
    targets, frames = _complete(graph, options)
    left = not targets or is_job(job)
    if left:
        check_root(job)
        cuts.read(job, options.files)
    sink = _sink(graph, options, look=left)
    bar = _bar(sink.clip.info.frames, options, label, silent=bool(targets))
    how = FilmSettings(
        job, group=options.unit, keep=options.keep_job, verify=options.verify, notes={"workflow": graph}
    )
    host = Headless(options.device, on_tick=bar.tick, file_cache=options.files)
    known = Made(targets, frames, complete=bool(targets))
    request = _request(sink, options)
    if left:
        _say_choice(request, options)
    return _Prepared(sink, request, host, how, bar, known)


def _films(graph: workflow.Graph, options, batch: Batch) -> int:
    Headless(options.device)  # refuses one that is not there
    check_metrics(options.metrics, options.overwrite)
    if options.ray and not options.plan:
        return _films_on_cluster(graph, options, batch)

    if options.plan:
        return _plan_films(graph, options, batch)

    def make(own: argparse.Namespace, label: str) -> Made:
        return _printed(_film(graph, own, None, label), options)

    return run_films(options, graph, batch, make)


def _plan_films(graph: workflow.Graph, options, batch: Batch) -> int:
    """Print the units of every film; return 1 if one cannot be opened."""
    failed = any(problem.fault for problem in batch.left_out)
    for own, label in each_film(options, batch):
        try:
            print(f"{label} -> {own.output}", *_plan(graph, own), sep="\n")
        except FAILURES as error:
            failed = True
            print(f"error: {own.input}: {sentence(error)}", file=sys.stderr)
    return int(failed)


def _films_on_cluster(graph: workflow.Graph, options, batch: Batch) -> int:
    """Make every film on one cluster, whose workers take the next film's units when one has none left."""
    from ..film.queue import FilmQueue, QueuedFilm
    from ..film.run import OpenFilm

    several = list(each_film(options, batch))
    places = {own.output: place for place, (own, _) in enumerate(several)}
    entries = entries_of(batch)
    known: dict[int, Made] = {}
    with _cluster(options) as cluster, cluster.pool() as pool:

        @contextmanager
        def opened(place: int) -> Iterator[QueuedFilm]:
            """Open a film, while an earlier one may still be computed."""
            own, label = several[place]
            warned = partial(options.warned.of_one_film, entries[place].warnings)
            with entries[place].timed(), ExitStack() as open_film:
                with warned():
                    sink, request, host, how, bar, known[place] = _prepared(graph, own, label)
                    open_film.enter_context(bar)
                    work = open_film.enter_context(OpenFilm(request, host, how, bar))
                    plan = {}
                    if not known[place].complete:
                        plan = cluster.plan(graph, _video(sink), own.device, request.clips, work.kept)
                yield QueuedFilm(work, plan, bar, warned)

        def make(own: argparse.Namespace, label: str) -> Made:
            place = places[own.output]
            paths = queue.make(place)
            return _printed(known[place]._replace(paths=paths), options)

        with FilmQueue(pool, [partial(opened, place) for place in range(len(several))]) as queue:
            return run_films(options, graph, batch, make, entries)


def _printed(made: Made, options) -> Made:
    show(made.paths, sys.stderr if options.json else sys.stdout)
    return made


def _complete(graph: workflow.Graph, options) -> tuple[list[Path], int]:
    """Return the output files if they are complete, and their length; no file is searched for cuts.

    Raise, before any work, if weights are missing or a file would be harmed.
    """
    from ..film import job_folder
    from ..film.finished import finished
    from ..film.frame_store import kept_folders
    from ..film.identity import described
    from ..film.run import joinable
    from ..media.read.clock import frames_of
    from ..media.write.options import extension
    from ..media.write.request import files_read

    sink = _sink(graph, options, look=False)
    joinable(sink.settings)
    check_output(options.output, extension(sink.settings))
    request, host = _request(sink, options), Headless(options.device, file_cache=options.files)
    clips, targets = request.clips, request.paths
    for plan in plans(*clips):
        with naming(plan.label), ByteBar(f"weights of {plan.settings.model}") as bar:
            plan.choose(Headless(options.device, on_tick=bar.tick, file_cache=options.files))
    metrics = [options.metrics] if options.metrics else []
    read, folders_made = [options.workflow, *files_read(clips, host)], request.makes_folders
    refuse_harm(targets, [*read, *metrics], overwrite=True, folders=folders_made)
    refuse_harm(metrics, read, overwrite=True)
    identity = described(clips, sink.settings, host)
    own = finished(request, identity)
    folders = [options.job or job_folder(options.output), *kept_folders(clips, options.output.parent)]
    refuse_folders([*targets, *metrics], folders)
    missing = [target for target in targets if target not in own]
    refuse_harm(missing, overwrite=request.replaces, folders=folders_made)
    check_metrics(options.metrics, options.overwrite)
    return targets if own == targets else [], frames_of(sink.clip.info, sink.settings)


def _owns(graph: workflow.Graph, options) -> bool:
    """Whether an earlier run has made this output from this input, or has begun to."""
    from ..film import job_folder
    from ..film.finished import finished
    from ..film.identity import described
    from ..film.job_root import sources_of

    if os.path.realpath(options.input) in sources_of(options.job or job_folder(options.output)):
        return True
    if not options.output.is_file():
        return False
    try:
        request = _request(_sink(graph, options, look=False), options)
        return bool(finished(request, described(request.clips, request.settings, Headless(options.device))))
    except FAILURES:
        return False


def _request(sink: workflow.Output[EncodeOptions], options) -> RenderRequest:
    from ..media.write.request import RenderRequest

    return RenderRequest(
        sink.clip, options.output, sink.settings, depth=sink.depth, overwrite=options.overwrite
    )


def _say_choice(request: RenderRequest, options) -> None:
    """Print what was chosen for the device, if there is one."""
    if request.choice and not options.json:
        print_above(request.choice)


def _bar(frames: int, options, label: str, silent: bool = False) -> FilmBar:
    metrics = Metrics(options.metrics, options.overwrite) if options.metrics else None
    return FilmBar(
        options.ctrl_c,
        frames,
        as_json=options.json or silent,
        remote=bool(options.ray),
        metrics=metrics,
        warnings=options.warned.of_film,
        label=label,
    )


def _cluster(options):
    """Return a context with the cluster that ``--ray`` names, or None."""
    if not options.ray or options.plan:
        return nullcontext()
    from ..film.cluster import Cluster

    return Cluster(
        options.ray, options.workers, options.gpus, options.mixed, options.store, verify=options.verify
    )


def _video(sink: workflow.Output[EncodeOptions]) -> Path:
    """Return the video that a film is computed from.

    Raise ValueError for several, because workers open one file in their place.
    """
    from ..core.excerpt import makers_of
    from ..media.read.decode import FileSource

    clips = [clip for clip in (sink.clip, sink.depth) if clip]
    paths = {maker.facts.path for maker in makers_of(clips) if isinstance(maker, FileSource)}
    if len(paths) != 1:
        raise ValueError(
            "The Extract Video nodes name different files. On a cluster a film needs one, or several of the "
            "same file."
        )
    return paths.pop()


def _sink(graph: workflow.Graph, options, look: bool = True) -> workflow.Output[EncodeOptions]:
    assembly = workflow.Assembly(
        graph, lambda name: find_video(name, options.input), look=look, files=options.files
    )
    return only(assembly.sinks)


def _plan(graph: workflow.Graph, options) -> Iterator[str]:
    """Yield a line for each unit."""
    from ..core.partition import units
    from ..film import cuts, job_folder
    from ..film.plans import choose_branches

    job = options.job or job_folder(options.output)
    cuts.read(job, options.files)
    request, host = _request(_sink(graph, options), options), Headless(options.device)
    choose_branches(job, request, host, lambda label, text: print_above(f"{label}: {text}."))
    for number, unit in enumerate(units(request.clips, options.unit)):
        lead = (
            f", computed from {unit.first} to {unit.last - 1}"
            if (unit.first, unit.last) != (unit.start, unit.stop)
            else ""
        )
        yield f"{number:5}  frames {unit.start} to {unit.stop - 1}{lead}"
