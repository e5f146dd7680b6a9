"""Read a workflow file and check it link by link before anything is built."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, NoReturn

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
    """Read an API-format file.

    Raise ValueError or OSError, which says what is wrong and how to correct it.
    """
    graph = _parsed(_text(Path(path)), path)
    if isinstance(graph, dict) and isinstance(graph.get("nodes"), list):
        raise ValueError(
            f"{path} is a canvas file. Run its API format instead: export it with Workflow > Export (API); "
            "the bundled workflows have theirs in workflows/api."
        )
    return checked(graph, f"{path} is not an API-format workflow:")


def _text(path: Path) -> str:
    named = one_line(str(path))
    if "\0" in str(path):
        raise ValueError(f"{named} is not a valid file name: it contains a NUL character. Remove it.")
    if os.path.isdir(path):
        raise IsADirectoryError(f"{named} is a folder. Name a workflow file in it.")
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise FileNotFoundError(f"There is no workflow {named}. Check the name.") from None
    except PermissionError:
        raise PermissionError(f"No permission to read {named}. Give this user read access.") from None
    except OSError as error:
        raise OSError(f"{named} cannot be read: {error.strerror}.") from None
    if len(data) > LARGEST:
        raise ValueError(f"{named} is larger than {LARGEST >> 20} MiB, so it is not a workflow.")
    if not data.strip():
        raise ValueError(f"{named} is empty. Export the workflow again.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{named} is not UTF-8 text. Save it as UTF-8.") from None


def _parsed(text: str, path: Path):
    """Return the JSON value, its keys unique and its numbers finite."""

    def refuse(what: str) -> NoReturn:
        raise ValueError(f"{path} {what}.")

    def whole(digits: str) -> int:
        if len(digits) > DIGITS:
            refuse(f"contains a number of {len(digits)} digits; at most {DIGITS} are read")
        return int(digits)

    def unique(pairs: list[tuple]) -> dict:
        found: dict = {}
        for key, value in pairs:
            if key in found:
                refuse(f"has the key {shown(key)} twice in one object. Remove one of them")
            found[key] = value
        return found

    def constant(name: str) -> NoReturn:
        refuse(f"contains {name}, which is not valid JSON. Write a number")

    try:
        value = json.loads(text, parse_int=whole, parse_constant=constant, object_pairs_hook=unique)
        deep = _deeper(value, DEEPEST)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON: {error}.") from None
    except RecursionError:
        deep = True
    return refuse(f"is nested more than {DEEPEST} levels deep. A workflow has four") if deep else value


def _deeper(value, most: int) -> bool:
    """Whether lists and objects are nested more than ``most`` levels deep."""
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
    """Return the graph; raise ValueError unless it maps node ids to nodes with a class_type and inputs."""
    if not isinstance(graph, dict):
        raise ValueError(f"{name} it is {shown(graph)}; expected an object that maps node ids to nodes.")
    if not graph:
        raise ValueError(f"{name} it has no nodes.")
    for node_id, node in graph.items():
        odd = not isinstance(node_id, str) or not node_id.strip() or one_line(node_id) != node_id
        if odd or len(node_id) > LONGEST_ID:
            raise ValueError(f'{name} {shown(node_id)} is not a node id. Use a number such as "5".')
        if not isinstance(node, dict):
            raise ValueError(
                f"{name} node {node_id} is {shown(node)}; expected an object with a class_type and inputs."
            )
        for key, kind, wanted in PARTS:
            if key not in node:
                raise ValueError(
                    f"{name} node {node_id} has no {key}. Every entry needs a class_type and inputs."
                )
            if not isinstance(node[key], kind):
                raise ValueError(
                    f"{name} the {key} of node {node_id} must be {wanted}, not {shown(node[key])}."
                )
    return graph


def declared(graph: Graph) -> dict[str, Node]:
    """Return the declaration of every node; raise ValueError if some exist only in ComfyUI."""
    foreign = sorted({node["class_type"] for node in checked(graph).values()} - set(BY_ID))
    if foreign:
        raise ValueError(
            f"These nodes need ComfyUI: {', '.join(map(_printable, foreign))}. "
            "Run this workflow in ComfyUI, or use only StereoReel's nodes."
        )
    return {node_id: BY_ID[node["class_type"]] for node_id, node in graph.items()}


def links(graph: Graph, nodes: Mapping[str, Node], node_id: str) -> dict[str, Link]:
    """Return the inputs of a node that are connected to others.

    Raise ValueError, naming the node and the input, if one does not fit.
    """
    node, title = nodes[node_id], label(nodes[node_id], node_id)
    sockets = {socket.name: socket.type for socket in node.inputs}
    types = {**sockets, **{option.name: TYPES[type(option.default)] for option in node.options}}
    found = {}
    for name, value in graph[node_id]["inputs"].items():
        if name not in types and name != "packed":  # a clip records its number of views
            raise ValueError(
                f"{title}: there is no option {_printable(name)}. Inputs and options: {', '.join(types)}."
            )
        if isinstance(value, list):
            found[name] = link = _link(value, f"{title}: {name}")
            _check_link(link, types.get(name, "STRING"), nodes, f"{title}: its input {name}")
        elif name in sockets and name != "fps":
            raise ValueError(f"{title}: {name} takes a connection to another node, not {shown(value)}.")
    return found


def _link(value: list, where: str) -> Link:
    source, slot = value if len(value) == 2 else (None, None)
    if type(source) not in (str, int) or type(slot) is not int:
        written = f"[{', '.join(map(shown, value))}]" if len(value) < 4 else shown(value)
        raise ValueError(
            f'{where} must be a value, or a link such as ["5", 0], a node and the '
            f"number of its output, not {written}."
        )
    return Link(source if isinstance(source, str) else shown(source), slot)


def _check_link(link: Link, types: str, nodes: Mapping[str, Node], where: str) -> None:
    """Raise ValueError if a link leads to no output, or to one of a type that the input does not accept."""
    if link.node not in nodes:
        raise ValueError(f"{where} comes from node {_printable(link.node)}, which is not in the workflow.")
    source, outputs = label(nodes[link.node], link.node), nodes[link.node].outputs
    if not 0 <= link.slot < len(outputs):
        there = ", ".join(f"{number} ({output.name})" for number, output in enumerate(outputs)) or "none"
        raise ValueError(
            f"{where} comes from output {shown(link.slot)} of {source}, which does not exist. "
            f"Available: {there}."
        )
    output = outputs[link.slot]
    if not set(output.type.split(",")) & set(types.split(",")):
        raise ValueError(
            f"{where} takes {types.replace(',', ' or ')}, but output {output.name} of {source} is "
            f"{output.type.replace(',', ' or ')}. Connect another output."
        )


def _printable(name: str) -> str:
    return one_line(name) if len(name) <= LONGEST_ID else shown(name)


def upstream(graph: Graph, nodes: Mapping[str, Node], ends: Iterable[str]) -> dict[str, dict[str, Link]]:
    """Return the links of ``ends`` and of all nodes upstream of them, in topological order.

    Raise ValueError if a link does not fit or the graph has a cycle.
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
                raise ValueError(f"The workflow has a cycle through node {source}. Remove a link of it.")
            else:
                path[source] = links(graph, nodes, source)
    return found
