"""Stereo Comfort: viewing comfort of a stereo pair, in numbers, on a page and as a tinted clip."""

from __future__ import annotations

from ..stereoreel.core.clip import Clip
from ..stereoreel.viewing.comfort import ComfortOptions, overlay
from ..stereoreel.viewing.report import Report
from ._lazy_video import LazyVideo
from ._report_node import ReportNode

PLAN = "stereoreel_plan"  # in web/plan.js


class ComfortNode(ReportNode):
    @classmethod
    def facts(cls, report: Report) -> dict:
        return {PLAN: [report.figures["plan"]]} if "plan" in report.figures else {}

    @classmethod
    def output(cls, report: Report, clip: Clip, settings: ComfortOptions, name: str) -> LazyVideo:
        return LazyVideo(overlay(clip, settings, name))
