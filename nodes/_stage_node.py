"""A stage on the canvas: an IMAGE batch in, the batch out at once; a VIDEO in, a lazy VIDEO out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from uuid import uuid4

from torch import Tensor

from ..stereoreel.core.clip import Clip, apply
from ..stereoreel.core.error_context import naming
from ..stereoreel.core.options import Option
from ..stereoreel.core.transforms import Recut
from ..stereoreel.models import policy
from ..stereoreel.models.catalog import own_files, pick
from ..stereoreel.models.lazy_stage import Plan
from ..stereoreel.models.weights import locate
from ..stereoreel.stages.depth.given import inverse
from ..stereoreel.workflow import build
from ..stereoreel.workflow.node_specs import MASKS
from . import _live as live
from ._comfy import PromptServer, VideoInput, io, ui
from ._host import ComfyHost
from ._images import as_batches, as_clip, as_depth
from ._lazy_video import LazyVideo
from ._schema import DeclaredNode


class StageNode(DeclaredNode):
    @classmethod
    def widget(cls, option: Option) -> io.Input:
        """The list of models ends with the user's own files."""
        if option.open:
            option = replace(option, choices=(*option.choices, *own_files(cls.NODE.kind, ComfyHost())))
        return super().widget(option)

    @classmethod
    def execute(cls, clip, depth=None, fps=None, packed: str = "mono", **options) -> io.NodeOutput:
        node, node_id = cls.NODE, str(cls.hidden.unique_id)
        name = build.label(node, node_id)
        if str(options.get("live", "")).strip():
            made, figures = live.run(node, node_id, clip, depth, fps, packed, options)
            return cls._outputs(made, ui.PreviewText(figures).as_dict())
        if isinstance(depth, Mapping):  # ComfyUI's geometry
            depth, options["given"] = inverse(depth), "near white"
        inputs = {"clip": as_clip(clip, name, fps=fps, packed=packed), "depth": as_depth(depth, clip, name, packed)}
        with naming(name):
            made = build.stage(node, inputs, options, node_id)
            if isinstance(plan := build.recipe(node, inputs, options, name), Plan):
                _, reason = plan.choose(ComfyHost())  # weights are told missing, or fetched, now and not when somebody pulls
                cls._show(reason)
        clips = {port: value for port, value in made.items() if isinstance(value, Clip)}
        if isinstance(clip, VideoInput):
            return cls._outputs({**made, **{port: LazyVideo(value) for port, value in clips.items()}})
        batches = cls._batches(clips)
        if node.kind == "depth":
            views = build.views_of_depth(_depth_clip(batches["depth"], clips["depth"], name), options, name)
            made |= {port: LazyVideo(view) for port, view in views.items()}
        return cls._outputs({**made, **batches})

    @classmethod
    def _show(cls, reason: str) -> None:
        """Which upscaler was chosen and why, on the node's face."""
        if cls.NODE.kind in policy.KINDS:
            PromptServer.instance.send_progress_text(reason, str(cls.hidden.unique_id))

    @classmethod
    def _batches(cls, clips: dict[str, Clip]) -> dict:
        """The stage run now; a pair's single eyes are views into the side-by-side batch and cost nothing."""
        types = {socket.name: socket.type for socket in cls.NODE.outputs}
        masks = frozenset(port for port, kind in types.items() if kind == MASKS)
        computed = {port: clip for port, clip in clips.items() if port not in ("left", "right") and types[port] != "VIDEO"}
        batches = as_batches(computed, ComfyHost(), masks)
        if "left" in clips:
            width = clips["left"].info.width
            batches["left"], batches["right"] = batches["clip"][:, :, :width], batches["clip"][:, :, width:]
        return batches

    @classmethod
    def _outputs(cls, made: dict, shown: dict | None = None) -> io.NodeOutput:
        return io.NodeOutput(*(made.get(socket.name) for socket in cls.NODE.outputs), ui=shown)

    @classmethod
    def fingerprint_inputs(cls, model: str | None = "auto", download: bool | None = False, **others) -> str:
        """Changes when ``auto`` would choose another model, or one of its files was replaced; always in a live session, where time goes on."""
        if live.named(others.get("live", "")):
            return uuid4().hex
        host = ComfyHost()
        entry, _ = pick(cls.NODE.kind, model or "auto", host, bool(download), policy.QUALITY)
        found = filter(None, (locate(part, entry.kind, host) for part in entry.parts.values()))
        facts = [(name, host.weights(entry.kind, name).stat()) for name in found]
        return " ".join([entry.name, *(f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in facts)])


def _depth_clip(batch: Tensor, depth: Clip, name: str) -> Clip:
    """A batch of depth as the clip that it was made of, so that looking at it runs no model again."""
    info = depth.info
    clip = as_clip(batch, name, fps=info.fps, packed="full SBS" if info.views == 2 else "mono", depth=True)
    return apply(Recut(", ".join(map(str, info.cuts)) or "none", name), clip)["clip"]
