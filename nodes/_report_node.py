"""Nodes that measure a clip when they run: a text, the figures as JSON, an image and one more output."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..stereoreel.core.clip import Clip
from ..stereoreel.core.error_context import naming
from ..stereoreel.media.write.render import free_path
from ..stereoreel.viewing.report import Report
from ..stereoreel.workflow import build
from ._comfy import folder_paths, io, ui
from ._host import ComfyHost, working_type
from ._images import as_clip
from ._schema import DeclaredNode


class ReportNode(DeclaredNode):
    @classmethod
    def execute(cls, clip, packed: str = "mono", **options) -> io.NodeOutput:
        name = build.label(cls.NODE, str(cls.hidden.unique_id))
        settings = build.settings_of(cls.NODE, options)
        source = as_clip(clip, name, packed=packed)
        with naming(name):
            report = cls.measure(source, settings, name)
            more = cls.output(report, source, settings, name)
        image = torch.from_numpy(np.array(report.image)).to(working_type())[None] / 255
        shown = _save(report) if report.embedded else ui.PreviewImage(image, cls=cls).as_dict()
        shown |= ui.PreviewText(report.text).as_dict() | cls.facts(report)
        return io.NodeOutput(report.text, json.dumps(report.figures, indent=2), image, more, ui=shown)

    @classmethod
    def measure(cls, clip: Clip, settings: Any, name: str) -> Report:
        return cls.NODE.report(clip, settings, ComfyHost(), name)

    @classmethod
    def facts(cls, report: Report) -> dict:
        """Return what else the node's page on the canvas must know."""
        return {}

    @classmethod
    def output(cls, report: Report, clip: Clip, settings: Any, name: str):
        """Return the value of the node's last output."""
        raise NotImplementedError


def _save(report: Report) -> dict:
    """Save the report's image in ComfyUI's output folder, because its file opens on the canvas; show it."""
    output = Path(folder_paths.get_output_directory())
    path = report.save_image(free_path(output, f"stereoreel/{report.name}", "", report.suffix))
    return {
        "images": [
            ui.SavedResult(path.name, path.parent.relative_to(output).as_posix(), io.FolderType.output)
        ]
    }
