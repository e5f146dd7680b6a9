"""Shot Switch: two VIDEOs in, a lazy VIDEO out; two batches and their source in, a batch out."""

from __future__ import annotations

from fractions import Fraction
from math import floor

from ..stereoreel.core.clip import Clip, apply
from ..stereoreel.core.error_context import naming
from ..stereoreel.core.transforms import Recut
from ..stereoreel.workflow import build
from ._comfy import VideoInput, io
from ._host import ComfyHost
from ._images import as_batches, as_clip
from ._lazy_video import LazyVideo
from ._schema import DeclaredNode


class SwitchNode(DeclaredNode):
    @classmethod
    def execute(cls, noisy, clean, source=None, packed: str = "mono", **options) -> io.NodeOutput:
        node_id = str(cls.hidden.unique_id)
        name = build.label(cls.NODE, node_id)
        given = {"noisy": noisy, "clean": clean}
        videos = {port: as_clip(one, name) for port, one in given.items() if isinstance(one, VideoInput)}
        fps = next((clip.info.fps for clip in videos.values()), None)
        measured = None if source is None else as_clip(source, name)
        batches = {
            port: _with_cuts_of(measured, as_clip(one, name, fps=fps, packed=packed, cuts=False), name)
            for port, one in given.items()
            if port not in videos
        }
        with naming(name):
            inputs = {**videos, **batches, "source": measured}
            result = build.clips_in(build.stage(cls.NODE, inputs, options, node_id))["clip"]
        if isinstance(noisy, VideoInput):
            return io.NodeOutput(LazyVideo(result))
        return io.NodeOutput(as_batches({"clip": result}, ComfyHost())["clip"])


def _with_cuts_of(source: Clip | None, batch: Clip, label: str) -> Clip:
    """Return a batch with the cuts of its source, which its own frames might not show."""
    if source is None or not source.info.cuts:
        return batch
    rate = Fraction(batch.info.frames, source.info.frames)
    cuts = build.format_cuts(floor(cut * rate + Fraction(1, 2)) for cut in source.info.cuts)
    return apply(Recut(cuts, label), batch)["clip"]
