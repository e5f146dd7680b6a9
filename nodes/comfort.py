"""Stereo Comfort: looks at a pair and tells, in numbers and on a page, how comfortable it is to watch."""

from __future__ import annotations

import json

from ..stereoreel.core.error_context import naming
from ..stereoreel.viewing.comfort import measure, overlay
from ..stereoreel.workflow import build
from ._comfy import io, ui
from ._host import ComfyHost, working_type
from ._images import as_clip
from ._lazy_video import LazyVideo
from ._schema import DeclaredNode


class ComfortNode(DeclaredNode):
    @classmethod
    def execute(cls, clip, packed: str = "mono", **options) -> io.NodeOutput:
        name = build.label(cls.NODE, str(cls.hidden.unique_id))
        settings = build.settings_of(cls.NODE, options)
        pair = as_clip(clip, name, packed=packed)
        with naming(name):
            found = measure(pair, settings, ComfyHost(), name)
            tinted = LazyVideo(overlay(pair, settings, name))
        page = found.page[None].to(working_type())
        shown = ui.PreviewImage(page, cls=cls).as_dict() | ui.PreviewText(found.text).as_dict()
        return io.NodeOutput(found.text, json.dumps(found.figures, indent=2), page, tinted, ui=shown)
