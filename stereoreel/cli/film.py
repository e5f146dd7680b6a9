"""``python -m stereoreel film``: a workflow over a whole film, which goes on where it was left, however it was left."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

from tqdm import tqdm

from ..core.error_context import naming
from ..core.files import refuse_folders, refuse_harm
from ..core.partition import GROUP
from ..media.paths import check_name
from ..models.headless import Headless
from ..models.lazy_stage import plans
from ..workflow import graph as workflow
from . import models as stock


def declare(commands) -> None:
    """Add the command to the terminal's."""
    film = commands.add_parser("film", help="run a workflow over a whole film, in units that survive a crash; the same command goes on")
    film.add_argument("workflow", type=Path, help="an API-format file with one Encode Video node, or a bundled one by its name, such as default")
    film.add_argument("--input", type=Path, help="the video that Extract opens")
    film.add_argument("--output", type=Path, required=True, help="the file to write")
    film.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    film.add_argument("--set", action="append", default=[], metavar="KIND.OPTION=VALUE", help="change an option, by kind or node id")
    film.add_argument("--device", help="cuda, mps or cpu; default: the best there is")
    film.add_argument("--job", type=Path, help="where finished units are kept; default: OUTPUT.job, which goes when the film is complete")
    film.add_argument("--keep-job", action="store_true", help="leave the units there")
    film.add_argument("--unit", type=int, default=GROUP, metavar="FRAMES", help=f"short shots share a unit up to this many frames; default: {GROUP}")
    film.add_argument("--json", action="store_true", help="print the figures as a line of JSON after every unit")
    film.add_argument("--metrics", type=Path, help="a text file for Prometheus, rewritten after every unit")
    film.add_argument("--plan", action="store_true", help="print the units and make nothing")
    film.add_argument("--ray", metavar="ADDRESS", help="let a Ray cluster make the units: local (processes here), auto, or the address of its head")
    film.add_argument("--workers", type=int, default=0, help="how many workers; default: one for each GPU, or for each machine without")
    film.add_argument("--gpus", type=float, default=-1, help="GPUs for each worker, such as 0.5; default: 1 where there are some")
    film.add_argument("--mixed", action="store_true", help="take workers with other devices or libraries, whose frames differ in their last bits")
    film.add_argument("--store", default="", metavar="URL", help="units come through here from workers that do not share the job's folder: "
                      "anything that fsspec opens, such as s3://bucket/films")
    film.set_defaults(run=run)


def run(options) -> int:
    """0 when the film is complete, 1 when units are missing."""
    from ..film import Unfinished, already, cuts, film, job_folder
    from ..film.job import check_root, is_job
    from .main import find_video, find_workflow

    if options.store and not options.ray:
        raise ValueError("--store is for the workers of a cluster; name one with --ray.")
    options.workflow = find_workflow(options.workflow)
    graph, job = workflow.override(workflow.read(options.workflow), options.set), options.job or job_folder(options.output)
    if not options.plan:
        if (targets := _complete(graph, options)) and not is_job(job):
            print(already(targets, job), file=sys.stderr)
            print("\n".join(map(str, targets)), file=sys.stderr if options.json else sys.stdout)
            return 0
        check_root(job)
    cuts.read(job)
    sink = _only(workflow.Assembly(graph, lambda name: find_video(name, options.input)))
    clips = [clip for clip in (sink.clip, sink.depth) if clip]
    if options.plan:
        return _plan(clips, options.unit)
    with ExitStack() as open_things:
        crew = None
        if options.ray:
            cluster = open_things.enter_context(_cluster(options))
            crew = cluster.crew(graph, find_video(_video(graph), options.input), options.device)
        bar = open_things.enter_context(_Bar(sink.clip.info.frames, options))
        try:
            paths = film(sink.clip, options.output, sink.settings, Headless(options.device, on_tick=bar.tick), depth=sink.depth, folder=job,
                         notes={"workflow": graph}, group=options.unit, say=bar.say, keep=options.keep_job, seen=bar.seen, crew=crew,
                         overwrite=options.overwrite)
        except Unfinished as error:
            bar.say(f"error: {error}")
            return 1
    print("\n".join(map(str, paths)), file=sys.stderr if options.json else sys.stdout)
    return 0


