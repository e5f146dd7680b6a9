"""Order Lab: runs orders of stages on some places of a clip, and shows where they differ and which one to take."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import torch

from ..stereoreel.analysis.order_lab.lab import measure
from ..stereoreel.core.error_context import naming
from ..stereoreel.core.options import Option
from ..stereoreel.models.catalog import own_files
from ..stereoreel.workflow import build
from ._comfy import io, ui
from ._host import ComfyHost, working_type
from ._images import as_clip
from ._schema import DeclaredNode


class OrdersNode(DeclaredNode):
    @classmethod
    def widget(cls, option: Option) -> io.Input:
        """Each list of models ends with the user's own files of its kind."""
        if option.open:
            option = replace(option, choices=(*option.choices, *own_files(option.name.removesuffix("_model"), ComfyHost())))
        return super().widget(option)

    @classmethod
    def execute(cls, clip, **options) -> io.NodeOutput:
        name = build.label(cls.NODE, str(cls.hidden.unique_id))
        settings = build.settings_of(cls.NODE, options)
        source = as_clip(clip, name)
        with naming(name):
            found = measure(source, settings, ComfyHost())
        sheet = torch.from_numpy(np.array(found.sheet))[None].to(working_type()) / 255
        shown = ui.PreviewImage(sheet, cls=cls).as_dict() | ui.PreviewText(found.text).as_dict()
        return io.NodeOutput(found.text, json.dumps(found.figures, indent=2), sheet, found.words, ui=shown)
