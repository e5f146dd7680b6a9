"""Where nodes are on the canvas: columns of one or two, in coloured groups that follow the flow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby

from .canvas_nodes import TITLE, WIDTH, height
from .node_specs import BY_ID

# pixels: between columns, between nodes of a column, from a group's border to its nodes, of a group's title
COLUMN, APART, MARGIN, HEADING = 60, 40, 15, 34
# from how many columns on, single nodes share one, and how high such a column may be
COLUMNS, TALLEST = 4, 1050
FULL = 800  # height of a column from which a third node starts the next one
COLORS = {
    "Source": "#4f9ecb",
    "Quality": "#8fbf8f",
    "3D": "#9d84d6",
    "Inpainting": "#c98252",
    "Output": "#c9a23f",
}
FOREIGN = {
    "LoadImage": "Source",
    "GetVideoComponents": "Source",
    "UpscaleModelLoader": "Quality",
    "ImageUpscaleWithModel": "Quality",
    "CreateVideo": "Output",
    "SaveVideo": "Output",
    "PreviewImage": "Output",
}


@dataclass
class Group:
    """Neighbouring nodes of one part of the work, and the rectangle around them."""

    title: str
    columns: list[list[str]]  # node ids, from left to right and from top to bottom
    box: tuple[int, int, int, int] = (0, 0, 0, 0)  # left, top, width, height


@dataclass
class Layout:
    """Positions of nodes by their ids, the groups around them, and the note's rectangle."""

    places: dict[str, tuple[int, int]] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)
    note: tuple[int, int, int, int] = (0, 0, 0, 0)


def arrange(graph: Mapping[str, dict], note: int = 0) -> Layout:
    """Place the nodes of an API-format graph; ``note`` is the height of a note above the source."""
    heights = {node_id: height(entry) for node_id, entry in graph.items()}
    runs = groupby(_in_order(graph), key=lambda node_id: part(graph[node_id]["class_type"]))
    groups = [Group(title, list(_columns(list(nodes), heights))) for title, nodes in runs]
    shared = _share(groups, heights)
    layout = Layout(groups=groups, note=(-MARGIN, TITLE, WIDTH + 2 * MARGIN, note))
    below = note + TITLE + APART if note else 0
    left = 0
    for number, column in enumerate(shared):
        top = below if number == 0 else 0
        for group in column:
            top = _place(layout, group, left, top, heights)
        left += max(len(group.columns) for group in column) * (WIDTH + COLUMN)
    bottom = max(group.box[1] + group.box[3] for group in groups)
    for column in shared:  # the last group of each column reaches down to the common line
        last = column[-1]
        last.box = (*last.box[:3], bottom - last.box[1])
    return layout


def part(class_type: str) -> str:
    """Return the part of the work that a node does, which is the title of its group."""
    if class_type in FOREIGN:
        return FOREIGN[class_type]
    node = BY_ID.get(class_type)
    return node.group if node else "Inpainting"


def _in_order(graph: Mapping[str, dict]) -> Iterator[str]:
    """Yield the nodes so that each follows its sources, in the graph's order otherwise."""
    sources = {
        node_id: [str(value[0]) for value in node["inputs"].values() if isinstance(value, list)]
        for node_id, node in graph.items()
    }
    done: set[str] = set()
    for node_id in graph:
        path = [node_id]
        while path:
            source = next((source for source in sources[path[-1]] if source not in done), None)
            if source is not None:
                path.append(source)
            elif (last := path.pop()) not in done:
                done.add(last)
                yield last


def _columns(nodes: list[str], heights: Mapping[str, int]) -> Iterator[list[str]]:
    """Yield columns of two nodes, or of more low ones."""
    column: list[str] = []
    for node_id in nodes:
        if len(column) >= 2 and _tall([*column, node_id], heights) > FULL:
            yield column
            column = []
        column.append(node_id)
    yield column


def _tall(nodes: list[str], heights: Mapping[str, int]) -> int:
    return sum(heights[node_id] + TITLE + APART for node_id in nodes)


def _share(groups: list[Group], heights: Mapping[str, int]) -> list[list[Group]]:
    """Return the groups by columns: where there are too many, two neighbours of one node share a column."""
    shared = [[group] for group in groups]
    many = sum(len(group.columns) for group in groups) - COLUMNS
    number = 1  # the source's column has the note
    while many > 0 and number + 1 < len(shared):
        pair = [*shared[number], *shared[number + 1]]
        nodes = [node_id for group in pair for column in group.columns for node_id in column]
        if len(nodes) == 2 and _tall(nodes, heights) <= TALLEST:
            shared[number : number + 2] = [pair]
            many -= 1
        number += 1
    return shared


def _place(layout: Layout, group: Group, left: int, top: int, heights: Mapping[str, int]) -> int:
    """Place a group's nodes and its rectangle; return the top of what is below it."""
    first, bottom = top + HEADING + MARGIN + TITLE, top
    for number, column in enumerate(group.columns):
        y = first
        for node_id in column:
            layout.places[node_id] = (left + number * (WIDTH + COLUMN), y)
            bottom = max(bottom, y + heights[node_id])
            y += heights[node_id] + TITLE + APART
    width = len(group.columns) * (WIDTH + COLUMN) - COLUMN + 2 * MARGIN
    group.box = (left - MARGIN, top, width, bottom + MARGIN - top)
    return bottom + MARGIN + APART
