"""What a node's declaration is made of: its id, texts and sockets, and the function that builds its clips."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..core.clip import Clip
from ..core.file_cache import FileCache
from ..core.options import Option, Options, options_of, resolve
from ..models import catalog
from ..models.lazy_stage import Plan

if TYPE_CHECKING:
    from ..viewing.report import Report

FRAMES = "IMAGE,VIDEO"  # a union that ComfyUI's server and canvas both match against either type
DEPTHS = "IMAGE,VIDEO,MASK"
MASKS = "MASK,VIDEO"
RATE = "FLOAT,INT,STRING"


@dataclass(frozen=True)
class Socket:
    """An input or output; with ``instead``, what is connected stands in for the node's own work."""

    name: str
    type: str
    text: str
    optional: bool = False
    instead: bool = False


@dataclass(frozen=True)
class Videos:
    """How a node opens videos: ``find`` gives the file of a name; ``look`` off leaves out the search for cuts.

    ``files`` remembers what is found in them.
    """

    find: Callable[[str], Path]
    look: bool = True
    tick: Callable[[int, int], None] | None = None
    files: FileCache | None = None


@dataclass(frozen=True)
class Call:
    """What a node builds its clips from: what is connected, what is set, and its name in messages."""

    node: Node
    inputs: Mapping[str, Clip | float | str | None]
    options: Mapping
    name: str
    videos: Videos | None = None

    @property
    def settings(self) -> Any:
        return self.node.resolve(self.options)

    @property
    def plan(self) -> Plan:
        """The model of the node's kind that the options choose."""
        return Plan(self.node.kind, self.options, self.name)


Outputs = dict[str, Clip | float | str]


def nothing(call: Call) -> Outputs:
    """The clips of a node whose outputs exist only once it has run: none."""
    return {}


@dataclass(frozen=True)
class Node:
    """A node's declaration; ``kind`` names the models and options of a stage, and is its name in the terminal.

    The options of a node that has no models are those of a ``module`` of the engine. ``pairs``: whether it
    takes IMAGE batches of stereo pairs, and so has the option ``packed``. ``build`` gives its outputs by
    socket name, and computes nothing. ``sink``: whether it writes the film. ``misplaced`` says why it cannot
    stand where it does in an order of kinds, or why the order lacks it; None where all is well.
    """

    id: str
    name: str
    kind: str
    text: str
    inputs: tuple[Socket, ...]
    outputs: tuple[Socket, ...]
    output_node: bool = False
    module: str = ""
    pairs: bool = True
    build: Callable[[Call], Outputs] = nothing
    sink: bool = False
    misplaced: Callable[[tuple[str, ...]], str | None] = lambda order: None

    @property
    def options(self) -> tuple[Option, ...]:
        return _options(self.kind, self.module, self.pairs)

    @property
    def report(self) -> Callable[..., Report]:
        """``report(clip, settings, host, label)`` of the node's module, with ``depth`` if it has such a socket."""
        return _module(self.kind, self.module).report

    @property
    def source(self) -> bool:
        """Whether it needs nothing connected."""
        return all(socket.optional for socket in self.inputs)

    @property
    def settings(self) -> type[Options]:
        """The class that holds the options' values."""
        return _module(self.kind, self.module).OPTIONS

    def resolve(self, options: Mapping) -> Any:
        """Its options, checked, in their class; ``packed`` says what an IMAGE batch shows, and a clip knows that."""
        return resolve(self.settings, options, [option for option in self.options if option.name != "packed"])


# Graphs keep widgets by position, so that new options are appended; this one stands before those that a kind
# may get later.
PACKED = Option(
    "packed",
    "mono",
    "What an IMAGE batch shows: one picture a frame, or both eyes side by side. A VIDEO knows this itself.",
    choices=("mono", "full SBS"),
)


def _module(kind: str, module: str) -> ModuleType:
    """The module that declares a node's options."""
    return import_module(f"..{module}", __package__) if module else catalog.module(kind)


@lru_cache
def _options(kind: str, module: str, pairs: bool) -> tuple[Option, ...]:
    if module:
        options = options_of(_module(kind, module).OPTIONS)
        return (PACKED, *options) if pairs else options
    model, *others = catalog.options(kind)
    return (model, PACKED, *others) if pairs else (model, *others)


def label(node: Node, node_id: str) -> str:
    """A node's name in messages: ``Estimate Depth (node 5)``; without an id, as from Python, the name alone."""
    return f"{node.name} (node {node_id})" if node_id else node.name


CLIP_IN = Socket(
    "clip",
    FRAMES,
    "Frames: a VIDEO is worked on when somebody saves it, chunk by chunk; an IMAGE batch at once.",
)
CLIP_OUT = Socket("clip", FRAMES, "The frames, of the same type as the input.")
FPS_IN = Socket(
    "fps",
    RATE,
    "The rate of an IMAGE batch, as a number or like 24000/1001 (24 where nothing is connected). "
    "A VIDEO knows its own.",
    True,
)
FPS_OUT = Socket("fps", "FLOAT", "Frames per second.")
