"""ComfyUI's API-format workflow, run without ComfyUI: the same file that the canvas queues."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace

from . import build, extract
from .clip import Clip
from .declared import BY_ID, Node
from .naming import naming
from .options import resolve

Graph = dict[str, dict]


def read(path: Path) -> Graph:
    """An API-format file; ValueError says what is wrong with it, and what to do with a canvas file."""
    try:
        graph = json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}.") from None
    if isinstance(graph, dict) and "nodes" in graph:
        raise ValueError(f"{path} is a canvas file; run its API format (the canvas: Workflow > Export (API); the bundled ones: workflows/api).")
    whole = isinstance(graph, dict) and all(
        isinstance(node, dict) and "class_type" in node and isinstance(node.get("inputs"), dict) for node in graph.values()
    )
    if not whole:
        raise ValueError(f"{path} is not an API-format workflow: every entry needs a class_type and inputs.")
    return graph


def declared(graph: Graph) -> dict[str, Node]:
    """The declaration of every node; ValueError names the nodes that only ComfyUI has."""
    foreign = sorted({node["class_type"] for node in graph.values()} - set(BY_ID))
    if foreign:
        raise ValueError(f"Outside ComfyUI there is no node {', '.join(foreign)}; run this workflow in ComfyUI, or use StereoReel's own nodes.")
    return {node_id: BY_ID[node["class_type"]] for node_id, node in graph.items()}


def override(graph: Graph, settings: Iterable[str]) -> Graph:
    """The graph with ``depth.model=builtin`` (by kind, where it is the only one) or ``5.model=builtin`` (by node id) applied."""
    graph = {node_id: {**node, "inputs": dict(node["inputs"])} for node_id, node in graph.items()}
    nodes = declared(graph)
    for setting in settings:
        address, equals, value = setting.partition("=")
        who, dot, option = address.partition(".")
        if not (equals and dot):
            raise ValueError(f"--set takes KIND.OPTION=VALUE or NODE.OPTION=VALUE, not {setting!r}.")
        graph[_find(nodes, who)]["inputs"][option] = value
    return graph


def _find(nodes: Mapping[str, Node], who: str) -> str:
    if who in nodes:
        return who
    found = [node_id for node_id, node in nodes.items() if node.kind == who]
    if len(found) == 1:
        return found[0]
    there = ", ".join(f"{node_id} ({node.kind})" for node_id, node in nodes.items())
    raise ValueError(f"{'Several nodes are' if found else 'No node is'} called {who!r}; name one by its id: {there}.")


class Assembly:
    """A workflow's clips, built but not pulled: ``sinks`` holds what each Encode node shall write, ``looks`` what other output nodes see.

    With ``look`` off no file is searched for cuts, for a caller that needs no frame.
    """

    def __init__(self, graph: Graph, find_video, look: bool = True):
        self.graph, self.nodes, self.find_video, self._look = graph, declared(graph), find_video, look
        self._made: dict[str, dict] = {}
        self._open: list[str] = []
        outputs = [self._output(node_id) for node_id, node in self.nodes.items() if node.output_node]
        self.sinks = [output for output in outputs if output.kind == "encode"]
        self.looks = [output for output in outputs if output.kind != "encode"]
        if not outputs:
            raise ValueError("This workflow has no Encode Video node, so there is nothing to write.")

    @property
    def clips(self) -> list[Clip]:
        """Everything that will be pulled."""
        return [clip for output in (*self.sinks, *self.looks) for clip in (output.clip, output.depth) if clip]

    def _outputs(self, node_id: str) -> dict:
        if node_id in self._open:
            raise ValueError(f"The workflow runs in a circle through node {node_id}.")
        if node_id not in self._made:
            self._open.append(node_id)
            self._made[node_id] = self._make(node_id)
            self._open.pop()
        return self._made[node_id]

    def _make(self, node_id: str) -> dict:
        node, (inputs, options) = self.nodes[node_id], self._arguments(node_id)
        name = build.label(node, node_id)
        with naming(name):
            if node.kind != "extract":
                return build.stage(node, inputs, options, node_id)
            settings, clip = resolve(node.options, options), inputs.get("clip")
            if clip:
                clip = extract.from_clip(clip, settings, name, look=self._look)
            else:
                clip = extract.open_file(self.find_video(settings.video), settings, name, look=self._look)
            return {"clip": clip, "fps": float(clip.info.fps)}

    def _arguments(self, node_id: str) -> tuple[dict[str, Clip], dict]:
        """What is connected, and what is set; a link is ``[node id, output number]``."""
        node, sockets, options = self.nodes[node_id], {}, {}
        names = {socket.name for socket in node.inputs}
        for name, value in self.graph[node_id]["inputs"].items():
            linked = isinstance(value, list)
            if linked:
                value = self._follow(node_id, name, value)
            if name in names and not linked and name != "fps":
                raise ValueError(f"Node {node_id}: {name} takes a connection to another node, not {value!r}.")
            if name in names:
                sockets[name] = value
            elif name != "packed":  # a clip knows how many eyes it has
                options[name] = value
        return sockets, options

    def _follow(self, node_id: str, name: str, link: list):
        source, slot = str(link[0]), link[1]
        if source not in self.nodes:
            raise ValueError(f"Node {node_id}: its input {name} comes from node {source}, which is not in the workflow.")
        outputs = self.nodes[source].outputs
        if not 0 <= slot < len(outputs):
            raise ValueError(f"Node {node_id}: its input {name} comes from output {slot} of node {source}, which has {len(outputs)}.")
        made = self._outputs(source).get(outputs[slot].name)
        if made is None:
            raise ValueError(f"Node {node_id}: node {source} has no {outputs[slot].name} to give: it was given none, or only the canvas knows it.")
        return made

    def _output(self, node_id: str) -> SimpleNamespace:
        """What an output node is to do: its kind, its clip and depth, and its settings."""
        node, (inputs, options) = self.nodes[node_id], self._arguments(node_id)
        name = build.label(node, node_id)
        with naming(name):
            if inputs.get("clip") is None:
                raise ValueError("nothing is connected to clip.")
            build.check_rate(inputs["clip"], inputs.get("fps"))
            settings = build.settings_of(node, options)
        return SimpleNamespace(name=name, kind=node.kind, clip=inputs["clip"], depth=inputs.get("depth"), settings=settings)
