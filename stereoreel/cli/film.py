"""``python -m stereoreel film``: a workflow over a whole film, which goes on where it was left, however it was left."""

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
    """Add the command to the terminal's."""
    film = commands.add_parser(
        "film",
        help="run a workflow over a whole film, in units that survive a crash; the same command goes on",
    )
    film.add_argument(
        "workflow",
        type=Path,
        help="an API-format file with one Encode Video node, or a bundled one by its name, such as default",
    )
    film.add_argument("--input", type=Path, help="the video that Extract opens")
    film.add_argument("--output", type=Path, required=True, help="the file to write")
    film.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    film.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KIND.OPTION=VALUE",
        help="change an option, by kind or node id",
    )
    film.add_argument("--device", help="cuda, mps or cpu; default: the best there is")
    film.add_argument(
        "--job",
        type=Path,
        help="where finished units are kept; default: OUTPUT.job, which goes when the film is complete",
    )
    film.add_argument("--keep-job", action="store_true", help="leave the units there")
    film.add_argument(
        "--unit",
        type=int,
        default=GROUP,
        metavar="FRAMES",
        help=f"short shots share a unit up to this many frames; default: {GROUP}",
    )
    film.add_argument(
        "--json", action="store_true", help="print the figures as a line of JSON after every unit"
    )
    film.add_argument("--metrics", type=Path, help="a text file for Prometheus, rewritten after every unit")
    film.add_argument("--plan", action="store_true", help="print the units and make nothing")
    film.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="let a Ray cluster make the units: local (processes here), auto, or the address of its head",
    )
    film.add_argument(
        "--workers",
        type=int,
        default=0,
        help="how many workers; default: one for each GPU, or for each machine without",
    )
    film.add_argument(
        "--gpus",
        type=float,
        default=-1,
        help="GPUs for each worker, such as 0.5; default: 1 where there are some",
    )
    film.add_argument(
        "--mixed",
        action="store_true",
        help="take workers with other devices or libraries, whose frames differ in their last bits",
    )
    film.add_argument(
        "--store",
        default="",
        metavar="URL",
        help="units come through here from workers that do not share the job's folder: "
        "anything that fsspec opens, such as s3://bucket/films",
    )
    film.set_defaults(run=run)


def run(options) -> int:
    """0 when the film is complete, 1 when units are missing."""
    from ..film import FilmSettings, Unfinished, cuts, film, job_folder
    from ..film.finished import already
    from ..film.job import check_root, is_job

    if options.store and not options.ray:
        raise ValueError("--store is for the workers of a cluster; name one with --ray.")
    options.workflow = find_workflow(options.workflow)
    graph, job = (
        workflow.override(workflow.read(options.workflow), options.set),
        options.job or job_folder(options.output),
    )
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
    """The files of this command's film, if they are complete; nothing is searched for cuts to find out.

    Raise here, before any work, if weights are missing or a file would be harmed.
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
    refuse_harm([*targets, *metrics], [options.workflow, *files_read(clips, host)], overwrite=True)
    identity = described(clips, sink.settings, host)
    own = finished(request, identity)
    folders = [options.job or job_folder(options.output), *kept_folders(clips, options.output.parent)]
    refuse_folders([*targets, *metrics], folders)
    refuse_harm([target for target in targets if target not in own], overwrite=options.overwrite)
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
    """The file that a workflow names; ValueError where there are several, of which --input would replace each."""
    given = [
        node["inputs"].get("video", "")
        for node in graph.values()
        if node["class_type"] == "StereoReelExtract"
    ]
    names = {name for name in given if isinstance(name, str)}
    if len(names) != 1 or not all(isinstance(name, str) for name in given):
        raise ValueError("A film has one Extract Video node, or several of the same file.")
    return names.pop()


def _only(assembly: workflow.Assembly) -> workflow.Output[EncodeOptions]:
    if len(assembly.sinks) != 1:
        raise ValueError(
            f"A film has one Encode Video node, and this workflow has {len(assembly.sinks)}; make a workflow for each."
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
