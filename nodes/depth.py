"""Estimate Depth: a stage that also accepts ComfyUI's geometry, and shows views of its depth."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ..stereoreel.core.clip import Clip, apply
from ..stereoreel.core.transforms import Recut
from ..stereoreel.stages.depth.given import inverse
from ..stereoreel.workflow import build
from ..stereoreel.workflow.nodes.depth import views
from ._comfy import io
from ._images import as_clip
from ._lazy_video import LazyVideo
from ._stage_node import StageNode


class DepthNode(StageNode):
    @classmethod
    def execute(cls, clip, depth=None, fps=None, packed: str = "mono", **options) -> io.NodeOutput:
        if isinstance(depth, Mapping):  # ComfyUI's geometry
            depth, options["given"] = inverse(depth), "near white"
        return super().execute(clip, depth, fps, packed, **options)

    @classmethod
    def _batches(cls, clips: dict[str, Clip], name: str, options: Mapping) -> dict:
        """Compute the depth, and its views from that batch, so that no model runs again."""
        batches = super()._batches(clips, name, options)
        depth = _as_made(batches["depth"], clips["depth"], name)
        pictures = views(depth, build.settings_of(cls.NODE, options).invert, name)
        return batches | {port: LazyVideo(picture) for port, picture in pictures.items()}


def _as_made(batch: Tensor, depth: Clip, name: str) -> Clip:
    """Return a batch of depth as a clip with the rate, views and cuts of the clip it was computed from."""
    info = depth.info
    clip = as_clip(batch, name, fps=info.fps, packed="full SBS" if info.views == 2 else "mono", depth=True)
    return apply(Recut(build.format_cuts(info.cuts), name), clip)["clip"]
