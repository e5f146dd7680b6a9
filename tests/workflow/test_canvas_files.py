"""The canvas files, their layout, their thumbnails and the blueprints, as far as no browser is needed."""

import json
import re
from itertools import combinations
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageStat

from stereoreel.workflow import blueprints, orders
from stereoreel.workflow import graph as workflow
from stereoreel.workflow.canvas_nodes import TITLE, sockets
from stereoreel.workflow.layout import COLORS, part
from stereoreel.workflow.litegraph import render
from stereoreel.workflow.node_specs import BY_ID
from stereoreel.workflow.templates import TITLES
from tests.support.bundled import API, WORKFLOWS, shown

STALE = "run: python -m stereoreel workflows"
SUBGRAPHS = WORKFLOWS.parent / "subgraphs"
BLUEPRINTS = sorted(blueprints.CHAINS)
SCREEN, ZOOM = (1600, 960), 0.75  # the canvas of a window of 1600x1000, and what fitting leaves of it
THUMBNAIL = 100_000  # bytes
EXAMPLES = {
    **{"-".join(order): order for order, _ in orders.BUNDLED.values()},
    "five kinds": ("extract", "depth", "vsr", "depth", "interpolate", "depth", "stereo", "upscale", "encode"),
    "one kind": ("extract", *["interpolate"] * 7, "encode"),
}


def boxes(graph: dict) -> dict[str, tuple]:
    """Left, top, right and bottom of the nodes with their title bars."""
    return {
        f"{node['type']} {node['id']}": (
            node["pos"][0],
            node["pos"][1] - TITLE,
            node["pos"][0] + node["size"][0],
            node["pos"][1] + node["size"][1],
        )
        for node in graph["nodes"]
    }


def around(group: dict) -> tuple:
    left, top, width, height = group["bounding"]
    return left, top, left + width, top + height


def meet(one: tuple, other: tuple) -> bool:
    return all(max(one[axis], other[axis]) < min(one[axis + 2], other[axis + 2]) for axis in (0, 1))


def inside(box: tuple, group: tuple) -> bool:
    return group[0] < box[0] and group[1] < box[1] and box[2] < group[2] and box[3] < group[3]


def check_layout(graph: dict) -> None:
    """No node is over another, and each is in the group of its work and in no other."""
    found, groups = boxes(graph), graph["groups"]
    assert not [pair for pair in combinations(found.items(), 2) if meet(pair[0][1], pair[1][1])]
    assert not [pair for pair in combinations(map(around, groups), 2) if meet(*pair)]
    for node, box in zip(graph["nodes"], found.values()):
        holders = [group["title"] for group in groups if meet(box, around(group))]
        wanted = [] if node["type"] == "MarkdownNote" else [part(node["type"])]
        assert holders == wanted
        assert all(
            inside(box, around(group))
            for group in groups
            if group["title"] in holders and meet(box, around(group))
        )


def test_each_bundled_workflow_has_a_title_and_a_canvas_file():
    assert list(TITLES) and set(TITLES) == set(API)
    assert {file.stem for file in WORKFLOWS.glob("*.json")} == set(TITLES.values())


def test_titles_are_unique_name_the_pack_and_begin_with_the_first_workflow():
    titles = sorted(TITLES.values())
    assert len(set(titles)) == len(titles) and titles[0] == TITLES["start"]
    assert titles[0].startswith("Start here")
    for title in titles:  # allowed on every disk, and in an address
        assert "StereoReel" in title and re.fullmatch(r"[\w ,()-]{1,45}", title, re.ASCII)


@pytest.mark.parametrize("name", API)
def test_canvas_files_are_rendered_from_the_api_files(name):
    assert shown(name) == render(workflow.read(API[name]), name), STALE


@pytest.mark.parametrize("name", API)
def test_api_files_name_every_widget(name):
    """So that a bundled workflow shows what it sets, however many options have been added since."""
    nodes = [node for node in workflow.read(API[name]).values() if node["class_type"] in BY_ID]
    assert nodes
    for node in nodes:
        assert {option.name for option in BY_ID[node["class_type"]].options} <= set(node["inputs"])


def test_the_first_workflow_is_four_nodes_and_two_seconds():
    graph = workflow.read(API["start"])
    assert [BY_ID[node["class_type"]].kind for node in graph.values()] == [
        "extract",
        "depth",
        "stereo",
        "encode",
    ]
    expected = orders.api(("extract", "depth", "stereo", "encode"), graph["1"]["_meta"]["note"])
    expected["1"]["inputs"]["duration"] = 2.0
    assert graph == expected


@pytest.mark.parametrize("name", API)
def test_nodes_are_in_their_groups_and_apart(name):
    check_layout(shown(name))


@pytest.mark.parametrize("order", EXAMPLES.values(), ids=EXAMPLES)
def test_any_order_is_arranged(order):
    check_layout(render(orders.api(order), "any"))


def test_default_goes_from_source_to_output_and_fits_a_window():
    graph = shown("default")
    assert [group["title"] for group in graph["groups"]] == ["Source", "Quality", "3D", "Output"]
    lefts = [group["bounding"][0] for group in graph["groups"]]
    assert lefts == sorted(set(lefts)) and {group["color"] for group in graph["groups"]} < set(
        COLORS.values()
    )
    all_boxes = [*boxes(graph).values(), *map(around, graph["groups"])]
    for axis, most in enumerate(SCREEN):
        size = max(box[axis + 2] for box in all_boxes) - min(box[axis] for box in all_boxes) + 20
        assert most * 0.75 / size >= ZOOM


