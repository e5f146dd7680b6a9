"""Render an API-format workflow as a canvas file: the same graph with positions, to open and edit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from .canvas_nodes import WIDTH, height, sockets
from .first_glance import FIXED, INCREMENT, visible
from .layout import COLORS, Layout, arrange
from .node import FRAMES
from .node_specs import BY_ID

LETTERS, LINE, SPACE = 38, 25, 32  # of the note: letters in a line, its height, and pixels between paragraphs


def render(graph: Mapping[str, dict], name: str) -> dict:
    """Return a workflow in the canvas's format 0.4."""
    text = _note_of(graph)
    layout = arrange(graph, _note_height(text) if text else 0)
    nodes, links = render_nodes(graph, layout)
    last = max(int(node_id) for node_id in graph)
    if text:
        last += 1
        nodes.append(_note(last, text, layout, len(nodes)))
    return {
        "id": str(uuid5(NAMESPACE_URL, f"stereoreel/{name}")),
        "revision": 0,
        "last_node_id": last,
        "last_link_id": len(links),
        "nodes": nodes,
        "links": links,
        "groups": render_groups(layout),
        "config": {},
        "extra": {},
        "version": 0.4,
    }


def render_nodes(graph: Mapping[str, dict], layout: Layout) -> tuple[list[dict], list[list]]:
    """Return the nodes, and the links between them: id, source, its slot, target, its slot, type."""
    links: list[list] = []
    nodes = [
        _node(node_id, entry, layout.places[node_id], number, links)
        for number, (node_id, entry) in enumerate(graph.items())
    ]
    outputs_of = {node["id"]: node["outputs"] for node in nodes}
    for link in links:
        outputs = outputs_of[link[1]]
        outputs[link[2]]["links"].append(link[0])
        link[5] = outputs[link[2]]["type"]
    return nodes, links


def render_groups(layout: Layout) -> list[dict]:
    """Return the coloured rectangles around the nodes."""
    return [
        {
            "id": number,
            "title": group.title,
            "bounding": list(group.box),
            "color": COLORS[group.title],
            "font_size": 24,
            "flags": {},
        }
        for number, group in enumerate(layout.groups, 1)
    ]


def _node(node_id: str, entry: dict, place: tuple[int, int], number: int, links: list[list]) -> dict:
    inputs, widgets, outputs = sockets(entry["class_type"])
    given = entry["inputs"]
    slots: list[dict[str, Any]] = [{"name": name, "type": kind, "link": None} for name, kind in inputs]
    slots += [
        {"name": name, "type": kind, "widget": {"name": name}, "link": None} for name, kind in widgets.items()
    ]
    for slot, socket in enumerate(slots):
        link = given.get(socket["name"])
        if isinstance(link, list):
            links.append([len(links) + 1, int(link[0]), link[1], int(node_id), slot, FRAMES])
            socket["link"] = len(links)
    values = []
    for name in filter(given.__contains__, widgets):
        values.append(0 if isinstance(given[name], list) else given[name])
        if control := _control(entry, name):
            values.append(control)
    return {
        "id": int(node_id),
        "type": entry["class_type"],
        "pos": list(place),
        "size": [WIDTH, height(entry)],
        "flags": {},
        "order": number,
        "mode": 0,
        "inputs": slots,
        "outputs": [{"name": name, "type": kind, "links": []} for name, kind in outputs],
        "properties": {"Node name for S&R": entry["class_type"]},
        "widgets_values": values,
    }


def _control(entry: dict, name: str) -> str:
    """Return what the canvas does to a number after a run, as its own widget after that; empty for others."""
    if name == "seed":
        return FIXED
    node = BY_ID.get(entry["class_type"])
    option = next((one for one in node.options if one.name == name), None) if node else None
    if node is None or option is None or not option.counts:
        return ""
    return INCREMENT if option in visible(node, entry["inputs"]) else FIXED


def _note_of(graph: Mapping[str, dict]) -> str:
    """Return the note of a workflow as headings without code: others are too small or too dim to read."""
    metas = (entry.get("_meta") for entry in graph.values())
    note = next((meta["note"] for meta in metas if isinstance(meta, dict) and "note" in meta), "")
    first, *others = note.replace("`", "*").split("\n\n")
    return "\n\n".join([f"## {first.strip('*')}", *(f"### {line}" for line in others)]) if note else ""


def _note_height(text: str) -> int:
    paragraphs = text.split("\n\n")
    lines = sum(1 + len(line) // LETTERS for line in paragraphs)
    return 2 * LINE + lines * LINE + (len(paragraphs) - 1) * SPACE


def _note(node_id: int, text: str, layout: Layout, number: int) -> dict:
    left, top, width, tall = layout.note
    return {
        "id": node_id, "type": "MarkdownNote", "pos": [left, top], "size": [width, tall], "flags": {},
        "order": number, "mode": 0, "inputs": [], "outputs": [], "title": "Purpose",
        "properties": {}, "widgets_values": [text], "color": "#432", "bgcolor": "#653",
    }  # fmt: skip