def _complete(graph: workflow.Graph, options) -> list[Path]:
    """The files of this command's film, if they are complete; nothing is searched for cuts to find out.

    Raise here, before any work, if weights are missing or a file would be harmed.
    """
    from ..film import finished, job_folder, joinable
    from ..film.frame_store import kept_folders
    from ..film.identity import described
    from ..media.write.options import extension
    from ..media.write.render import files_of, files_read
    from .main import check_output, find_video

    sink = _only(workflow.Assembly(graph, lambda name: find_video(name, options.input), look=False))
    joinable(sink.settings)
    check_output(options.output, extension(sink.settings))
    clips, host = [clip for clip in (sink.clip, sink.depth) if clip], Headless(options.device)
    for plan in plans(*clips):
        with naming(plan.label), stock.Bar(f"weights of {plan.settings.model}") as bar:
            plan.choose(Headless(options.device, on_tick=bar.tick))
    targets = [file.path for file in files_of(clips, options.output, sink.settings)]
    metrics = [options.metrics] if options.metrics else []
    refuse_harm([*targets, *metrics], [options.workflow, *files_read(clips, host)], overwrite=True)
    identity = described(clips, sink.settings, host)
    own = finished(targets, sink.clip, sink.settings, identity)
    folders = [options.job or job_folder(options.output), *kept_folders(clips, options.output.parent)]
    refuse_folders([*targets, *metrics], folders)
    refuse_harm([target for target in targets if target not in own], overwrite=options.overwrite)
    _check_metrics(options)
    return targets if own == targets else []


def _check_metrics(options) -> None:
    """FileExistsError if --metrics names a file that is none of a film's."""
    from ..film.progress import free_for_metrics

    if options.metrics is None:
        return
    check_name(options.metrics, "--metrics")
    if not options.overwrite and not free_for_metrics(options.metrics):
        raise FileExistsError(f"{options.metrics} is not a metrics file of StereoReel. Choose another --metrics, "
                              "or replace it with --overwrite.")


def _cluster(options):
    from ..film.cluster import Cluster

    return Cluster(options.ray, options.workers, options.gpus, options.mixed, options.store)


def _video(graph: workflow.Graph) -> str:
    """The file that a workflow names; ValueError where there are several, of which --input would replace each."""
    given = [node["inputs"].get("video", "") for node in graph.values() if node["class_type"] == "StereoReelExtract"]
    names = {name for name in given if isinstance(name, str)}
    if len(names) != 1 or not all(isinstance(name, str) for name in given):
        raise ValueError("A film has one Extract Video node, or several of the same file.")
    return names.pop()


def _only(assembly: workflow.Assembly) -> SimpleNamespace:
    if len(assembly.sinks) != 1:
        raise ValueError(f"A film has one Encode Video node, and this workflow has {len(assembly.sinks)}; make a workflow for each.")
    return assembly.sinks[0]


def _plan(clips, group: int) -> int:
    from ..core.partition import units

    for number, unit in enumerate(units(clips, group)):
        lead = f", computed from {unit.first} to {unit.last - 1}" if (unit.first, unit.last) != (unit.start, unit.stop) else ""
        print(f"{number:5}  frames {unit.start} to {unit.stop - 1}{lead}")
    return 0


class _Bar:
    """One line of progress; figures for machines where they are asked for."""

    def __init__(self, total: int, options):
        self._bar = tqdm(total=total, unit="frame", dynamic_ncols=True, disable=options.json)
        self._options, self._ctrl_c, self._mute = options, options.ctrl_c, False

    def tick(self, done: int, total: int) -> None:
        self._ctrl_c.check()
        if total:
            self._bar.update(done - self._bar.n)

    def say(self, line: str) -> None:
        self._bar.clear()
        print(line, file=sys.stderr)

    def seen(self, figures: Callable[[], dict]) -> None:
        """After every unit."""
        from ..film.progress import as_json

        now = figures()
        if self._options.ray:
            self.tick(now["frames"], now["frames_total"])
        if self._options.json:
            print(as_json(now), flush=True)
        if self._options.metrics and not self._mute:
            self._measure(now)

    def _measure(self, now: dict) -> None:
        """Write the metrics; where that fails it is said once, and the film goes on."""
        from ..film.progress import free_for_metrics, write_prometheus

        path = self._options.metrics
        try:
            if not self._options.overwrite and not free_for_metrics(path):
                raise FileExistsError(f"{path} is not a metrics file of StereoReel any more.")
            write_prometheus(path, now)
        except OSError as error:
            self._mute = True
            self.say(f"No metrics are written from here on: {error}")

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *error) -> None:
        self._bar.close()
