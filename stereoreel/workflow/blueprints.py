"""Subgraph blueprints: usual chains of stages as one node, which ComfyUI lists among its own nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from . import orders
from .canvas_nodes import TITLE, WIDTH, sockets
from .layout import COLUMN, arrange
from .litegraph import render_groups, render_nodes

INPUT, OUTPUT = -10, -20  # the ids that the canvas gives to the two ends of a subgraph
END, ROW = 120, 20  # width of an end, and height of one of its slots
Slot = tuple[int, int]  # a node and the number of its input or output


@dataclass(frozen=True)
class Chain:
    """Stages between a clip and its encoding; ``widgets`` and ``outputs`` map a name to the kind it is of."""

    order: tuple[str, ...]
    text: str
    aliases: tuple[str, ...]
    widgets: Mapping[str, str]
    outputs: Mapping[str, str]


# By title, which is the name of the file and must be unique over all packs.
CHAINS = {
    "Clip to 3D (StereoReel)": Chain(
        ("depth", "stereo"),
        "Estimates depth and renders the left and right views of a clip.",
        ("3d", "2d to 3d", "stereo", "sbs", "side by side", "vr", "anaglyph"),
        {"divergence": "stereo"},
        {"clip": "stereo", "depth": "depth"},
    ),
    "Sharper and smoother (StereoReel)": Chain(
        ("vsr", "interpolate"),
        "Upscales a clip with the help of neighbouring frames and adds frames between its own.",
        ("upscale", "super resolution", "interpolation", "fps", "slow motion"),
        {"factor": "vsr", "multiplier": "interpolate"},
        {"clip": "interpolate", "fps": "interpolate"},
    ),
    "Sharper, smoother, 3D (StereoReel)": Chain(
        ("vsr", "interpolate", "depth", "stereo"),
        "Upscales a clip, adds frames, estimates depth and renders the left and right views.",
        ("3d", "2d to 3d", "stereo", "sbs", "vr", "upscale", "interpolation", "fps"),
        {"factor": "vsr", "multiplier": "interpolate", "divergence": "stereo"},
        {"clip": "stereo", "depth": "depth", "fps": "interpolate"},
    ),
}


def render_all() -> dict[str, dict]:
    """Return all blueprints as canvas files, by title."""
    return {title: blueprint(title, chain) for title, chain in CHAINS.items()}


def blueprint(title: str, chain: Chain) -> dict:
    """Return a canvas file that holds one node: the subgraph of a chain."""
    inner = _Subgraph(title, chain)
    node = {
        "id": 1,
        "type": inner.id,
        "pos": [0, 0],
        "size": [WIDTH, 44 + 25 * (len(inner.inputs) + len(inner.outputs))],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": [
            {"name": slot["name"], "type": slot["type"], "link": None}
            | ({"widget": {"name": slot["name"]}} if slot["name"] in chain.widgets else {})
            for slot in inner.inputs
        ],
        "outputs": [{"name": slot["name"], "type": slot["type"], "links": []} for slot in inner.outputs],
        "title": title,
        "properties": {},
        "widgets_values": [],
    }
    return {
        "id": str(uuid5(NAMESPACE_URL, f"stereoreel/blueprint/{title}")),
        "revision": 0,
        "last_node_id": 1,
        "last_link_id": 0,
        "nodes": [node],
        "links": [],
        "groups": [],
        "definitions": {"subgraphs": [inner.render(chain.text)]},
        "config": {},
        "extra": {"BlueprintDescription": chain.text, "BlueprintSearchAliases": list(chain.aliases)},
        "version": 0.4,
    }


class _Subgraph:
    """The nodes of a chain, cut out of the workflow of its order, with its ends connected."""

    def __init__(self, title: str, chain: Chain):
        self.title, self.id = title, str(uuid5(NAMESPACE_URL, f"stereoreel/subgraph/{title}"))
        whole = orders.api(("extract", *chain.order, "encode"))
        source, *kept, _ = whole
        self.places = {kind: int(node_id) for kind, node_id in zip(chain.order, kept)}
        graph = {node_id: _without(whole[node_id], source) for node_id in kept}
        self.layout = arrange(graph)
        self.nodes, links = render_nodes(graph, self.layout)
        names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
        self.links: list[dict[str, Any]] = [dict(zip(names, link)) for link in links]
        self.inputs: list[dict] = []
        self.outputs: list[dict] = []
        takes = [int(node_id) for node_id in kept if whole[node_id]["inputs"].get("clip", [""])[0] == source]
        self._enter("clip", [self._input(node_id, "clip") for node_id in takes])
        for option, kind in chain.widgets.items():
            self._enter(option, [self._input(self.places[kind], option)])
        for name, kind in chain.outputs.items():
            self._leave(name, self.places[kind])

    def _input(self, node_id: int, name: str) -> Slot:
        inputs, widgets, _ = sockets(self._node(node_id)["type"])
        return node_id, [*(one for one, _ in inputs), *widgets].index(name)

    def _node(self, node_id: int) -> dict:
        return next(node for node in self.nodes if node["id"] == node_id)

    def _enter(self, name: str, targets: list[Slot]) -> None:
        """Connect an input of the subgraph."""
        slots = [self._node(node_id)["inputs"][slot] for node_id, slot in targets]
        made = [
            self._link(INPUT, len(self.inputs), *target, slot["type"]) for target, slot in zip(targets, slots)
        ]
        for slot, link in zip(slots, made):
            slot["link"] = link
        self.inputs.append(self._end(name, slots[0]["type"], made))

    def _leave(self, name: str, node_id: int) -> None:
        """Connect an output of the subgraph."""
        outputs = self._node(node_id)["outputs"]
        number, output = next(one for one in enumerate(outputs) if one[1]["name"] == name)
        link = self._link(node_id, number, OUTPUT, len(self.outputs), output["type"])
        output["links"].append(link)
        self.outputs.append(self._end(name, output["type"], [link]))

    def _link(self, origin: int, slot: int, target: int, target_slot: int, kind: str) -> int:
        number = len(self.links) + 1
        self.links.append({
            "id": number, "origin_id": origin, "origin_slot": slot,
            "target_id": target, "target_slot": target_slot, "type": kind,
        })  # fmt: skip
        return number

    def _end(self, name: str, kind: str, links: list[int]) -> dict:
        return {
            "id": str(uuid5(NAMESPACE_URL, f"stereoreel/subgraph/{self.title}/{links[0]}/{name}")),
            "name": name,
            "type": kind,
            "linkIds": links,
        }

    def render(self, text: str) -> dict:
        """Return the definition of the subgraph in the canvas's format."""
        boxes = [group.box for group in self.layout.groups]
        left, right = boxes[0][0] - COLUMN - END, max(box[0] + box[2] for box in boxes) + COLUMN
        return {
            "id": self.id,
            "version": 1,
            "state": {
                "lastGroupId": len(boxes),
                "lastNodeId": max(node["id"] for node in self.nodes),
                "lastLinkId": len(self.links),
                "lastRerouteId": 0,
            },
            "revision": 0,
            "config": {},
            "name": self.title,
            "inputNode": {"id": INPUT, "bounding": [left, TITLE, END, 20 + ROW * (len(self.inputs) + 1)]},
            "outputNode": {"id": OUTPUT, "bounding": [right, TITLE, END, 20 + ROW * (len(self.outputs) + 1)]},
            "inputs": self.inputs,
            "outputs": self.outputs,
            "widgets": [],
            "nodes": self.nodes,
            "groups": render_groups(self.layout),
            "links": self.links,
            "extra": {},
            "category": "StereoReel",
            "description": text,
        }


def _without(entry: dict, source: str) -> dict:
    """Return a node's entry without its links to the source."""
    inputs = {
        name: value
        for name, value in entry["inputs"].items()
        if not (isinstance(value, list) and value[0] == source)
    }
    return {"class_type": entry["class_type"], "inputs": inputs}
