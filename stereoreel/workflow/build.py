"""Build the clips of nodes, for the canvas and the terminal alike, from the nodes' declarations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from ..core.clip import Clip, Step, apply
from ..core.options import shown
from ..core.timeline import parse_fps
from ..core.transforms import AUTO_CUTS, Recut
from ..models.lazy_stage import Plan
from .node import Call, Node, Outputs, Videos, label

DEFAULT_RATE = Fraction(24)  # of an IMAGE batch without a rate


def settings_of(node: Node, options: Mapping) -> Any:
    """Return a node's options, checked, as an instance of ``node.settings``."""
    return node.resolve(options)


def stage(
    node: Node,
    inputs: Mapping[str, Clip | float | str | None],
    options: Mapping,
    node_id: str,
    videos: Videos | None = None,
) -> Outputs:
    """Return the outputs of a node by socket name; compute nothing. ``videos`` is for nodes that open files.

    Raise ValueError if an input is missing or does not fit.
    """
    name = label(node, node_id)
    for socket in node.inputs:
        if not socket.optional and inputs.get(socket.name) is None:
            raise ValueError(f"{name}: nothing is connected to {socket.name}.")
    return node.build(Call(node, inputs, options, name, videos))


def model(call: Call) -> dict[str, Clip]:
    """Return the clips that the node's model computes from its clip, and depth if one is connected."""
    clips = clips_of(call)
    return apply(call.plan.over(clips), *clips)


def clips_of(call: Call) -> list[Clip]:
    """Return the clip, with the cuts set in the options, and the depth if one is connected.

    Raise ValueError if a rate is given that is not the clip's.
    """
    check_rate(call.clip(), call.rate)
    cuts = getattr(call.settings, "cuts", "auto")
    clips = [call.clip(socket) for socket in ("clip", "depth") if call.inputs.get(socket) is not None]
    if cuts.strip() not in AUTO_CUTS:
        clips[0] = apply(Recut(cuts, call.name), clips[0])["clip"]
    return clips


def format_cuts(cuts: Iterable[int]) -> str:
    """Format cuts for the option ``cuts``: ``48, 120``, or ``none``."""
    return ", ".join(map(str, cuts)) or "none"


def clips_in(outputs: Outputs) -> dict[str, Clip]:
    """Return the outputs that are clips, by socket name."""
    return {port: value for port, value in outputs.items() if isinstance(value, Clip)}


def plan_of(outputs: Outputs) -> Plan | None:
    """Return the model that computes a node's outputs; None if there is none."""
    makers = (clip.maker for clip in clips_in(outputs).values())
    recipes = (maker.recipe for maker in makers if isinstance(maker, Step))
    return next((recipe for recipe in recipes if isinstance(recipe, Plan)), None)


def check_rate(clip: Clip, fps: float | str | None) -> None:
    """Raise ValueError if a rate is given that is not the clip's own; only an IMAGE batch needs one."""
    if fps is not None and abs(parse_fps(fps) / clip.info.fps - 1) > Fraction(1, 1000):
        raise ValueError(
            f"this VIDEO runs at {float(clip.info.fps):.3f} fps, but fps is {shown(fps)}. "
            "Use Interpolate Frames to change the rate."
        )
