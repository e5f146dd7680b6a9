"""Render an API-format workflow as a canvas file: the same graph with positions, to open and edit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from ..core.options import Option
from . import first_glance
from .node import FRAMES
from .node_specs import BY_ID

# The core nodes that bundled workflows use: input sockets, widgets, outputs.
CORE = {
    "GetVideoComponents": (
        [("video", "VIDEO")],
        {},
        [("images", "IMAGE"), ("audio", "AUDIO"), ("fps", "FLOAT")],
    ),
    "CreateVideo": ([("images", "IMAGE"), ("audio", "AUDIO")], {"fps": "FLOAT"}, [("VIDEO", "VIDEO")]),
    "SaveVideo": (
        [("video", "VIDEO")],
        {"filename_prefix": "STRING", "format": "COMBO", "codec": "COMBO"},
        [],
    ),
    "LoadImage": ([], {"image": "COMBO"}, [("IMAGE", "IMAGE"), ("MASK", "MASK")]),
    "PreviewImage": ([("images", "IMAGE")], {}, []),
    "CheckpointLoaderSimple": (
        [],
        {"ckpt_name": "COMBO"},
        [("MODEL", "MODEL"), ("CLIP", "CLIP"), ("VAE", "VAE")],
    ),
    "CLIPTextEncode": ([("clip", "CLIP")], {"text": "STRING"}, [("CONDITIONING", "CONDITIONING")]),
    "GrowMask": ([("mask", "MASK")], {"expand": "INT", "tapered_corners": "BOOLEAN"}, [("MASK", "MASK")]),
    "InpaintModelConditioning": (
        [
            ("positive", "CONDITIONING"),
            ("negative", "CONDITIONING"),
            ("vae", "VAE"),
            ("pixels", "IMAGE"),
            ("mask", "MASK"),
        ],
        {"noise_mask": "BOOLEAN"},
        [("positive", "CONDITIONING"), ("negative", "CONDITIONING"), ("latent", "LATENT")],
    ),
    "KSampler": (
        [
            ("model", "MODEL"),
            ("positive", "CONDITIONING"),
            ("negative", "CONDITIONING"),
            ("latent_image", "LATENT"),
        ],
        {
            "seed": "INT",
            "steps": "INT",
            "cfg": "FLOAT",
            "sampler_name": "COMBO",
            "scheduler": "COMBO",
            "denoise": "FLOAT",
        },
        [("LATENT", "LATENT")],
    ),
    "VAEDecode": ([("samples", "LATENT"), ("vae", "VAE")], {}, [("IMAGE", "IMAGE")]),
    "ImageCompositeMasked": (
        [("destination", "IMAGE"), ("source", "IMAGE"), ("mask", "MASK")],
        {"x": "INT", "y": "INT", "resize_source": "BOOLEAN"},
        [("IMAGE", "IMAGE")],
    ),
    "ImageStitch": (
        [("image1", "IMAGE"), ("image2", "IMAGE")],
        {
            "direction": "COMBO",
            "match_image_size": "BOOLEAN",
            "spacing_width": "INT",
            "spacing_color": "COMBO",
        },
        [("IMAGE", "IMAGE")],
    ),
    "UpscaleModelLoader": ([], {"model_name": "COMBO"}, [("UPSCALE_MODEL", "UPSCALE_MODEL")]),
    "ImageUpscaleWithModel": (
        [("upscale_model", "UPSCALE_MODEL"), ("image", "IMAGE")],
        {},
        [("IMAGE", "IMAGE")],
    ),
}
# pixels: between columns, between nodes, top of the first row, how far below it depth nodes are placed
COLUMN, APART, TOP, BELOW = 400, 80, 220, 150
LINE = 86  # pixels: the line that says which model runs, with its button
DEPTH = ("depth", FRAMES)  # the first output of a node that computes depth and passes no clip on
TYPES = {bool: "BOOLEAN", int: "INT", float: "FLOAT", str: "STRING"}


def render(graph: Mapping[str, dict], name: str) -> dict:
    """Return a workflow in the canvas's format 0.4, nodes in columns by their distance from the source."""
    links: list[list] = []
    places = _places(graph)
    nodes = [
        _node(node_id, entry, graph, places[node_id], number, links)
        for number, (node_id, entry) in enumerate(graph.items())
    ]
    outputs_of = {node["id"]: node["outputs"] for node in nodes}
    for link in links:
        outputs = outputs_of[link[1]]
        outputs[link[2]]["links"].append(link[0])
        link[5] = outputs[link[2]]["type"]
    last = max(int(node_id) for node_id in graph)
    metas = (entry.get("_meta") for entry in graph.values())
    note = next((meta["note"] for meta in metas if isinstance(meta, dict) and "note" in meta), None)
    if note:
        last += 1
        nodes.append(_note(last, note, len(nodes)))
    return {
        "id": str(uuid5(NAMESPACE_URL, f"stereoreel/{name}")),
        "revision": 0,
        "last_node_id": last,
        "last_link_id": len(links),
        "nodes": nodes,
        "links": links,
        "groups": [],
        "config": {},
        "extra": {},
        "version": 0.4,
    }


