"""Order Lab: runs orders of stages on excerpts of a clip, shows where they differ and recommends one."""

from __future__ import annotations

from dataclasses import replace

from ..stereoreel.analysis.order_lab.figures import recommended
from ..stereoreel.analysis.order_lab.options import OrderLabOptions
from ..stereoreel.core.clip import Clip
from ..stereoreel.core.options import Option
from ..stereoreel.models.catalog import own_files
from ..stereoreel.viewing.report import Report
from ._comfy import io
from ._host import ComfyHost
from ._report_node import ReportNode


class OrdersNode(ReportNode):
    @classmethod
    def widget(cls, option: Option) -> io.Input:
        """Append custom checkpoints of the same kind to each list of models."""
        if option.open:
            option = replace(
                option, choices=(*option.choices, *own_files(option.name.removesuffix("_model"), ComfyHost()))
            )
        return super().widget(option)

    @classmethod
    def output(cls, report: Report, clip: Clip, settings: OrderLabOptions, name: str) -> str:
        return ",".join(recommended(report.figures))
