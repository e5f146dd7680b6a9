"""Source Advisor: what a clip is like and what to do with it; its page, dropped on the canvas, opens the recommended workflow."""

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
    """The file of the input folder that a clip is made of, as Extract names it; empty where there is none."""
    inputs = Path(folder_paths.get_input_directory()).resolve()
    file = file_of(clip)
    return file.relative_to(inputs).as_posix() if file and file.is_relative_to(inputs) else ""
