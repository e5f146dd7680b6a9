"""Print reports in the terminal and save their images and files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ..core.error_context import naming
from ..core.host import Host
from ..media.write.render import free_path
from ..viewing.report import Report
from ..workflow.graph import Output


def save_node_report(job: Output, folder: Path, host: Host) -> str:
    """Run a node of ``Assembly.looks``, save its image in ``folder`` and return the lines to print."""
    depth = {"depth": job.depth} if job.depth else {}
    with naming(job.name):
        report = job.node.report(job.clip, job.settings, host, job.name, **depth)
        path = report.save_image(free_path(folder, report.name, "", report.suffix))
    return "\n".join(filter(None, (report.text, str(path))))


def print_report(report: Report, paths: Sequence[Path], video: Path, as_json: bool) -> None:
    """Print a command's report, its files and how to run the last one, a workflow; or only its figures."""
    if as_json:
        print(json.dumps(report.figures, indent=2))
        return
    command = f'python -m stereoreel run "{paths[-1]}" --input "{video}"'
    print("\n".join((report.text, "", *map(str, paths), "", command)))
