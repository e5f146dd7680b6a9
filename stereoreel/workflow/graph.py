"""ComfyUI's API-format workflow, run without ComfyUI: the same file that the canvas queues."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..core.clip import Clip
from ..core.error_context import naming
from ..core.file_cache import FileCache
from ..core.options import Options, shown
from ..media.write.options import EncodeOptions
from . import build
from .check import Graph, Link, declared, read, upstream
from .node import Node, Videos

__all__ = ["Assembly", "Graph", "Output", "declared", "override", "read"]

MOST_NAMED = 20  # nodes in a message


def override(graph: Graph, settings: Iterable[str]) -> Graph:
    """The graph with ``depth.model=builtin`` (by kind, where it is the only one) or ``5.model=builtin`` (by node id) applied."""
    nodes = declared(graph)
    graph = {node_id: {**node, "inputs": dict(node["inputs"])} for node_id, node in graph.items()}
    for setting in settings:
        address, equals, value = setting.partition("=")
        who, dot, option = address.rpartition(".")
        if not (equals and dot):
            raise ValueError(f"--set takes KIND.OPTION=VALUE or NODE.OPTION=VALUE, not {shown(setting)}.")
        graph[_find(nodes, who)]["inputs"][option] = value
    return graph


def _find(nodes: Mapping[str, Node], who: str) -> str:
    if who in nodes:
        return who
    found = [node_id for node_id, node in nodes.items() if node.kind == who]
    if len(found) == 1:
        return found[0]
    ids = found or list(nodes)
    there = ", ".join(f"{node_id} ({nodes[node_id].kind})" for node_id in ids[:MOST_NAMED])
    there += ", …" * (len(ids) > MOST_NAMED)
    raise ValueError(
        f"{'Several nodes are' if found else 'No node is'} called {shown(who)}; name one by its id: {there}."
    )


Settings = TypeVar("Settings", bound=Options)


@dataclass(frozen=True)
class Output(Generic[Settings]):
    """The task of an output node: the clip, the depth if one is connected, and the node's options."""

    name: str
    node: Node
    clip: Clip
    depth: Clip | None
    settings: Settings


class Assembly:
    """A workflow's clips, built but not pulled: ``sinks`` holds what each Encode node shall write, ``looks`` what other output nodes see.

    With ``look`` off no file is searched for cuts, for a caller that needs no frame. ``files`` remembers what
    is found.
    """

    def __init__(self, graph: Graph, find_video, look: bool = True, files: FileCache | None = None):
        self.graph, self.nodes = graph, declared(graph)
        self._videos = Videos(find_video, look, files=files)
        ends = [node_id for node_id, node in self.nodes.items() if node.output_node]
        if not ends:
            raise ValueError("This workflow has no Encode Video node, so there is nothing to write.")
        self._links = upstream(graph, self.nodes, ends)
        for node_id in self._links:
            self._check_options(node_id)
        self._made: dict[str, dict] = {}
        read = {link.node for links in self._links.values() for link in links.values()}
        for node_id in filter(read.__contains__, self._links):
            self._made[node_id] = self._make(node_id)
        outputs = [self._output(node_id) for node_id in ends]
        self.sinks: list[Output[EncodeOptions]] = [output for output in outputs if output.node.sink]
        self.looks: list[Output] = [output for output in outputs if not output.node.sink]

    @property
    def clips(self) -> list[Clip]:
        """Everything that will be pulled."""
        return [clip for output in (*self.sinks, *self.looks) for clip in (output.clip, output.depth) if clip]

    def _check_options(self, node_id: str) -> None:
        """ValueError for a value that does not fit, before any file is opened."""
        node, links = self.nodes[node_id], self._links[node_id]
        apart = {*links, *(socket.name for socket in node.inputs), "packed"}
        with naming(build.label(node, node_id)):
            given = self.graph[node_id]["inputs"]
            build.settings_of(node, {name: value for name, value in given.items() if name not in apart})

    def _make(self, node_id: str) -> dict:
        node, (inputs, options) = self.nodes[node_id], self._arguments(node_id)
        if node.sink:
            return {}  # the file is not written yet
        with naming(build.label(node, node_id)):
            return build.stage(node, inputs, options, node_id, self._videos)

    def _arguments(self, node_id: str) -> tuple[dict[str, Clip], dict]:
        """What is connected, and what is set."""
        node, links = self.nodes[node_id], self._links[node_id]
        names = {socket.name for socket in node.inputs}
        given = {
            name: self._follow(node_id, name, links[name]) if name in links else value
            for name, value in self.graph[node_id]["inputs"].items()
        }
        sockets = {name: value for name, value in given.items() if name in names}
        return sockets, {name: value for name, value in given.items() if name not in (*names, "packed")}

    def _follow(self, node_id: str, name: str, link: Link):
        source = self.nodes[link.node]
        output = source.outputs[link.slot].name
        made = self._made[link.node].get(output)
        if made is None:
            who, other = build.label(self.nodes[node_id], node_id), build.label(source, link.node)
            raise ValueError(
                f"{who}: {name} is connected to {other}, which has no {output} "
                f"output: its own input is not connected, or it needs ComfyUI."
            )
        return made

    def _output(self, node_id: str) -> Output:
        node, (inputs, options) = self.nodes[node_id], self._arguments(node_id)
        name = build.label(node, node_id)
        with naming(name):
            if inputs.get("clip") is None:
                raise ValueError("nothing is connected to clip.")
            build.check_rate(inputs["clip"], inputs.get("fps"))
            settings = build.settings_of(node, options)
        return Output(name, node, inputs["clip"], inputs.get("depth"), settings)
