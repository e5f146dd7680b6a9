"""Bundled workflows on ComfyUI's real canvas: no missing nodes or red widgets, and the API file's prompt."""

import pytest

from stereoreel.workflow import graph as workflow
from tests.support import browser
from tests.support.bundled import API, shown

pytestmark = pytest.mark.canvas


def plain(graph: dict) -> dict:
    return {
        node_id: {"class_type": node["class_type"], "inputs": node["inputs"]}
        for node_id, node in graph.items()
    }


@pytest.mark.parametrize("name", API)
def test_canvas_queues_the_api_file(page, name):
    assert browser.prompt_of(page, shown(name), name) == plain(workflow.read(API[name]))
    assert browser.faults(page) == []


@pytest.mark.parametrize("name", API)
def test_nodes_do_not_overlap(page, name):
    """At the canvas's sizes, with titles and a small margin."""
    browser.prompt_of(page, shown(name), name)
    boxes = page.evaluate("""() => app.graph._nodes.map(
        ({ title, pos: [left, top], size: [width, height] }) =>
            ({ title, left, top: top - 40, right: left + width, bottom: top + height }))""")
    assert browser.overlapping(boxes) == []


def test_links_can_be_dragged_backwards(page):
    """The union socket accepts and gives IMAGE and VIDEO, but never a VIDEO to an IMAGE socket."""
    links = page.evaluate("""() => {
        app.graph.clear()
        const add = type => { const node = LiteGraph.createNode(type); app.graph.add(node); return node }
        const stage = add('StereoReelVSR'), other = add('StereoReelVSR')
        const parts = add('GetVideoComponents'), video = add('CreateVideo'), save = add('SaveVideo')
        return [
            parts.connect(0, stage, 0), stage.connect(0, video, 0),
            video.connect(0, other, 0), other.connect(0, save, 0),
            other.connect(0, video, 0), video.connect(0, stage, 0),
        ].map(link => !!link)
    }""")
    # the last two would bring a VIDEO to CreateVideo's images
    assert links == [True, True, True, True, False, False]