def _places(graph: Mapping[str, dict]) -> dict[str, list[int]]:
    """Place nodes in columns by distance from the source, stacked by order within each column."""

    free: dict[int, int] = {}
    places, columns = {}, _columns(graph)
    for node_id, entry in graph.items():
        column = columns[node_id]
        # the clip's own link passes above it, not behind
        below = _sockets(entry["class_type"])[2][:1] == [DEPTH]
        top = free.get(column, TOP) + BELOW * below
        free[column] = top + _height(entry) + APART
        places[node_id] = [column * COLUMN, top]
    return places


def _columns(graph: Mapping[str, dict]) -> dict[str, int]:
    """Return the distance of each node from the source."""
    sources = {
        node_id: [str(value[0]) for value in node["inputs"].values() if isinstance(value, list)]
        for node_id, node in graph.items()
    }
    columns: dict[str, int] = {}
    for node_id in graph:
        path = [node_id]
        while path:
            source = next((source for source in sources[path[-1]] if source not in columns), None)
            if source is not None:
                path.append(source)
            else:
                done = path.pop()
                columns[done] = 1 + max((columns[source] for source in sources[done]), default=-1)
    return columns


def _height(entry: dict) -> int:
    """Return the height of a node in pixels, as it opens."""
    sockets, widgets, outputs = _sockets(entry["class_type"])
    node = BY_ID.get(entry["class_type"])
    rows = len(first_glance.visible(node, entry["inputs"])) if node else len(widgets)
    rows += ("video" in widgets) + bool(node and any(option.advanced for option in node.options))
    lines = LINE * len(first_glance.lines(node, entry["inputs"])) if node else 0
    return 44 + 20 * max(len(sockets), len(outputs)) + 25 * rows + lines


def _sockets(class_type: str) -> tuple[list[tuple[str, str]], dict[str, str], list[tuple[str, str]]]:
    """Return the input sockets, widgets and outputs of a node, each as (name, type)."""
    if class_type in CORE:
        return CORE[class_type]
    node = BY_ID[class_type]
    inputs = [(socket.name, socket.type) for socket in node.inputs]
    return (
        inputs,
        {option.name: _type(option) for option in node.options},
        [(socket.name, socket.type) for socket in node.outputs],
    )


def _type(option: Option) -> str:
    return "COMBO" if option.choices else TYPES[type(option.default)]


def _node(
    node_id: str, entry: dict, graph: Mapping[str, dict], place: list[int], number: int, links: list[list]
) -> dict:
    sockets, widgets, outputs = _sockets(entry["class_type"])
    given = entry["inputs"]
    slots: list[dict[str, Any]] = [{"name": name, "type": kind, "link": None} for name, kind in sockets]
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
        if name == "seed":
            values.append("fixed")  # the canvas's control after generate
    return {
        "id": int(node_id),
        "type": entry["class_type"],
        "pos": place,
        "size": [330, _height(entry)],
        "flags": {},
        "order": number,
        "mode": 0,
        "inputs": slots,
        "outputs": [{"name": name, "type": kind, "links": []} for name, kind in outputs],
        "properties": {"Node name for S&R": entry["class_type"]},
        "widgets_values": values,
    }


def _note(node_id: int, text: str, number: int) -> dict:
    return {
        "id": node_id, "type": "MarkdownNote", "pos": [0, 0], "size": [720, 140], "flags": {},
        "order": number, "mode": 0, "inputs": [], "outputs": [], "title": "What this is for",
        "properties": {}, "widgets_values": [text], "color": "#432", "bgcolor": "#653",
    }  # fmt: skip
