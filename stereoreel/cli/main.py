"""Run workflows without ComfyUI, list nodes and models, fetch weights, write workflows for any order."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from .. import __version__
from ..core.error_context import naming
from ..core.file_cache import FileCache
from ..core.files import save_text
from ..core.meter import Meter, format_counts
from ..core.output_names import refuse_harm
from ..media.paths import check_name
from ..models.headless import Headless
from ..models.lazy_stage import plans
from ..workflow import blueprints, orders
from ..workflow import graph as workflow
from ..workflow.litegraph import render
from ..workflow.node_specs import NODES
from ..workflow.templates import canvas_file
from . import advise, film, films, models
from . import orders as order_lab
from .interrupt import CtrlC
from .paths import OUTPUT, SUBGRAPHS, WORKFLOWS, find_video, find_workflow, output_files
from .progress import ByteBar, FrameBar, SayingMeter
from .warned import Warned, print_above


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 on success, 1 on error, 130 if cancelled, 143 if terminated."""
    options = _parser().parse_args(arguments)
    try:
        options.files = FileCache()
        with CtrlC() as options.ctrl_c, Warned(options.repeat_warnings) as options.warned:
            return options.run(options)
    except KeyboardInterrupt as error:
        print("cancelled; no partial video was left", file=sys.stderr)
        return getattr(error, "status", 130)
    except (ValueError, OSError, RuntimeError, TypeError, ImportError) as error:
        if options.trace:
            raise
        print(f"error: {films.sentence(error)}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m stereoreel", description=__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--trace", action="store_true", help="print the traceback on error")
    parser.set_defaults(repeat_warnings=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run an API-format workflow")
    run.add_argument(
        "workflow",
        type=Path,
        nargs="?",
        help="an API-format file, or a bundled one by its name, such as default",
    )
    films.add_input(run)
    run.add_argument(
        "--output",
        type=Path,
        help="the file to write; default: output/<filename_prefix>_00001... With several films, the folder",
    )
    run.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KIND.OPTION=VALUE",
        help="change an option, by kind or node id",
    )
    run.add_argument("--device", help="cuda, mps or cpu; default: the best available")
    run.add_argument("--costs", action="store_true", help="print time and memory per stage at the end")
    films.add_summary(run)
    run.set_defaults(run=_run, repeat_warnings=True)

    nodes = commands.add_parser("nodes", help="list the nodes and their options")
    nodes.set_defaults(run=_nodes)
    listing = commands.add_parser("models", help="list the models, and whether their weights are installed")
    listing.set_defaults(run=_models)
    advise.declare(commands)
    order_lab.declare(commands)
    film.declare(commands)
    fetch = commands.add_parser("fetch", help="download the weights of models")
    fetch.add_argument("names", nargs="*", metavar="NAME", help="such as realesrgan-x2plus")
    fetch.add_argument(
        "--recommended",
        action="store_true",
        help="download the model of each type that suits this machine best; every licence permits any use. "
        "With --list, show the models, their sizes and licences only",
    )
    fetch.add_argument("--list", action="store_true", help="list the files that can be downloaded")
    fetch.add_argument(
        "--folder", type=Path, help="download folder; default: the folder of this kind of model"
    )
    fetch.add_argument("--all-parts", action="store_true", help="download a model's optional files too")
    fetch.add_argument("--force", action="store_true", help="replace a file that fails verification")
    fetch.set_defaults(run=_fetch)

    flows = commands.add_parser(
        "workflows",
        help="render the canvas files of the bundled workflows, and the blueprints, or write another order",
    )
    flows.add_argument(
        "--order", help="such as extract,interpolate,upscale,depth,stereo,encode (vsr is the other upscaler)"
    )
    flows.add_argument("--name", help="name of the files for --order; default: the order itself")
    flows.add_argument(
        "--folder",
        type=Path,
        help="output folder; default: the pack's workflows/, or the current folder for --order",
    )
    flows.add_argument("--overwrite", action="store_true", help="replace files that exist")
    flows.set_defaults(run=_workflows)
    return parser


def _run(options) -> int:
    films.one_workflow(options)
    options.workflow = find_workflow(options.workflow)
    graph = films.graph_of(options)
    if batch := films.batch_of(options, graph):
        return films.run_films(options, graph, batch, partial(_written, graph))
    options.input = next(iter(options.input), None)
    _written(graph, options)
    return 0


def _written(graph: workflow.Graph, options, label: str = "") -> films.Made:
    """Write the files of a workflow's output nodes; return those of the last Encode node."""
    from ..media.read.clock import frames_of
    from ..media.write.render import write
    from ..media.write.request import RenderRequest
    from .reports import save_node_report

    assembly = workflow.Assembly(graph, lambda name: find_video(name, options.input), files=options.files)
    jobs = assembly.sinks
    if options.output and len(jobs) > 1:
        raise ValueError(
            f"--output names one file, but this workflow has {len(jobs)} Encode Video nodes. "
            "Set their filename_prefix instead."
        )
    for plan in plans(*assembly.clips):
        with naming(plan.label), ByteBar(f"weights of {plan.settings.model}") as bar:
            plan.choose(Headless(options.device, on_tick=bar.tick, file_cache=options.files))
    targets = output_files(jobs, options)
    made = films.Made((), 0)
    for job, path in zip(jobs, targets):
        meter = SayingMeter(memory=options.costs)
        with FrameBar(options.ctrl_c, job.clip.info.frames, meter=meter, label=label) as bar:
            request = RenderRequest(
                job.clip, path, job.settings, depth=job.depth, overwrite=options.overwrite
            )
            if request.choice:
                print_above(request.choice)
            host = Headless(options.device, on_tick=bar.tick, file_cache=options.files)
            made = films.Made(write(request, host, meter=meter), frames_of(job.clip.info, job.settings))
        films.show(made.paths, sys.stdout)
        if options.costs:
            print(costs(meter))
    for job in assembly.looks:
        host = Headless(options.device, on_tick=lambda *_: options.ctrl_c.check(), file_cache=options.files)
        print(save_node_report(job, OUTPUT, host))
    return made


def costs(meter: Meter) -> str:
    """Return a table of the time and memory of each stage."""
    lines = [f"{'stage':<34}{'frames':>8}{'seconds':>9}{'ms/frame':>10}{'peak MiB':>10}"]
    for label, cost in meter.costs.items():
        memory = f"{cost.memory / 2**20:.0f}" if cost.memory else "-"
        each = 1000 * cost.seconds / max(1, cost.frames)
        numbers = f"{cost.frames:>8}{cost.seconds:>9.1f}{each:>10.0f}{memory:>10}"
        lines.append(f"{label:<34}{numbers}  {format_counts(cost.counts)}".rstrip())
    return "\n".join(lines)


def _nodes(options) -> int:
    for node in NODES:
        print(f"{node.id}: {node.name}\n  {node.text}")
        for socket in node.inputs:
            print(
                f"  <- {socket.name} ({socket.type}{', optional' if socket.optional else ''}): {socket.text}"
            )
        for socket in node.outputs:
            print(f"  -> {socket.name} ({socket.type}): {socket.text}")
        for option in node.options:
            print(f"  {node.kind}.{option.name}={option.default}: {option.text}")
        print()
    return 0


def _models(options) -> int:
    print("\n".join(models.listed(Headless())))
    return 0


def _fetch(options) -> int:
    host, names = Headless("cpu"), list(options.names)
    if options.recommended:
        chosen = models.recommended(Headless())
        print("\n".join(models.recommendations(chosen, host)))
        names += [] if options.list else [entry.name for entry in chosen if entry.parts]
    elif not names and not options.list:
        raise ValueError(
            "Name the models to fetch, or use --recommended. python -m stereoreel fetch --list shows them."
        )
    elif options.list:
        print("\n".join(models.fetchable(host)))
    try:
        models.fetch_all(names, host, options.folder, options.all_parts, options.force)
    except KeyboardInterrupt as error:
        print(
            "cancelled; the partial download is kept in a .part file, and the same command resumes it",
            file=sys.stderr,
        )
        return getattr(error, "status", 130)
    return 0


def _workflows(options) -> int:
    if options.order:
        order = tuple(word.strip() for word in options.order.split(","))
        graph, name, folder = (
            orders.api(order),
            options.name or "_".join(order[1:-1] or order),
            options.folder or Path.cwd(),
        )
        check_name(name, "--name")
        files = {folder / f"{name}.api.json": graph, folder / f"{name}.json": render(graph, name)}
    else:
        api = sorted((WORKFLOWS / "api").glob("*.json"))
        files = {
            (options.folder or WORKFLOWS) / canvas_file(file.stem): render(workflow.read(file), file.stem)
            for file in api
        }
        if options.folder is None:
            files |= {SUBGRAPHS / f"{title}.json": graph for title, graph in blueprints.render_all().items()}
    own = not options.order and options.folder is None  # the pack's own files, rendered again
    refuse_harm(files, [] if options.order else api, options.overwrite or own)
    for path, graph in files.items():
        save_text(path, json.dumps(graph, indent=2, ensure_ascii=False) + "\n", options.overwrite or own)
    print("\n".join(map(str, files)))
    return 0
