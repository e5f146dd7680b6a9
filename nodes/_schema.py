"""ComfyUI's schema of a declared node, using only keywords that this ComfyUI has."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from inspect import Parameter, Signature

from ..stereoreel.core import cancel
from ..stereoreel.core.options import Option
from ..stereoreel.workflow import build
from ..stereoreel.workflow.first_glance import facts
from ..stereoreel.workflow.node import Node, Socket
from ._comfy import io
from ._host import ComfyHost

CATEGORY = "StereoReel"


def node_class(node: Node, base: type[io.ComfyNode]) -> type:
    """Return the V3 class of a declaration; Stop interrupts anything it does while it executes."""

    def execute(cls, **inputs) -> io.NodeOutput:
        with cancel.polling(ComfyHost().tick):
            return base.execute.__func__(cls, **inputs)

    members = {"NODE": node, "execute": classmethod(execute)}
    if names := (*base.JUDGED, *node.settings.judged):
        members["validate_inputs"] = classmethod(_validation(names))
    return type(node.id, (base,), members)


def _validation(names: Iterable[str]) -> Callable:
    """Return a ``validate_inputs`` that judges these inputs when a prompt is queued.

    ComfyUI passes it the inputs in its signature, and shows what it returns once for each of them.
    """

    def validate(cls: type[DeclaredNode], **given) -> bool | str:
        try:
            cls.judge(given)
        except (OSError, ValueError) as error:
            return str(error)
        return True

    parameters = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in ("cls", *names)]
    vars(validate)["__signature__"] = Signature(parameters)  # which inspect reads
    return validate


class DeclaredNode(io.ComfyNode):
    """A ComfyUI node whose schema is a declaration."""

    NODE: Node
    JUDGED: tuple[str, ...] = ()  # inputs that ``judge`` reads, besides the options' own

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
    def judge(cls, given: Mapping) -> None:
        """Raise ValueError or OSError if the run would fail because of these inputs.

        None stands for an input that another node computes; options that may depend on it are judged later,
        when the node runs.
        """
        if any(given.get(name, "") is None for name in cls.NODE.settings.judged):
            return
        options = {option.name for option in cls.NODE.options}
        known = {name: value for name, value in given.items() if name in options and value is not None}
        build.settings_of(cls.NODE, known)

    @classmethod
    def widget(cls, option: Option) -> io.Input:
        """Return an option's widget; optional, so that prompts saved before the widget existed still run."""
        result = _widget(option)
        # 0.3.64 accepts neither extra_dict nor advanced as an argument
        result.extra_dict = {**(result.extra_dict or {}), **facts(cls.NODE, option)}
        return result


def _widget(option: Option) -> io.Input:
    common = {"default": option.default, "tooltip": option.text, "optional": True}
    if option.choices:
        return io.Combo.Input(option.name, options=list(option.choices), **common)
    if isinstance(option.default, bool):
        return io.Boolean.Input(option.name, **common)
    if isinstance(option.default, str):
        return io.String.Input(option.name, multiline=option.lines, **common)
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
