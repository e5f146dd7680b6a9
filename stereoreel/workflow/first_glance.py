"""Which widgets a node shows before anyone asks for more; web/widgets.js goes by the same rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.options import Option
from ..models import catalog
from .node import Node

AUTO = "auto"
MODEL = "model"  # as the other option of an ``only``: the arch that runs, not the widget's value
GIVEN = "given"  # its arch where a connected socket replaces the model
FIXED, INCREMENT = "fixed", "increment"  # what the canvas does to a number after a run
FRESH = "builtin"  # what auto runs on a machine without weights


def visible(node: Node, inputs: Mapping[str, Any], arch: str = "") -> list[Option]:
    """Return the options that a node shows with these inputs, in their order.

    An advanced one is shown if its value was changed or comes from another node. ``arch`` is what auto runs.
    """
    running = arch_of(node, inputs, arch or FRESH)
    return [option for option in node.options if _shown(node, option, inputs, running)]


def _shown(node: Node, option: Option, inputs: Mapping[str, Any], arch: str) -> bool:
    value = inputs.get(option.name, option.default)
    if isinstance(value, list):  # a link
        return True
    return _matters(node, option, inputs, arch) and (not option.advanced or value != option.default)


def _matters(node: Node, option: Option, inputs: Mapping[str, Any], arch: str) -> bool:
    if option.only is None:
        return True
    name, values = option.only
    if name == MODEL:
        return arch in values
    other = next(one for one in node.options if one.name == name)
    value = inputs.get(name, other.default)
    if isinstance(value, list):
        return True
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text in values if values else value != other.default


def lines(node: Node, inputs: Mapping[str, Any]) -> list[Option]:
    """Return the options that choose a model; the node has a line for each, which says what runs."""
    return [option for option in node.options if _kind(node, option) and _matters(node, option, inputs, "")]


def arch_of(node: Node, inputs: Mapping[str, Any], fresh: str = FRESH) -> str:
    """Return the arch that runs, ``fresh`` for auto; empty if the node has no model."""
    instead = _instead(node)
    if instead and isinstance(inputs.get(instead), list):
        return GIVEN
    if node.module:
        return ""
    entry = catalog.models(node.kind).get(inputs.get(MODEL, AUTO))
    return entry.arch if entry else fresh


def _kind(node: Node, option: Option) -> str:
    """Return the kind of the models that an option chooses from; empty if it chooses no model."""
    kind = node.kind if option.name == MODEL else option.name.removesuffix(f"_{MODEL}")
    return kind if MODEL in option.name and len(catalog.models(kind)) > 1 else ""


def _instead(node: Node) -> str:
    return next((socket.name for socket in node.inputs if socket.instead), "")


def facts(node: Node, option: Option) -> dict[str, Any]:
    """Return what the canvas must know of an option besides its value and its text."""
    ours: dict[str, Any] = {}
    if option.only:
        ours["only"] = [option.only[0], list(option.only[1])]
    if option.word:
        ours["word"] = option.word
    if kind := _kind(node, option):
        ours |= {"kind": kind, "instead": _instead(node)}
    host: dict[str, Any] = {"advanced": True} if option.advanced else {}
    if option.counts:
        host["control_after_generate"] = ours["counts"] = True
    return host | ({"stereoreel": ours} if ours else {})