@pytest.mark.parametrize("name", API)
def test_each_template_has_a_thumbnail(name):
    path = WORKFLOWS / f"{TITLES[name]}.jpg"
    assert path.stat().st_size <= THUMBNAIL
    with Image.open(path) as image:
        assert image.format == "JPEG" and image.width == image.height >= 400


def test_thumbnails_can_be_told_apart():
    small = {}
    for name, title in TITLES.items():
        with Image.open(WORKFLOWS / f"{title}.jpg") as image:
            small[name] = image.convert("RGB").resize((32, 32))
    for (one, first), (other, second) in combinations(small.items(), 2):
        difference = ImageStat.Stat(ImageChops.difference(first, second)).mean
        assert sum(difference) / 3 > 10, f"{one} and {other} look alike"


# Blueprints


def read(title: str) -> dict:
    return json.loads((SUBGRAPHS / f"{title}.json").read_text(encoding="utf-8"))


def test_blueprints_are_rendered_from_the_declarations():
    assert sorted(file.stem for file in SUBGRAPHS.iterdir()) == BLUEPRINTS
    assert {title: read(title) for title in BLUEPRINTS} == blueprints.render_all(), STALE


@pytest.mark.parametrize("title", BLUEPRINTS)
def test_a_blueprint_is_one_node_with_the_slots_of_its_subgraph(title):
    """Anything else is an error message for every user when ComfyUI starts."""
    graph = read(title)
    [node], [inner] = graph["nodes"], graph["definitions"]["subgraphs"]
    assert node["type"] == inner["id"] and node["title"] == inner["name"] == title and "StereoReel" in title
    assert not graph["links"] and graph["version"] == 0.4 and graph["extra"]["BlueprintDescription"]
    for side in ("inputs", "outputs"):
        assert [(slot["name"], slot["type"]) for slot in node[side]] == [
            (slot["name"], slot["type"]) for slot in inner[side]
        ]
        assert len({slot["name"] for slot in inner[side]}) == len(inner[side])


@pytest.mark.parametrize("title", BLUEPRINTS)
def test_nodes_widgets_and_links_of_a_blueprint_are_those_of_the_declarations(title):
    [inner] = read(title)["definitions"]["subgraphs"]
    nodes = {node["id"]: node for node in inner["nodes"]}
    for node in nodes.values():
        inputs, widgets, outputs = sockets(node["type"])
        assert [slot["name"] for slot in node["inputs"]] == [*(name for name, _ in inputs), *widgets]
        assert [(slot["name"], slot["type"]) for slot in node["outputs"]] == outputs
        options = BY_ID[node["type"]].options
        assert [option.check(value) for option, value in zip(options, node["widgets_values"], strict=True)]
    links = {link["id"]: link for link in inner["links"]}
    assert sorted(links) == list(range(1, len(links) + 1))
    entered: dict[int, tuple] = {}
    for link in links.values():
        left, right = link["origin_id"], link["target_id"]
        source = inner["inputs"] if left == inner["inputNode"]["id"] else nodes[left]["outputs"]
        target = inner["outputs"] if right == inner["outputNode"]["id"] else nodes[right]["inputs"]
        slot, socket = source[link["origin_slot"]], target[link["target_slot"]]
        assert link["id"] in slot.get("links", slot.get("linkIds"))
        assert link["id"] in socket.get("linkIds", [socket.get("link")])
        assert set(slot["type"].split(",")) & set(socket["type"].split(",")) and link["type"] == slot["type"]
        entered[link["id"]] = (right, link["target_slot"])
    assert len(set(entered.values())) == len(entered)


@pytest.mark.parametrize("title", BLUEPRINTS)
def test_a_blueprint_between_source_and_file_is_the_workflow_of_its_order(title):
    [inner] = read(title)["definitions"]["subgraphs"]
    links = {link["id"]: link for link in inner["links"]}
    expected = orders.api(("extract", *blueprints.CHAINS[title].order, "encode"))
    for node in inner["nodes"]:
        names = [slot["name"] for slot in node["inputs"]]
        given = dict(zip([option.name for option in BY_ID[node["type"]].options], node["widgets_values"]))
        for name, slot in zip(names, node["inputs"]):
            if slot["link"] and "widget" not in slot:
                link = links[slot["link"]]
                origin = "1" if link["origin_id"] == inner["inputNode"]["id"] else str(link["origin_id"])
                given[name] = [origin, link["origin_slot"]]
        assert given == expected[str(node["id"])]["inputs"]


def test_the_pack_has_a_name_in_the_template_browser():
    """For the folders that a clone and the registry make."""
    named = json.loads((WORKFLOWS.parent / "locales" / "en" / "main.json").read_text(encoding="utf-8"))
    assert named["templateWorkflows"]["category"]["stereoreel"] == "StereoReel"


def test_folders_of_templates_hold_nothing_else():
    """ComfyUI lists every JSON file there."""
    kinds = {path.suffix for path in WORKFLOWS.iterdir() if path.is_file()}
    assert kinds == {".json", ".jpg"} and Path(WORKFLOWS / "api").is_dir()
