"""A real canvas shows few widgets, one advanced switch and words for numbers, in classic nodes and Nodes 2.0.

Run with ``make test-host COMFYUI=path``. STEREOREEL_SCREENSHOTS names a folder for pictures of the pages.
"""

import os

import pytest

pytestmark = [pytest.mark.host, pytest.mark.canvas]
if not os.environ.get("COMFYUI"):
    pytest.skip("no ComfyUI named: make test-host COMFYUI=path", allow_module_level=True)

from stereoreel.workflow import first_glance
from stereoreel.workflow.node_specs import BY_ID
from tests.support import browser, bundled
from tests.support.host_canvas import STYLES, look, styled

NODE = "app.graph._nodes.find(node => node.type === type)"
# The options that a node shows: as drawn by the canvas, or as rows of the page.
SHOWN = f"""([type, names]) => {{
    const node = {NODE}
    if (!LiteGraph.vueNodesMode)
        return node.widgets.filter(widget => node.isWidgetVisible(widget)).map(widget => widget.name)
            .filter(name => names.includes(name))
    const lines = document.querySelector(`[data-node-id="${{node.id}}"]`).innerText.split('\\n')
    const sockets = [...node.inputs, ...node.outputs].filter(slot => !slot.widget).map(slot => slot.name)
    const left = lines.map(line => line.split(': ')[0].trim())
    for (const name of sockets) left.splice(left.indexOf(name), left.includes(name) ? 1 : 0)
    return names.filter(name => left.includes(name))
}}"""
SWITCHES = f"""type => {{
    const node = {NODE}
    const drawn = node.widgets.filter(widget => widget.type === 'button' && /advanced/i.test(widget.label))
    if (!LiteGraph.vueNodesMode) return drawn.filter(widget => node.isWidgetVisible(widget)).length
    const text = document.querySelector(`[data-node-id="${{node.id}}"]`).innerText
    return text.match(/(show|hide) advanced/gi)?.length ?? 0
}}"""
SWITCH = f"""type => {{
    const node = {NODE}
    if (!LiteGraph.vueNodesMode) return node.toggleAdvanced()
    const place = document.querySelector(`[data-node-id="${{node.id}}"]`)
    const button = [...place.querySelectorAll('button')].find(one => /advanced/i.test(one.innerText))
    button.dispatchEvent(new PointerEvent('pointerup', {{ bubbles: true }}))
    button.click()
}}"""


@pytest.fixture(**STYLES)
def page(server, request):
    with styled(server, request.param) as page:
        yield page


def opened(page, name: str) -> dict:
    """Open a bundled workflow, with all of its nodes in view; return what the canvas would queue."""
    prompt = browser.prompt_of(page, bundled.shown(name), name)
    page.evaluate("async () => { await app.extensionManager.command.execute('Comfy.Canvas.FitView') }")
    page.wait_for_timeout(1500)
    return prompt


def shown(page, kind: str) -> list[str]:
    return page.evaluate(SHOWN, [kind, [option.name for option in BY_ID[kind].options]])


def test_each_node_shows_few_widgets_and_one_switch(page):
    for entry in opened(page, "default").values():
        node = BY_ID[entry["class_type"]]
        expected = [option.name for option in first_glance.visible(node, entry["inputs"])]
        assert shown(page, node.id) == expected and len(expected) <= 5
        assert page.evaluate(SWITCHES, node.id) == 1, node.id
    look(page, "widgets")


def test_switch_brings_what_the_model_goes_by_and_nothing_else(page):
    opened(page, "default")
    page.evaluate(SWITCH, "StereoReelVSR")
    page.wait_for_timeout(700)
    assert shown(page, "StereoReelVSR") == [
        "model", "packed", "factor", "strength", "radius", "download", "live",
    ]  # fmt: skip
    assert page.evaluate(SWITCHES, "StereoReelVSR") == 1
    look(page, "advanced")
    page.evaluate(SWITCH, "StereoReelVSR")
    page.wait_for_timeout(700)
    assert shown(page, "StereoReelVSR") == ["model", "factor", "strength"]


def test_another_model_brings_its_own_widgets(page):
    opened(page, "default")
    page.evaluate(
        f"""type => {{ const widget = {NODE}.widgets.find(one => one.name === 'model')
            widget.value = 'flashvsr-v1.1'
            widget.callback?.(widget.value) }}""",
        "StereoReelVSR",
    )
    page.wait_for_timeout(700)
    assert shown(page, "StereoReelVSR") == ["model", "factor", "decoder", "color"]


def test_live_workflow_opens_with_what_it_needs(page):
    opened(page, "live_upscale")
    assert shown(page, "StereoReelVSR") == ["model", "factor", "strength", "live", "live_mode"]
    look(page, "live")


def test_number_that_stands_for_a_word_says_so(page, request):
    """As the value in classic nodes, as part of the label in Nodes 2.0."""
    opened(page, "default")
    written = f"""type => {{ const node = {NODE}
        return LiteGraph.vueNodesMode ? document.querySelector(`[data-node-id="${{node.id}}"]`).innerText
            : node.widgets.find(one => one.name === 'crf')._displayValue }}"""
    crf = page.evaluate(written, "StereoReelEncode")
    assert "crf: auto" in crf if "nodes_2" in request.node.name else crf == "auto"
    page.evaluate(
        f"""type => {{ const widget = {NODE}.widgets.find(one => one.name === 'crf')
            widget.value = 20
            widget.callback?.(20) }}""",
        "StereoReelEncode",
    )
    page.wait_for_timeout(700)
    crf = page.evaluate(written, "StereoReelEncode")
    assert "crf: auto" not in crf and crf != "auto"


def test_style_can_be_switched_while_a_workflow_is_open(page):
    opened(page, "default")
    for _ in range(2):
        page.evaluate(
            """async () => { const settings = app.extensionManager.setting
                await settings.set('Comfy.VueNodes.Enabled', !settings.get('Comfy.VueNodes.Enabled')) }"""
        )
        page.wait_for_timeout(2500)
        assert page.evaluate(SWITCHES, "StereoReelVSR") == 1
        assert shown(page, "StereoReelVSR") == ["model", "factor", "strength"]
