"""Advanced widgets on ComfyUI's real canvas: hidden, still queued, and shown if changed."""

import pytest

from stereoreel.workflow import graph as workflow
from stereoreel.workflow.node_specs import BY_ID
from tests.support import browser
from tests.support.bundled import API, shown

VSR = "app.graph._nodes.find(node => node.type === 'StereoReelVSR')"
VISIBLE = f"""() => {{
    const node = {VSR}
    return node.widgets.filter(widget => node.isWidgetVisible(widget)).map(widget => widget.name)
}}"""
PLAIN = [option.name for option in BY_ID["StereoReelVSR"].options if not option.advanced]
ALL = [option.name for option in BY_ID["StereoReelVSR"].options]

pytestmark = pytest.mark.canvas


@pytest.fixture
def default():
    return shown("default")


def press(page):
    page.evaluate(
        f"() => {{ const node = {VSR};"
        " node.widgets.find(widget => /advanced/.test(widget.label ?? widget.name)).callback() }"
    )


def test_advanced_widgets_are_behind_a_button(page, default):
    browser.prompt_of(page, default, "default")
    assert [name for name in page.evaluate(VISIBLE) if name in ALL] == PLAIN
    before = page.evaluate(f"() => {VSR}.size[1]")
    press(page)
    assert [name for name in page.evaluate(VISIBLE) if name in ALL] == ALL
    assert page.evaluate(f"() => {VSR}.size[1]") > before
    press(page)
    assert [name for name in page.evaluate(VISIBLE) if name in ALL] == PLAIN


def test_hidden_widgets_are_queued(page, default):
    api = workflow.read(API["default"])
    assert browser.prompt_of(page, default, "default")["2"]["inputs"] == api["2"]["inputs"]


def test_changed_widget_is_shown_when_its_workflow_opens(page, default):
    [node] = [node for node in default["nodes"] if node["type"] == "StereoReelVSR"]
    node["widgets_values"][ALL.index("window")] = 24
    assert browser.prompt_of(page, default, "changed")["2"]["inputs"]["window"] == 24
    assert "window" in page.evaluate(VISIBLE)


def test_linked_widget_keeps_its_link(page, default):
    browser.prompt_of(page, default, "default")
    press(page)
    linked = page.evaluate(f"""() => {{
        const node = {VSR}, source = app.graph._nodes.find(node => node.type === 'StereoReelExtract')
        return !!source.connect(1, node, node.inputs.findIndex(input => input.widget?.name === 'sparsity'))
    }}""")
    press(page)
    queued = page.evaluate("async () => (await app.graphToPrompt()).output")
    assert linked and queued["2"]["inputs"]["sparsity"] == ["1", 1]
