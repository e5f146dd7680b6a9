"""``python -m stereoreel film``: run a workflow over a long film; resume after any interruption."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

from ..core.error_context import naming
from ..core.files import refuse_folders, refuse_harm
from ..core.partition import GROUP
from ..media.write.options import EncodeOptions
from ..models.headless import Headless
from ..models.lazy_stage import plans
from ..workflow import graph as workflow
from .paths import check_metrics, check_output, find_video, find_workflow
from .progress import ByteBar, FilmBar, Metrics


def declare(commands) -> None:
    """Add the command to the parser."""
    film = commands.add_parser(
        "film",
        help="run a workflow over a long film, in units that survive a crash; the same command resumes it",
    )
    film.add_argument(
        "workflow",
        type=Path,
        help="an API-format file with one Encode Video node, or a bundled one by its name, such as default",
    )
    film.add_argument(
        "--input",
        type=Path,
        help="the video that Extract opens, or numbered pictures: frames/ or frames/%%05d.png",
    )
    film.add_argument("--output", type=Path, required=True, help="the file to write")
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
        help="folder for finished units; default: OUTPUT.job, deleted when the film is complete",
    )
    film.add_argument("--keep-job", action="store_true", help="do not delete the units")
    film.add_argument(
        "--unit",
        type=int,
        default=GROUP,
        metavar="FRAMES",
        help=f"combine short shots into units of at most this many frames; default: {GROUP}",
    )
    film.add_argument(
        "--json", action="store_true", help="print the figures as a line of JSON after every unit"
    )
    film.add_argument("--metrics", type=Path, help="a text file for Prometheus, rewritten after every unit")
    film.add_argument("--plan", action="store_true", help="print the units and exit")
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
    film.set_defaults(run=run)


def run(options) -> int:
    """Return 0 if the film is complete, 1 if units are missing."""
    from ..film import FilmSettings, Unfinished, cuts, film, job_folder
    from ..film.finished import already
    from ..film.job import check_root, is_job

    if options.store and not options.ray:
        raise ValueError("--store needs a cluster. Name one with --ray.")
    options.workflow = find_workflow(options.workflow)
    graph = workflow.override(workflow.read(options.workflow), options.set)
    job = options.job or job_folder(options.output)
    if not options.plan:
        if (targets := _complete(graph, options)) and not is_job(job):
            print(already(targets, job), file=sys.stderr)
            print("\n".join(map(str, targets)), file=sys.stderr if options.json else sys.stdout)
            return 0
        check_root(job)
    cuts.read(job, options.files)
    sink = _only(workflow.Assembly(graph, lambda name: find_video(name, options.input), files=options.files))
    if options.plan:
        return _plan(_request(sink, options).clips, options.unit)
    with ExitStack() as open_things:
        crew = None
        if options.ray:
            cluster = open_things.enter_context(_cluster(options))
            crew = cluster.crew(graph, find_video(_video(graph), options.input), options.device)
        bar = open_things.enter_context(_bar(sink.clip.info.frames, options))
        try:
            how = FilmSettings(
                job, group=options.unit, keep=options.keep_job, notes={"workflow": graph}, crew=crew
            )
            host = Headless(options.device, on_tick=bar.tick, file_cache=options.files)
            paths = film(_request(sink, options), host, how, bar)
        except Unfinished as error:
            bar.say(f"error: {error}")
            return 1
    print("\n".join(map(str, paths)), file=sys.stderr if options.json else sys.stdout)
    return 0


def _complete(graph: workflow.Graph, options) -> list[Path]:
    """Return the output files if they are complete; no file is searched for cuts.

    Raise, before any work, if weights are missing or a file would be harmed.
    """
    from ..film import job_folder
    from ..film.finished import finished
    from ..film.frame_store import kept_folders
    from ..film.identity import described
    from ..film.run import joinable
    from ..media.write.options import extension
    from ..media.write.request import files_read

    sink = _only(
        workflow.Assembly(
            graph, lambda name: find_video(name, options.input), look=False, files=options.files
        )
    )
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
    return targets if own == targets else []


def _request(sink: workflow.Output[EncodeOptions], options):
    from ..media.write.request import RenderRequest

    return RenderRequest(
        sink.clip, options.output, sink.settings, depth=sink.depth, overwrite=options.overwrite
    )


def _bar(frames: int, options) -> FilmBar:
    metrics = Metrics(options.metrics, options.overwrite) if options.metrics else None
    return FilmBar(options.ctrl_c, frames, as_json=options.json, remote=bool(options.ray), metrics=metrics)


def _cluster(options):
    from ..film.cluster import Cluster

    return Cluster(options.ray, options.workers, options.gpus, options.mixed, options.store)


def _video(graph: workflow.Graph) -> str:
    """Return the video that a workflow names.

    Raise ValueError for several, because --input replaces them all.
    """
    given = [
        node["inputs"].get("video", "")
        for node in graph.values()
        if node["class_type"] == "StereoReelExtract"
    ]
    names = {name for name in given if isinstance(name, str)}
    if len(names) != 1 or not all(isinstance(name, str) for name in given):
        raise ValueError(
            "The Extract Video nodes name different files. A film needs one, or several of the same file."
        )
    return names.pop()


def _only(assembly: workflow.Assembly) -> workflow.Output[EncodeOptions]:
    if len(assembly.sinks) != 1:
        raise ValueError(
            f"A film needs one Encode Video node, but this workflow has {len(assembly.sinks)}. "
            "Make a workflow for each."
        )
    return assembly.sinks[0]


def _plan(clips, group: int) -> int:
    from ..core.partition import units

    for number, unit in enumerate(units(clips, group)):
        lead = (
            f", computed from {unit.first} to {unit.last - 1}"
            if (unit.first, unit.last) != (unit.start, unit.stop)
            else ""
        )
        print(f"{number:5}  frames {unit.start} to {unit.stop - 1}{lead}")
    return 0
