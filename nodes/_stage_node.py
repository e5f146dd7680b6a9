"""A stage on the canvas: an IMAGE batch is processed immediately, a VIDEO gives a lazy VIDEO."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from uuid import uuid4

from ..stereoreel.core.clip import Clip
from ..stereoreel.core.error_context import naming
from ..stereoreel.core.options import Option
from ..stereoreel.models import policy
from ..stereoreel.models.catalog import own_files, pick
from ..stereoreel.models.weights import locate
from ..stereoreel.workflow import build
from ..stereoreel.workflow.node import MASKS
from . import _live
from ._comfy import VideoInput, io, ui
from ._host import ComfyHost
from ._images import as_batches, as_clip, as_depth
from ._lazy_video import LazyVideo
from ._models import ran
from ._schema import DeclaredNode


class StageNode(DeclaredNode):
    @classmethod
    def widget(cls, option: Option) -> io.Input:
        """Append custom checkpoints to the list of models."""
        if option.open:
            option = replace(option, choices=(*option.choices, *own_files(cls.NODE.kind, ComfyHost())))
        return super().widget(option)

    @classmethod
    def execute(cls, clip, depth=None, fps=None, packed: str = "mono", **options) -> io.NodeOutput:
        node, node_id = cls.NODE, str(cls.hidden.unique_id)
        name, text = build.label(node, node_id), options.pop("text", None)
        if text is not None and str(options.get("live", "")).strip():
            raise ValueError(f"{name}: a live session takes no text. Disconnect it, or leave live empty.")
        if str(options.get("live", "")).strip():
            live, figures = _live.run(node, node_id, clip, depth, fps, packed, options)
            return cls._outputs(live, ui.PreviewText(figures).as_dict())
        inputs = {
            "clip": as_clip(clip, name, fps=fps, packed=packed),
            "depth": as_depth(depth, clip, name, packed),
            "text": as_depth(text, clip, name, packed),
        }
        with naming(name):
            result = dict(build.stage(node, inputs, options, node_id))
            if plan := build.plan_of(result):
                # missing weights are reported or downloaded now, not when the clip is pulled
                workflow = ((cls.hidden.extra_pnginfo or {}).get("workflow") or {}).get("id")
                ran(node_id, workflow, *plan.choose(ComfyHost()))
        clips = build.clips_in(result)
        if isinstance(clip, VideoInput):
            return cls._outputs({**result, **{port: LazyVideo(value) for port, value in clips.items()}})
        return cls._outputs({**result, **cls._batches(clips, name, options)})

    @classmethod
    def _batches(cls, clips: dict[str, Clip], name: str, options: Mapping) -> dict:
        """Run the stage now."""
        types = {socket.name: socket.type for socket in cls.NODE.outputs}
        masks = frozenset(port for port, kind in types.items() if kind == MASKS)
        computed = {port: clip for port, clip in clips.items() if types[port] != "VIDEO"}
        return as_batches(computed, ComfyHost(), masks)

    @classmethod
    def _outputs(cls, outputs: Mapping, shown: dict | None = None) -> io.NodeOutput:
        return io.NodeOutput(*(outputs.get(socket.name) for socket in cls.NODE.outputs), ui=shown)

    @classmethod
    def fingerprint_inputs(cls, model: str | None = "auto", download: bool | None = False, **others) -> str:
        """Return a fingerprint that changes with the model that ``auto`` selects or with one of its files.

        In a live session it changes with every run, because the session's state advances.
        """
        if _live.named(others.get("live", "")):
            return uuid4().hex
        host = ComfyHost()
        entry, _ = pick(cls.NODE.kind, model or "auto", host, bool(download), policy.QUALITY)
        found = filter(None, (locate(part, entry.kind, host) for part in entry.parts.values()))
        facts = [(name, host.weights(entry.kind, name).stat()) for name in found]
        return " ".join([entry.name, *(f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in facts)])
