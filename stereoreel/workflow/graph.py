"""Run ComfyUI's API-format workflows without ComfyUI: the same files that the canvas queues."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from ..core.clip import Clip
from ..core.error_context import naming
from ..core.file_cache import FileCache
from ..core.options import Options, shown
from ..media.write.options import EncodeOptions
from . import build
from .check import Graph, Link, declared, read, upstream
from .node import Call, Node, Outputs, Videos
from .watched import watched

__all__ = ["Assembly", "Graph", "Output", "declared", "override", "read", "sinks"]

MOST_NAMED = 20  # nodes in a message


def override(graph: Graph, settings: Iterable[str]) -> Graph:
    """Return the graph with settings such as ``depth.model=builtin`` or ``5.model=builtin`` applied.

    A node is named by its id, or by its kind if no other node has that kind.
    """
    nodes = declared(graph)
    graph = {node_id: {**node, "inputs": dict(node["inputs"])} for node_id, node in graph.items()}
    for setting in settings:
        address, equals, value = setting.partition("=")
        name, dot, option = address.rpartition(".")
        if not (equals and dot):
            raise ValueError(f"--set takes KIND.OPTION=VALUE or NODE.OPTION=VALUE, not {shown(setting)}.")
        graph[_find(nodes, name)]["inputs"][option] = value
    return graph


def _find(nodes: Mapping[str, Node], name: str) -> str:
    if name in nodes:
        return name
    found = [node_id for node_id, node in nodes.items() if node.kind == name]
    if len(found) == 1:
        return found[0]
    ids = found or list(nodes)
    there = ", ".join(f"{node_id} ({nodes[node_id].kind})" for node_id in ids[:MOST_NAMED])
    there += ", …" * (len(ids) > MOST_NAMED)
    raise ValueError(
        f"{'Several nodes are' if found else 'No node is'} called {shown(name)}. Name one by its id: {there}."
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
    """A workflow's clips, built but not pulled.

    ``sinks`` holds the task of each Encode node, ``looks`` that of each other output node. With ``look`` off
    no file is searched for cuts, for a caller that needs no frame. ``files`` caches what is found in files.
    """

    def __init__(self, graph: Graph, find_video, look: bool = True, files: FileCache | None = None):
        self.graph, self.nodes = graph, declared(graph)
        self._videos = Videos(find_video, look, files=files)
        ends, self._links = _checked(graph, self.nodes)
        self._made: dict[str, Outputs] = {}
        read = {link.node for links in self._links.values() for link in links.values()}
        for node_id in filter(read.__contains__, self._links):
            self._made[node_id] = self._make(node_id)
        outputs = [self._output(node_id) for node_id in ends]
        self.sinks: list[Output[EncodeOptions]] = [output for output in outputs if output.node.sink]
        self.looks: list[Output] = [output for output in outputs if not output.node.sink]

    @property
    def clips(self) -> list[Clip]:
        """All clips that will be pulled."""
        return [clip for output in (*self.sinks, *self.looks) for clip in (output.clip, output.depth) if clip]

    def _make(self, node_id: str) -> Outputs:
        node, (inputs, options) = self.nodes[node_id], self._arguments(node_id)
        if node.sink:
            return {}  # the file is not written yet
        with naming(build.label(node, node_id)):
            return build.stage(node, inputs, options, node_id, self._videos)

    def _arguments(self, node_id: str) -> tuple[dict[str, Clip | float | str | None], dict]:
        """Return the connected inputs, and the options."""
        node, links = self.nodes[node_id], self._links[node_id]
        names = {socket.name for socket in node.inputs}
        given = {
            name: self._follow(node_id, name, links[name]) if name in links else value
            for name, value in self.graph[node_id]["inputs"].items()
        }
        sockets = {name: value for name, value in given.items() if name in names}
        return sockets, {name: value for name, value in given.items() if name not in (*names, "packed")}

    def _follow(self, node_id: str, name: str, link: Link) -> Clip | float | str:
        source = self.nodes[link.node]
        output = source.outputs[link.slot].name
        result = self._made[link.node].get(output)
        if result is None:
            title, other = build.label(self.nodes[node_id], node_id), build.label(source, link.node)
            raise ValueError(
                f"{title}: {name} is connected to {other}, which has no {output} "
                "output: its own input is not connected, or it needs ComfyUI."
            )
        return result

    def _output(self, node_id: str) -> Output:
        node, (inputs, options) = self.nodes[node_id], self._arguments(node_id)
        name = build.label(node, node_id)
        with naming(name):
            if inputs.get("clip") is None:
                raise ValueError("nothing is connected to clip.")
            call = Call(node, inputs, options, name)
            build.check_rate(call.clip(), call.rate)
            depth = None if inputs.get("depth") is None else call.clip("depth")
            clip, settings = call.clip(), call.settings
            if node.sink:
                clip, depth, settings = watched(clip, depth, settings)
        return Output(name, node, clip, depth, settings)


def sinks(graph: Graph) -> list[tuple[EncodeOptions, bool]]:
    """Return the options of each Encode node, and whether a depth is connected to it; open no file.

    Raise ValueError for everything that is wrong with the workflow whatever the videos are.
    """
    nodes = declared(graph)
    ends, links = _checked(graph, nodes)
    return [(_settings(graph, nodes, links, end), "depth" in links[end]) for end in ends if nodes[end].sink]


def _checked(graph: Graph, nodes: Mapping[str, Node]) -> tuple[list[str], Mapping[str, Mapping[str, Link]]]:
    """Return the output nodes, and the links of all nodes that they need.

    Raise ValueError for an invalid link or value.
    """
    ends = [node_id for node_id, node in nodes.items() if node.output_node]
    if not ends:
        raise ValueError("This workflow has no Encode Video node, so there is nothing to write. Add one.")
    links = upstream(graph, nodes, ends)
    for node_id in links:
        _settings(graph, nodes, links, node_id)
    return ends, links


def _settings(
    graph: Graph, nodes: Mapping[str, Node], links: Mapping[str, Mapping[str, Link]], node_id: str
) -> Any:
    """Return the options that a node is given as values, checked."""
    node = nodes[node_id]
    skipped = {*links[node_id], *(socket.name for socket in node.inputs), "packed"}
    with naming(build.label(node, node_id)):
        given = graph[node_id]["inputs"]
        return build.settings_of(node, {name: value for name, value in given.items() if name not in skipped})
