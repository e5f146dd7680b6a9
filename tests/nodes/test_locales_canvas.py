"""A real canvas shows the nodes in another language, and what it saves and queues is the same.

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
from tests.support.host_canvas import look, styled
from tools import locales

SPOKEN = """() => {
    const options = app.ui.settings.settingsParamLookup['Comfy.Locale'].options
    return options.map(option => option.value ?? option)
}"""
# Of each node its title, the labels of its widgets and sockets, and all that the page says about it.
NODES = """() => Object.fromEntries(app.graph._nodes.map(node => [node.type, {
    title: node.getTitle?.() ?? node.title,
    widgets: Object.fromEntries((node.widgets ?? []).map(one => [one.name, one.label ?? one.name])),
    inputs: Object.fromEntries((node.inputs ?? []).map(one => [one.name, one.label ?? one.localized_name])),
    outputs: (node.outputs ?? []).map(one => one.label ?? one.localized_name),
    text: document.querySelector(`[data-node-id="${node.id}"]`)?.innerText ?? '',
}]))"""
SAVED = """() => app.graph.serialize().nodes.map(node => [node.type, node.title ?? '',
    (node.inputs ?? []).map(slot => slot.name), (node.outputs ?? []).map(slot => slot.name)])"""
CRF = """() => { const node = app.graph._nodes.find(node => node.type === 'StereoReelEncode')
    return node.widgets.find(widget => widget.name === 'crf')._displayValue }"""
SWITCH = """() => { const node = app.graph._nodes.find(node => node.type === 'StereoReelVSR')
    node.toggleAdvanced()
    return node.widgets.filter(widget => node.isWidgetVisible(widget)).map(widget => widget.name) }"""


@pytest.fixture(scope="module")
def server(server):
    yield server
    server.post("/settings/Comfy.Locale", "en")


def opened(page, name: str = "default") -> tuple[dict, list]:
    """Open a bundled workflow; return what the canvas would queue and what it would save."""
    prompt = browser.prompt_of(page, bundled.shown(name), name)
    page.evaluate("async () => { await app.extensionManager.command.execute('Comfy.Canvas.FitView') }")
    page.wait_for_timeout(1500)
    return prompt, page.evaluate(SAVED)


@pytest.mark.parametrize("style", ["classic", "nodes_2"])
@pytest.mark.parametrize("language", locales.languages())
def test_nodes_speak_another_language(server, language, style):
    server.post("/settings/Comfy.Locale", "en")
    with styled(server, style == "nodes_2") as page:
        if language not in page.evaluate(SPOKEN):
            pytest.skip(f"this ComfyUI does not offer {language}")
        prompt, saved = opened(page)
        page.evaluate(
            "async language => app.extensionManager.setting.set('Comfy.Locale', language)", language
        )
        page.goto(f"http://{server.address}")
        browser.ready(page)
        assert opened(page) == (prompt, saved)
        shown = page.evaluate(NODES)
        look(page, f"locale_{language}")
        for entry in prompt.values():
            check(entry, shown[entry["class_type"]], locales.load(language, "nodeDefs"), style)
        assert "Runs builtin" in page.evaluate("document.body.innerText")  # the line about the model
        if style == "classic":
            assert page.evaluate(CRF) == "auto"
            assert {"packed", "strength", "radius", "live"} <= set(page.evaluate(SWITCH))


def check(entry: dict, shown: dict, translated: dict, style: str):
    """Compare what a node of the canvas says with the texts of its language."""
    node, texts = BY_ID[entry["class_type"]], translated[entry["class_type"]]
    names = {key: one["name"] for key, one in texts["inputs"].items()}
    assert shown["title"] == texts["display_name"]
    for labels in (shown["widgets"], shown["inputs"]):  # among which are the host's own, such as upload
        ours = {name: label.partition(": ")[0] for name, label in labels.items() if name in names}
        assert ours and ours == {name: names[name] for name in ours}
    assert shown["outputs"] == [one["name"] for one in texts["outputs"].values()]
    if style == "nodes_2":
        lines = [line.partition(": ")[0] for line in shown["text"].split("\n")]
        seen = [names[option.name] for option in first_glance.visible(node, entry["inputs"])]
        assert {texts["display_name"], *seen} <= set(lines)
