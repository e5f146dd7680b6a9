"""Preview Stereo: images of a few frames in ComfyUI's temp folder, shown by the pack's web extension."""

from __future__ import annotations

from uuid import uuid4

from ..stereoreel.core.error_context import naming
from ..stereoreel.viewing.preview import preview_frames, save
from ..stereoreel.workflow import build
from ._comfy import io
from ._host import ComfyHost, scratch
from ._images import as_clip, as_depth
from ._schema import DeclaredNode

FOLDER = "stereoreel_preview"


class PreviewNode(DeclaredNode):
    @classmethod
    def execute(cls, clip, depth=None, packed: str = "mono", **options) -> io.NodeOutput:
        name = build.label(cls.NODE, str(cls.hidden.unique_id))
        settings = build.settings_of(cls.NODE, options)
        frames, depths = as_clip(clip, name, packed=packed), as_depth(depth, clip, name, packed)
        stem, result = uuid4().hex[:12], []
        with naming(name):
            for look in preview_frames(frames, depths, settings.samples, settings.width, ComfyHost()):
                paths = save(look, scratch() / FOLDER, stem)
                pictures = {
                    eye: {"filename": path.name, "subfolder": FOLDER, "type": "temp"}
                    for eye, path in paths.items()
                }
                result.append(
                    {"frame": look.frame, "frames": frames.info.frames, "seconds": look.seconds, **pictures}
                )
        return io.NodeOutput(ui={"stereoreel": result})
