"""Keep Frames: a lazy VIDEO that Encode stores on disk while it renders in units; a batch passes through."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..stereoreel.core.error_context import naming
from ..stereoreel.media.paths import confine_prefix
from ..stereoreel.workflow import build
from ._comfy import VideoInput, folder_paths, io
from ._host import ComfyHost
from ._images import as_batches, as_clip
from ._lazy_video import LazyVideo
from ._schema import DeclaredNode


class KeepNode(DeclaredNode):
    JUDGED = ("folder",)

    @classmethod
    def execute(cls, clip, packed: str = "mono", **options) -> io.NodeOutput:
        node_id = str(cls.hidden.unique_id)
        name = build.label(cls.NODE, node_id)
        frames = as_clip(clip, name, packed=packed)
        with naming(name):
            confine_prefix(options.get("folder", "kept"), Path(folder_paths.get_output_directory()))
            result = build.clips_in(build.stage(cls.NODE, {"clip": frames}, options, node_id))["clip"]
        if isinstance(clip, VideoInput):
            return io.NodeOutput(LazyVideo(result))
        return io.NodeOutput(as_batches({"clip": result}, ComfyHost())["clip"])

    @classmethod
    def judge(cls, given: Mapping) -> None:
        if (folder := given.get("folder")) is not None:
            confine_prefix(folder, Path(folder_paths.get_output_directory()))
