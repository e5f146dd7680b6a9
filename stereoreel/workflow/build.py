"""Nodes as clips: what each declared node makes of its inputs. The canvas and the terminal both build their graphs here."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from ..core.clip import Clip, apply
from ..core.keep import Keep
from ..core.options import resolve, shown
from ..core.timeline import parse_fps
from ..core.transforms import Eye, Recut
from ..media.paths import check_name
from ..models.lazy_stage import Plan
from ..stages.depth.given import Given
from ..stages.depth.views import Colors, Histogram
from ..stages.stereo.parallax import ScreenPlane
from ..viewing.comfort import overlay
from ..viewing.compare import compare
from .check import label
from .node_specs import Node

DEFAULT_RATE = Fraction(24)  # of an IMAGE batch that nobody gave a rate


def settings_of(node: Node, options: Mapping) -> Any:
    """A node's options, checked, in its class ``node.settings``; ``packed`` says what an IMAGE batch shows, and a clip knows that."""
    return resolve(node.settings, options, [option for option in node.options if option.name != "packed"])


def stage(node: Node, inputs: Mapping[str, Clip | None], options: Mapping, node_id: str) -> dict[str, Clip | float | str]:
    """The outputs of a stage node by socket name; nothing is computed.

    Raises ValueError where an input is missing or does not fit.
    """
    name = label(node, node_id)
    for socket in node.inputs:
        if not socket.optional and inputs.get(socket.name) is None:
            raise ValueError(f"{name}: nothing is connected to {socket.name}.")
    if node.kind == "compare":
        return {"clip": compare(inputs["clip"], inputs["other"], settings_of(node, options), name)}
    if node.kind == "comfort":
        return {"overlay": overlay(inputs["clip"], settings_of(node, options), name)}
    if node.kind in ("advise", "orders"):
        return {}  # what it tells is known when it has run
    if node.kind == "keep":
        folder = settings_of(node, options).folder
        check_name(folder, "folder")
        return dict(apply(Keep(folder, name), inputs["clip"]))
    check_rate(inputs["clip"], inputs.get("fps"))
    cuts = getattr(settings_of(node, options), "cuts", "auto")
    clips = [inputs[socket] for socket in ("clip", "depth") if inputs.get(socket) is not None]
    if cuts.strip() not in ("auto", ""):
        clips[0] = apply(Recut(cuts, name), clips[0])["clip"]
    made: dict[str, Clip | float | str] = dict(apply(recipe(node, inputs, options, name), *clips))
    if node.kind == "stereo":
        made["left"], made["right"] = (apply(Eye(eye, name), made["clip"])["clip"] for eye in (0, 1))
    if node.kind == "depth":
        made = {"depth": made["clip"], **views_of_depth(made["clip"], options, name)}
    if node.kind == "interpolate":
        made["fps"] = float(made["clip"].info.fps)
        made["cuts"] = ", ".join(map(str, clips[0].info.cuts)) or "none"
    return made


def recipe(node: Node, inputs: Mapping[str, Clip | None], options: Mapping, name: str) -> Plan | Given:
    """What a stage node does: a model of its kind, or for Depth what another node has found."""
    plan = Plan(node.kind, options, name)
    return Given(plan.settings, name) if node.kind == "depth" and inputs.get("depth") is not None else plan


def views_of_depth(depth: Clip, options: Mapping, name: str) -> dict[str, Clip]:
    """Depth as people look at it, drawn when somebody does."""
    inverted = Plan("depth", options, name).settings.invert
    views = {"colors": Colors(inverted, f"{name}, colors"), "histogram": Histogram(ScreenPlane, inverted, f"{name}, histogram")}
    return {port: apply(view, depth)["clip"] for port, view in views.items()}


def check_rate(clip: Clip, fps: float | str | None) -> None:
    """ValueError where a rate was given that is not the clip's own: a clip knows it, only an IMAGE batch must be told."""
    if fps is not None and abs(parse_fps(fps) / clip.info.fps - 1) > Fraction(1, 1000):
        raise ValueError(f"this VIDEO runs at {float(clip.info.fps):.3f} fps and fps says {shown(fps)}; use Interpolate Frames to change a rate.")
