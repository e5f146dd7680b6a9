"""Stereo Pair: a stage whose left and right views are parts of its side-by-side batch."""

from __future__ import annotations

from collections.abc import Mapping

from ..stereoreel.core.clip import Clip
from ._stage_node import StageNode


class StereoNode(StageNode):
    @classmethod
    def _batches(cls, clips: dict[str, Clip], name: str, options: Mapping) -> dict:
        """Return the left and right views as slices of the side-by-side batch, at no cost."""
        width = clips["left"].info.width
        computed = {port: clip for port, clip in clips.items() if port not in ("left", "right")}
        batches = super()._batches(computed, name, options)
        pair = batches["clip"]
        return batches | {"left": pair[:, :, :width], "right": pair[:, :, width:]}
