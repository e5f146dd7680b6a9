"""Widgets on ComfyUI's real canvas: few at first glance, the rest behind one switch.

Hidden ones are queued, and a changed one is shown when its workflow opens.
"""

import pytest

from stereoreel.workflow import first_glance
from stereoreel.workflow import graph as workflow
from stereoreel.workflow.node_specs import BY_ID, NODES
from tests.support import browser
from tests.support.bundled import API, shown

VSR = BY_ID["StereoReelVSR"]
ALL = [option.name for option in VSR.options]
PLAIN = ["model", "factor", "strength"]
OPEN = ["model", "packed", "factor", "strength", "radius", "download", "live"]  # what builtin goes by
NODE = "type => app.graph._nodes.find(node => node.type === type)"
VISIBLE = f"""type => {{
    const node = ({NODE})(type)
    const row = node.isWidgetRowVisible ?? node.isWidgetVisible // a connected widget leaves its row
    return node.widgets.filter(widget => row.call(node, widget)).map(widget => widget.name)
}}"""
SWITCH = "widget => /advanced/.test(widget.label ?? widget.name)"

pytestmark = pytest.mark.canvas


@pytest.fixture
def default():
    return shown("default")


def visible(page, node: str = VSR.id) -> list[str]:
    """The widgets that are options, as the canvas shows them."""
    known = {option.name for option in BY_ID[node].options}
    return [name for name in page.evaluate(VISIBLE, node) if name in known]


def press(page):
    page.evaluate(f"type => ({NODE})(type).widgets.find({SWITCH}).callback()", VSR.id)


def choose(page, **values):
    page.evaluate(
        f"""([type, values]) => {{ for (const [name, value] of Object.entries(values)) {{
            const widget = ({NODE})(type).widgets.find(one => one.name === name)
            widget.value = value
            widget.callback?.(value)
        }} }}""",
        [VSR.id, values],
    )


def test_advanced_widgets_are_behind_a_button(page, default):
    browser.prompt_of(page, default, "default")
    page.wait_for_function("type => app.graph._nodes.some(node => node.type === type)", arg=VSR.id)
    assert visible(page) == PLAIN
    before = page.evaluate(f"type => ({NODE})(type).size[1]", VSR.id)
    press(page)
    assert visible(page) == OPEN
    assert page.evaluate(f"type => ({NODE})(type).size[1]", VSR.id) > before
    press(page)
    assert visible(page) == PLAIN
    assert page.evaluate(f"type => ({NODE})(type).size[1]", VSR.id) == before


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.id)
def test_new_node_shows_few_widgets_and_one_switch(page, node):
    """The same ones as the table of the engine, by which canvas files are laid out."""
    page.evaluate(
        "type => { app.graph.clear(); app.graph.add(LiteGraph.createNode(type)) }",
        node.id,
    )
    expected = [option.name for option in first_glance.visible(node, {})]
    assert visible(page, node.id) == expected and len(expected) <= 5
    switches = page.evaluate(
        f"""type => {{ const node = ({NODE})(type)
            return node.widgets.filter({SWITCH}).filter(widget => node.isWidgetVisible(widget)).length }}""",
        node.id,
    )
    assert switches == any(option.advanced for option in node.options)


def test_options_that_the_model_ignores_are_hidden(page, default):
    browser.prompt_of(page, default, "default")
    choose(page, model="flashvsr-v1.1")
    assert visible(page) == ["model", "factor", "decoder", "color"]
    press(page)
    names = visible(page)
    assert {"sparsity", "noise", "tile"} <= set(names) and not {"strength", "cleaning", "level"} & set(names)
    choose(page, model="nvidia-rtx-vsr")
    assert "level" in visible(page) and "sparsity" not in visible(page)


def test_hidden_widgets_are_queued(page, default):
    api = workflow.read(API["default"])
    assert browser.prompt_of(page, default, "default")["2"]["inputs"] == api["2"]["inputs"]


def test_changed_widget_is_shown_when_its_workflow_opens(page, default):
    [node] = [node for node in default["nodes"] if node["type"] == VSR.id]
    node["widgets_values"][ALL.index("radius")] = 3
    assert browser.prompt_of(page, default, "changed")["2"]["inputs"]["radius"] == 3
    assert visible(page) == ["model", "factor", "strength", "radius"]


def test_live_workflow_shows_its_widgets(page):
    browser.prompt_of(page, shown("live_upscale"), "live_upscale")
    assert visible(page) == ["model", "factor", "strength", "live", "live_mode"]


def test_default_number_is_shown_as_its_word(page, default):
    browser.prompt_of(page, default, "default")
    drawn = f"""([type, name]) => ({NODE})(type).widgets.find(one => one.name === name)._displayValue"""
    assert page.evaluate(drawn, ["StereoReelEncode", "crf"]) == "auto"
    assert page.evaluate(drawn, ["StereoReelExtract", "duration"]) == "to the end"
    page.evaluate(
        f"type => {{ ({NODE})(type).widgets.find(one => one.name === 'crf').value = 20 }}", "StereoReelEncode"
    )
    assert page.evaluate(drawn, ["StereoReelEncode", "crf"]).startswith("20")


def test_linked_widget_keeps_its_link(page, default):
    """It stays visible even if the model ignores it."""
    browser.prompt_of(page, default, "default")
    choose(page, model="flashvsr-v1.1")
    press(page)
    linked = page.evaluate(f"""() => {{
        const node = ({NODE})('{VSR.id}'), source = ({NODE})('StereoReelExtract')
        return !!source.connect(1, node, node.inputs.findIndex(input => input.widget?.name === 'sparsity'))
    }}""")
    press(page)
    assert "sparsity" in visible(page) and "local_range" not in visible(page)
    choose(page, model="auto")
    queued = page.evaluate("async () => (await app.graphToPrompt()).output")
    assert linked and queued["2"]["inputs"]["sparsity"] == ["1", 1] and "sparsity" in visible(page)
