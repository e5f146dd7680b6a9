"""A workflow file: read, and checked link by link before anything is built."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from ..core.options import one_line, shown
from .node import Node, label
from .node_specs import BY_ID

Graph = dict[str, dict]
LARGEST = 64 << 20  # bytes of a workflow file
DEEPEST = 50  # levels of lists and objects in it
DIGITS = 1000  # of a number in it
LONGEST_ID = 100  # characters
PARTS = (("class_type", str, "a node's name such as StereoReelEncode"), ("inputs", dict, "an object"))
TYPES = {bool: "BOOLEAN", int: "INT", float: "FLOAT", str: "STRING"}


class Link(NamedTuple):
    """Where an input comes from: the node and the number of its output."""

    node: str
    slot: int


def read(path: Path) -> Graph:
    """An API-format file; ValueError or OSError says what is wrong with it, and what to do with a canvas file."""
    graph = _parsed(_text(Path(path)), path)
    if isinstance(graph, dict) and isinstance(graph.get("nodes"), list):
        raise ValueError(
            f"{path} is a canvas file; run its API format "
            "(the canvas: Workflow > Export (API); the bundled ones: workflows/api)."
        )
    return checked(graph, f"{path} is not an API-format workflow:")


def _text(path: Path) -> str:
    named = one_line(str(path))
    if "\0" in str(path):
        raise ValueError(f"{named} is no name of a file, because it holds a NUL character; give another.")
    if os.path.isdir(path):
        raise IsADirectoryError(f"{named} is a folder; name a workflow file in it.")
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise FileNotFoundError(f"There is no workflow {named}; check the name.") from None
    except PermissionError:
        raise PermissionError(f"{named} may not be read; give this user the right to read it.") from None
    except OSError as error:
        raise OSError(f"{named} cannot be read: {error.strerror}.") from None
    if len(data) > LARGEST:
        raise ValueError(f"{named} is larger than {LARGEST >> 20} MiB; a workflow never is.")
    if not data.strip():
        raise ValueError(f"{named} is empty; export the workflow again.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{named} is not UTF-8 text; save it as UTF-8.") from None


def _parsed(text: str, path: Path):
    """The JSON value, its keys unique and its numbers finite."""

    def refuse(what: str):
        raise ValueError(f"{path} {what}.")

    def whole(digits: str) -> int:
        return int(digits) if len(digits) <= DIGITS else refuse(f"holds a number of {len(digits)} digits")

    def unique(pairs: list[tuple]) -> dict:
        made = dict(pairs)
        if len(made) < len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))
            refuse(f"holds the key {shown(twice)} twice in one object; remove one of them")
        return made

    def constant(name: str):
        refuse(f"holds {name}, which JSON has not; write a number")

    try:
        value = json.loads(text, parse_int=whole, parse_constant=constant, object_pairs_hook=unique)
        deep = _deeper(value, DEEPEST)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}.") from None
    except RecursionError:
        deep = True
    return refuse(f"is nested in more than {DEEPEST} levels, and a workflow has four") if deep else value


def _deeper(value, most: int) -> bool:
    """Whether lists and objects are nested in more than so many levels."""
    level = [value]
    for _ in range(most):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return any(isinstance(value, (dict, list)) for value in level)


def checked(graph, name: str = "This is not an API-format workflow:") -> Graph:
    """The graph, if it is nodes by id, each with a class_type and inputs; ValueError otherwise."""
    if not isinstance(graph, dict):
        raise ValueError(
            f"{name} it is {shown(graph)}, and should be an object that holds nodes by their ids."
        )
    if not graph:
        raise ValueError(f"{name} it holds no node.")
    for node_id, node in graph.items():
        odd = not isinstance(node_id, str) or not node_id.strip() or one_line(node_id) != node_id
        if odd or len(node_id) > LONGEST_ID:
            raise ValueError(f'{name} {shown(node_id)} is no node id; use a number such as "5".')
        if not isinstance(node, dict):
            raise ValueError(
                f"{name} node {node_id} is {shown(node)}, and should be an object with "
                "a class_type and inputs."
            )
        for key, kind, wanted in PARTS:
            if key not in node:
                raise ValueError(
                    f"{name} node {node_id} has no {key}; every entry needs a class_type and inputs."
                )
            if not isinstance(node[key], kind):
                raise ValueError(
                    f"{name} the {key} of node {node_id} must be {wanted}, not {shown(node[key])}."
                )
    return graph


def declared(graph: Graph) -> dict[str, Node]:
    """The declaration of every node; ValueError names the nodes that only ComfyUI has."""
    foreign = sorted({node["class_type"] for node in checked(graph).values()} - set(BY_ID))
    if foreign:
        raise ValueError(
            f"Outside ComfyUI there is no node {', '.join(map(_printable, foreign))}; "
            "run this workflow in ComfyUI, or use StereoReel's own nodes."
        )
    return {node_id: BY_ID[node["class_type"]] for node_id, node in graph.items()}


def links(graph: Graph, nodes: Mapping[str, Node], node_id: str) -> dict[str, Link]:
    """The inputs of a node that come from others; ValueError names the node and the input where one does not fit."""
    node, who = nodes[node_id], label(nodes[node_id], node_id)
    sockets = {socket.name: socket.type for socket in node.inputs}
    takes = {**sockets, **{option.name: TYPES[type(option.default)] for option in node.options}}
    found = {}
    for name, value in graph[node_id]["inputs"].items():
        if name not in takes and name != "packed":  # a clip knows how many eyes it has
            raise ValueError(
                f"{who}: There is no option {_printable(name)} here; inputs and "
                f"options are: {', '.join(takes)}."
            )
        if isinstance(value, list):
            found[name] = link = _link(value, f"{who}: {name}")
            _fits(link, takes.get(name, "STRING"), nodes, f"{who}: its input {name}")
        elif name in sockets and name != "fps":
            raise ValueError(f"{who}: {name} takes a connection to another node, not {shown(value)}.")
    return found


def _link(value: list, which: str) -> Link:
    source, slot = value if len(value) == 2 else (None, None)
    if type(source) not in (str, int) or type(slot) is not int:
        written = f"[{', '.join(map(shown, value))}]" if len(value) < 4 else shown(value)
        raise ValueError(
            f'{which} must be a value, or a link such as ["5", 0] to a node and the '
            f"number of its output, not {written}."
        )
    return Link(source if isinstance(source, str) else shown(source), slot)


def _fits(link: Link, takes: str, nodes: Mapping[str, Node], which: str) -> None:
    """ValueError where a link leads to no output, or to one of a type that the input does not take."""
    if link.node not in nodes:
        raise ValueError(f"{which} comes from node {_printable(link.node)}, which is not in the workflow.")
    source, outputs = label(nodes[link.node], link.node), nodes[link.node].outputs
    if not 0 <= link.slot < len(outputs):
        there = ", ".join(f"{number} ({output.name})" for number, output in enumerate(outputs)) or "none"
        raise ValueError(
            f"{which} comes from output {shown(link.slot)} of {source}, whose outputs are: {there}."
        )
    gives = outputs[link.slot]
    if not set(gives.type.split(",")) & set(takes.split(",")):
        raise ValueError(
            f"{which} takes {takes.replace(',', ' or ')}, and output {gives.name} of {source} is "
            f"{gives.type.replace(',', ' or ')}; connect another output."
        )


def _printable(name: str) -> str:
    return one_line(name) if len(name) <= LONGEST_ID else shown(name)


def upstream(graph: Graph, nodes: Mapping[str, Node], ends: Iterable[str]) -> dict[str, dict[str, Link]]:
    """The links of all nodes that some nodes need, those included, each after what it needs itself.

    ValueError where a link does not fit, or the graph has a cycle.
    """
    found: dict[str, dict[str, Link]] = {}
    for end in ends:
        path = {end: links(graph, nodes, end)} if end not in found else {}
        while path:
            node_id = next(reversed(path))
            source = next((link.node for link in path[node_id].values() if link.node not in found), None)
            if source is None:
                found[node_id] = path.pop(node_id)
            elif source in path:
                raise ValueError(f"The workflow runs in a circle through node {source}.")
            else:
                path[source] = links(graph, nodes, source)
    return found
