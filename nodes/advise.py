"""Source Advisor: measures a clip and recommends a workflow, which its page opens on the canvas."""

from __future__ import annotations

from pathlib import Path

from ..stereoreel.analysis import advisor
from ..stereoreel.analysis.advisor.advice import file_of
from ..stereoreel.core.clip import Clip
from ..stereoreel.viewing.report import Report
from ._comfy import folder_paths
from ._host import ComfyHost
from ._report_node import ReportNode


class AdviseNode(ReportNode):
    @classmethod
    def measure(cls, clip: Clip, settings: advisor.AdvisorOptions, name: str) -> Report:
        return advisor.report(clip, settings, ComfyHost(), name, _input_file(clip))

    @classmethod
    def output(cls, report: Report, clip: Clip, settings: advisor.AdvisorOptions, name: str) -> str:
        return report.embedded["workflow"]


def _input_file(clip: Clip) -> str:
    """Return the input folder's file that a clip is read from, as Extract names it; empty if none."""
    inputs = Path(folder_paths.get_input_directory()).resolve()
    file = file_of(clip)
    return file.relative_to(inputs).as_posix() if file and file.is_relative_to(inputs) else ""
