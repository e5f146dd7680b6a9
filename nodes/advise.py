"""Advise: looks at a clip and tells what to do with it; its page, dropped on the canvas, opens the recommended workflow."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from ..stereoreel.analysis.advisor.advice import UNNAMED, advise, file_of
from ..stereoreel.analysis.advisor.page import page
from ..stereoreel.core.clip import Clip
from ..stereoreel.core.error_context import naming
from ..stereoreel.media.write.render import free_path
from ..stereoreel.workflow import build
from ._comfy import folder_paths, io, ui
from ._host import ComfyHost, working_type
from ._images import as_clip
from ._schema import DeclaredNode

PREFIX = "stereoreel/advice"


class AdviseNode(DeclaredNode):
    @classmethod
    def execute(cls, clip, **options) -> io.NodeOutput:
        name = build.label(cls.NODE, str(cls.hidden.unique_id))
        settings = build.settings_of(cls.NODE, options)
        source = as_clip(clip, name)
        with naming(name):
            video = _input_file(source)
            found = advise(source, settings, ComfyHost(), video or "this clip", video or UNNAMED)
            picture = page(found, source, ComfyHost())
        output = Path(folder_paths.get_output_directory())
        path = found.save_page(picture, free_path(output, PREFIX, "", ".png"))
        image = torch.from_numpy(np.array(picture)).to(working_type())[None] / 255
        saved = ui.SavedResult(path.name, path.parent.relative_to(output).as_posix(), io.FolderType.output)
        shown = {"images": [saved], **ui.PreviewText(found.text()).as_dict()}
        return io.NodeOutput(found.text(), json.dumps(found.figures(), indent=2), image, json.dumps(found.canvas()), ui=shown)


def _input_file(clip: Clip) -> str:
    """The file of the input folder that a clip is made of, as Extract names it; empty where there is none."""
    inputs = Path(folder_paths.get_input_directory()).resolve()
    file = file_of(clip)
    return file.relative_to(inputs).as_posix() if file and file.is_relative_to(inputs) else ""
