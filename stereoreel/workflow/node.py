"""Declarations of nodes: id, texts, sockets, options, and the function that builds the clips."""

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
from ..core.options import Option, Options, options_of, resolve, shown
from ..models import catalog
from ..models.lazy_stage import Plan

if TYPE_CHECKING:
    from ..viewing.report import Report

FRAMES = "IMAGE,VIDEO"  # a union; ComfyUI's server and canvas both match it against either type
DEPTHS = "IMAGE,VIDEO,MASK"
MASKS = "MASK,VIDEO"
RATE = "FLOAT,INT,STRING"


@dataclass(frozen=True)
class Socket:
    """An input or output; a connection to an ``instead`` socket replaces the node's own work."""

    name: str
    type: str
    text: str
    optional: bool = False
    instead: bool = False


@dataclass(frozen=True)
class Videos:
    """How a node opens videos: ``find`` returns the file of a name; with ``look`` off, cuts are not searched.

    ``files`` caches what is found in them.
    """

    find: Callable[[str], Path]
    look: bool = True
    tick: Callable[[int, int], None] | None = None
    files: FileCache | None = None


@dataclass(frozen=True)
class Call:
    """The arguments of a node's ``build``: its inputs, its options, and its name in messages."""

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

    @property
    def rate(self) -> float | str | None:
        """The input ``fps``; None if nothing is connected."""
        rate = self.inputs.get("fps")
        if isinstance(rate, Clip):
            raise TypeError(f"{self.name}: fps takes a number, not a clip.")
        return rate

    def clip(self, socket: str = "clip") -> Clip:
        """Return the clip that is connected to a socket."""
        clip = self.inputs[socket]
        if not isinstance(clip, Clip):
            raise TypeError(f"{self.name}: {socket} takes a clip, not {shown(clip)}.")
        return clip


Outputs = Mapping[str, Clip | float | str]


def nothing(call: Call) -> Outputs:
    """Build no clips: the outputs of this node exist only after it has run."""
    return {}


@dataclass(frozen=True)
class Node:
    """A node's declaration; ``kind`` names a stage's models and options, and the node in the terminal.

    A node without models has the options of a ``module`` of the engine. ``pairs``: whether it accepts IMAGE
    batches of stereo pairs, and so has the option ``packed``. ``build`` returns its outputs by socket name
    and computes nothing. ``sink``: whether it writes the output file. ``misplaced`` returns why an order of
    kinds is invalid for this node, or None if it is valid. ``aliases`` are other words that find the node;
    ``title`` is a longer name for the canvas, whose search ranks by id and name alone. ``group`` is the part
    of the work that the node does, under which bundled workflows place it.
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
    aliases: tuple[str, ...] = ()
    title: str = ""
    group: str = "Output"

    @property
    def display_name(self) -> str:
        """The name on the canvas."""
        return self.title or self.name

    @property
    def options(self) -> tuple[Option, ...]:
        return _options(self.kind, self.module, self.pairs)

    @property
    def engine(self) -> ModuleType:
        """The module that declares its options, with the functions that do its work."""
        return _module(self.kind, self.module)

    @property
    def report(self) -> Callable[..., Report]:
        """The module's ``report(clip, settings, host, label)``, with ``depth`` if it has that socket."""
        return self.engine.report

    @property
    def source(self) -> bool:
        """Whether all its inputs are optional."""
        return all(socket.optional for socket in self.inputs)

    @property
    def settings(self) -> type[Options]:
        """The class of the options' values."""
        return self.engine.OPTIONS

    def resolve(self, options: Mapping) -> Any:
        """Return its options, checked, in their class, without ``packed``, which describes IMAGE batches."""
        return resolve(self.settings, options, [option for option in self.options if option.name != "packed"])


# Graphs store widgets by position, so new options are appended. This one comes before any that a kind may add
# later.
PACKED = Option(
    "packed",
    "mono",
    "Layout of an IMAGE batch: one view per image, or left and right views side by side. "
    "Ignored for VIDEO input.",
    choices=("mono", "full SBS"),
    advanced=True,
)


def _module(kind: str, module: str) -> ModuleType:
    """Return the module that declares a node's options."""
    return import_module(f"..{module}", __package__) if module else catalog.module(kind)


@lru_cache
def _options(kind: str, module: str, pairs: bool) -> tuple[Option, ...]:
    if module:
        options = options_of(_module(kind, module).OPTIONS)
        return (PACKED, *options) if pairs else options
    model, *others = catalog.options(kind)
    return (model, PACKED, *others) if pairs else (model, *others)


def label(node: Node, node_id: str) -> str:
    """Return a node's name in messages: ``Estimate Depth (node 5)``, or only the name without an id."""
    return f"{node.name} (node {node_id})" if node_id else node.name


CLIP_IN = Socket(
    "clip",
    FRAMES,
    "Frames. A VIDEO is processed in chunks when saved; an IMAGE batch immediately.",
)
CLIP_OUT = Socket("clip", FRAMES, "The frames, of the same type as the input.")
FPS_IN = Socket(
    "fps",
    RATE,
    "Frame rate of an IMAGE batch, a number or a fraction such as 24000/1001; 24 if nothing is connected. "
    "A VIDEO has its own rate.",
    True,
)
FPS_OUT = Socket("fps", "FLOAT", "Frames per second.")
