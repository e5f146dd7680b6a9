"""Compare Clips: two VIDEOs in, a lazy VIDEO out; two batches in, a batch out."""

from __future__ import annotations

from ..stereoreel.core.error_context import naming
from ..stereoreel.workflow import build
from ._comfy import VideoInput, io
from ._host import ComfyHost
from ._images import as_batches, as_clip
from ._lazy_video import LazyVideo
from ._schema import DeclaredNode


class CompareNode(DeclaredNode):
    @classmethod
    def execute(cls, clip, other, packed: str = "mono", **options) -> io.NodeOutput:
        node_id = str(cls.hidden.unique_id)
        name = build.label(cls.NODE, node_id)
        fps = next(
            (as_clip(video, name).info.fps for video in (clip, other) if isinstance(video, VideoInput)), None
        )
        inputs = {
            socket: as_clip(value, name, packed=packed, fps=None if isinstance(value, VideoInput) else fps)
            for socket, value in {"clip": clip, "other": other}.items()
        }
        with naming(name):
            result = build.clips_in(build.stage(cls.NODE, inputs, options, node_id))["clip"]
        if isinstance(clip, VideoInput):
            return io.NodeOutput(LazyVideo(result))
        return io.NodeOutput(as_batches({"clip": result}, ComfyHost())["clip"])
