"""Stereo Pair: a stage whose left and right views are parts of its side-by-side batch."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ..stereoreel.core.clip import Clip
from ..stereoreel.core.error_context import naming
from ..stereoreel.stages.stereo import check_depth
from ..stereoreel.workflow import build
from ._comfy import io
from ._stage_node import StageNode


class StereoNode(StageNode):
    @classmethod
    def execute(cls, clip, depth=None, fps=None, packed: str = "mono", **options) -> io.NodeOutput:
        """Check all three channels of a depth batch, because only one of them is passed on."""
        if isinstance(depth, Tensor) and depth.ndim == 4:
            with naming(build.label(cls.NODE, str(cls.hidden.unique_id))):
                check_depth(depth[:1])
        return super().execute(clip, depth, fps, packed, **options)

    @classmethod
    def _batches(cls, clips: dict[str, Clip], name: str, options: Mapping) -> dict:
        """Return the left and right views as slices of the side-by-side batch, at no cost."""
        width = clips["left"].info.width
        computed = {port: clip for port, clip in clips.items() if port not in ("left", "right")}
        batches = super()._batches(computed, name, options)
        pair = batches["clip"]
        return batches | {"left": pair[:, :, :width], "right": pair[:, :, width:]}
