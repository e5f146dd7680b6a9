"""ComfyUI's schema of a declared node, using only keywords that this ComfyUI has."""

from __future__ import annotations

import dataclasses

from ..stereoreel.core import cancel
from ..stereoreel.core.options import Option
from ..stereoreel.workflow.node import Node, Socket
from ._comfy import io
from ._host import ComfyHost

CATEGORY = "StereoReel"


def node_class(node: Node, base: type[io.ComfyNode]) -> type:
    """Return the V3 class of a declaration; Stop interrupts anything it does while it executes."""

    def execute(cls, **inputs) -> io.NodeOutput:
        with cancel.heard(ComfyHost().tick):
            return base.execute.__func__(cls, **inputs)

    return type(node.id, (base,), {"NODE": node, "execute": classmethod(execute)})


class DeclaredNode(io.ComfyNode):
    """A ComfyUI node whose schema is a declaration."""

    NODE: Node

    @classmethod
    def define_schema(cls) -> io.Schema:
        node = cls.NODE
        required = [_socket(socket) for socket in node.inputs if not socket.optional]
        optional = [_socket(socket) for socket in node.inputs if socket.optional]
        return io.Schema(
            node_id=node.id,
            display_name=node.display_name,
            category=CATEGORY,
            description=node.text,
            inputs=[*required, *optional, *(cls.widget(option) for option in node.options)],
            outputs=[
                _custom(socket.type).Output(
                    id=f"{socket.name}_out", display_name=socket.name, tooltip=socket.text
                )
                for socket in node.outputs
            ],
            hidden=[io.Hidden.unique_id, io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=node.output_node,
            **_known(search_aliases=list(node.aliases)),
        )

    @classmethod
    def widget(cls, option: Option) -> io.Input:
        """Return an option's widget; optional, so that prompts saved before the widget existed still run."""
        made = _widget(option)
        if option.advanced:
            # 0.3.64 accepts neither extra_dict nor advanced as an argument
            made.extra_dict = {**(made.extra_dict or {}), "advanced": True}
        return made


def _widget(option: Option) -> io.Input:
    common = {"default": option.default, "tooltip": option.text, "optional": True}
    if option.choices:
        return io.Combo.Input(option.name, options=list(option.choices), **common)
    if isinstance(option.default, bool):
        return io.Boolean.Input(option.name, **common)
    if isinstance(option.default, str):
        return io.String.Input(option.name, **common)
    kind = io.Int if isinstance(option.default, int) else io.Float
    return kind.Input(option.name, min=option.low, max=option.high, step=option.step, **common)


def _known(**facts) -> dict:
    """Return the facts that this ComfyUI's schema has fields for."""
    fields = {field.name for field in dataclasses.fields(io.Schema)}
    return {name: fact for name, fact in facts.items() if name in fields}


def _custom(name: str):
    known = {"VIDEO": io.Video, "AUDIO": io.Audio, "FLOAT": io.Float, "STRING": io.String}
    return known.get(name) or io.Custom(name)


def _socket(socket: Socket) -> io.Input:
    return _custom(socket.type).Input(socket.name, optional=socket.optional, tooltip=socket.text)
