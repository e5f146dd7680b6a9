"""``python -m stereoreel advise``: recommend a workflow for a clip, or an upscaler for this machine."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..analysis import advisor
from ..analysis.advisor import OPTIONS
from ..core.options import options_of, resolve
from ..core.output_names import refuse_harm
from ..media.write.render import free_path
from ..models.headless import Headless
from .paths import OUTPUT, source
from .reports import print_report


def declare(commands) -> None:
    """Add the command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "advise",
        help="measure a clip and recommend a workflow; without a clip, recommend an upscaler for this "
        "machine",
    )
    parser.add_argument(
        "clip", type=source, nargs="?", help="a video, or 'sample'; only a few excerpts of it are decoded"
    )
    parser.add_argument(
        "--output",
        type=Path,
        help="the folder for the page, the figures and the workflow; default: a new output/advice_<clip>_...",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files in that folder")
    parser.add_argument("--json", action="store_true", help="print the figures instead of the text")
    for option in options_of(OPTIONS):
        parser.add_argument(
            f"--{option.name}", default=option.default, help=f"{option.text} Default: {option.default}"
        )
    parser.add_argument("--device", help="cuda, mps or cpu; default: the best available")
    parser.set_defaults(run=run)


def run(options) -> int:
    if options.clip:
        return _on_clip(options)
    from ..analysis.advisor.upscalers import advice

    print("\n".join(advice(Headless(options.device))))
    return 0


def _on_clip(options) -> int:
    from ..analysis.advisor.advice import FILES
    from ..core.error_context import naming
    from ..media import open as extract

    settings = resolve(
        OPTIONS, {option.name: getattr(options, option.name) for option in options_of(OPTIONS)}
    )
    host = Headless(options.device, on_tick=lambda *_: options.ctrl_c.check(), file_cache=options.files)
    whole = resolve(extract.OPTIONS, {"cuts": False})
    clip = extract.open_file(options.clip, whole, options.clip.name, files=options.files)
    folder = options.output or free_path(OUTPUT, f"advice_{options.clip.stem[:60]}", "", "")
    refuse_harm([folder / name for name in FILES], [options.clip], options.overwrite)
    with naming("Advise"):
        report = advisor.report(clip, settings, host, "Advise", options.clip.name)
        paths = report.save(folder, FILES[0], options.overwrite)
    print_report(report, paths, options.clip, options.json)
    return 0
