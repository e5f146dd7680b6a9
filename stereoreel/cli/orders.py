"""``python -m stereoreel orders``: compare orders of stages on excerpts of a clip.

The best order is written as a workflow.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from ..analysis import order_lab
from ..analysis.order_lab.options import OPTIONS, compared, stage_options
from ..core.files import save_text
from ..core.options import options_of, resolve
from ..core.output_names import refuse_harm
from ..media.write.render import free_path
from ..models.headless import Headless
from ..viewing.report import Report
from .paths import OUTPUT, source
from .progress import FrameBar
from .reports import print_report

FILES = ("sheet.png", "report.txt", "figures.json")  # and the workflow, named after the order


def declare(commands) -> None:
    """Add the command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "orders", help="compare orders of stages on a clip and recommend one"
    )
    parser.add_argument(
        "clip", type=source, help="a video, or 'sample'; only a few excerpts of it are processed"
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="the output folder; default: a new output/orders_<clip>_...",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files in that folder")
    parser.add_argument(
        "--json",
        metavar="FILE",
        help="also write the figures to this file; - prints them instead of the report",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KIND.OPTION=VALUE",
        help="change an option of a stage, or of extract",
    )
    parser.add_argument("--device", help="cuda, mps or cpu; default: the best available")
    for option in options_of(OPTIONS):
        text = option.text.replace("%", "%%")
        parser.add_argument(
            f"--{option.name.replace('_', '-')}",
            dest=option.name,
            default=option.default,
            metavar="VALUE",
            help=text,
        )
    parser.set_defaults(run=run)


def run(options) -> int:
    from ..core.error_context import naming

    settings = resolve(
        OPTIONS, {option.name: getattr(options, option.name) for option in options_of(OPTIONS)}
    )
    given = [one for one in options.set if not _of_extract(one)]
    # raises for invalid options before the clip is searched for cuts
    compared(settings.orders, settings.upscaler), stage_options(settings, given)
    folder = options.output or free_path(OUTPUT, f"orders_{options.clip.stem[:60]}", "", "")
    figures = [] if options.json in (None, "-") else [Path(options.json)]
    refuse_harm([*(folder / name for name in FILES), *figures], [options.clip], options.overwrite)
    with FrameBar(options.ctrl_c) as bar:
        clip = _opened(options, bar.tick)
        bar.restart()
        with naming("Orders"):
            host = Headless(options.device, on_tick=bar.tick, file_cache=options.files)
            report = order_lab.report(clip, settings, host, "Orders", given)
    report = replace(report, files=_texts(report, options))
    paths = report.save(folder, FILES[0], options.overwrite)
    paths[1:1] = [
        save_text(path, f"{json.dumps(report.figures, indent=2)}\n", options.overwrite) for path in figures
    ]
    print_report(report, paths, options.clip, options.json == "-")
    return 0


def _of_extract(setting: str) -> bool:
    return setting.strip().startswith("extract.")


def _opened(options, tick):
    """Open the clip and search it for cuts, like Extract."""
    from ..media import open as extract

    settings = resolve(extract.OPTIONS, _for_extract(options))
    return extract.open_file(options.clip, settings, options.clip.name, tick, files=options.files)


def _for_extract(options) -> dict[str, str]:
    """Return the options of Extract that ``--set`` gives."""
    given = {}
    for setting in filter(_of_extract, options.set):
        name, equals, value = setting.strip().removeprefix("extract.").partition("=")
        if not equals:
            raise ValueError(f"--set takes KIND.OPTION=VALUE, not {setting!r}.")
        given[name] = value
    return given


def _texts(report: Report, options) -> dict[str, str]:
    """Return the texts of the files next to the sheet; the last one is the workflow for the terminal."""
    from ..analysis.order_lab.figures import recommended, workflow_of
    from ..media import open as extract
    from ..workflow.litegraph import render

    graph, name = workflow_of(report.figures, options.clip.name), "_".join(recommended(report.figures)[1:-1])
    known = {option.name: option for option in options_of(extract.OPTIONS)}
    graph["1"]["inputs"] |= {one: known[one].check(value) for one, value in _for_extract(options).items()}
    return {
        FILES[1]: report.text,
        FILES[2]: json.dumps(report.figures, indent=2),
        f"{name}.json": json.dumps(render(graph, name), indent=2, ensure_ascii=False),
        f"{name}.api.json": json.dumps(graph, indent=2, ensure_ascii=False),
    }
