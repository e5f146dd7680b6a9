"""Nodes as clips, for the canvas and the terminal alike; what a node makes, its declaration says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from ..core.clip import Clip, Recipe, apply
from ..core.options import shown
from ..core.timeline import parse_fps
from ..core.transforms import Recut
from ..models.lazy_stage import Plan
from .node import Call, Node, Outputs, Videos, label

DEFAULT_RATE = Fraction(24)  # of an IMAGE batch that nobody gave a rate


def settings_of(node: Node, options: Mapping) -> Any:
    """A node's options, checked, in their class ``node.settings``."""
    return node.resolve(options)


def stage(
    node: Node,
    inputs: Mapping[str, Clip | None],
    options: Mapping,
    node_id: str,
    videos: Videos | None = None,
) -> Outputs:
    """The outputs of a node by socket name; nothing is computed. ``videos`` is for nodes that open files.

    Raises ValueError where an input is missing or does not fit.
    """
    name = label(node, node_id)
    for socket in node.inputs:
        if not socket.optional and inputs.get(socket.name) is None:
            raise ValueError(f"{name}: nothing is connected to {socket.name}.")
    return node.build(Call(node, inputs, options, name, videos))


def model(call: Call) -> Outputs:
    """What a model of the node's kind makes of its clip, and of its depth if it has one."""
    return dict(apply(call.plan, *clips_of(call)))


def clips_of(call: Call) -> list[Clip]:
    """The clip, with the cuts that the options name, and the depth; ValueError for a rate that is not the clip's."""
    check_rate(call.inputs["clip"], call.inputs.get("fps"))
    cuts = getattr(call.settings, "cuts", "auto")
    clips = [call.inputs[socket] for socket in ("clip", "depth") if call.inputs.get(socket) is not None]
    if cuts.strip() not in ("auto", ""):
        clips[0] = apply(Recut(cuts, call.name), clips[0])["clip"]
    return clips


def written(cuts: Iterable[int]) -> str:
    """Cuts as the option ``cuts`` takes them: ``48, 120``, or ``none``."""
    return ", ".join(map(str, cuts)) or "none"


def plan_of(outputs: Mapping) -> Plan | None:
    """The model that makes a node's outputs; None where no model does."""
    makers = (value.maker for value in outputs.values() if isinstance(value, Clip))
    recipes: list[Recipe | None] = [getattr(maker, "recipe", None) for maker in makers]
    return next((recipe for recipe in recipes if isinstance(recipe, Plan)), None)


def check_rate(clip: Clip, fps: float | str | None) -> None:
    """ValueError where a rate was given that is not the clip's own: a clip knows it, only an IMAGE batch must be told."""
    if fps is not None and abs(parse_fps(fps) / clip.info.fps - 1) > Fraction(1, 1000):
        raise ValueError(
            f"this VIDEO runs at {float(clip.info.fps):.3f} fps and fps says {shown(fps)}; use Interpolate Frames to change a rate."
        )
