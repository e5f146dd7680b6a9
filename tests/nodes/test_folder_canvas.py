"""The canvas walks a folder: three runs queued at once make three films (``make test-host COMFYUI=path``)."""

import os
from pathlib import Path

import pytest

pytestmark = [pytest.mark.host, pytest.mark.canvas]
if not os.environ.get("COMFYUI"):
    pytest.skip("no ComfyUI named: make test-host COMFYUI=path", allow_module_level=True)

from benchmarks.support.comfy_server import comfy
from tests.support import browser, bundled
from tests.support.films import source
from tests.support.host_canvas import STYLES, look, styled

NAMES = ("shot 2", "shot 10", "sunset")
WIDGET = """name => {
    const node = app.graph._nodes.find(node => node.type === 'StereoReelExtract')
    const widget = node.widgets.find(one => one.name === name)
    return [widget.value, !widget.hidden]
}"""
SET = """([name, value]) => {
    const node = app.graph._nodes.find(node => node.type === 'StereoReelExtract')
    const widget = node.widgets.find(one => one.name === name)
    widget.value = value
    widget.callback?.(value)
}"""
QUEUE = """runs => { window.ended = []
    for (const name of ['execution_success', 'execution_error'])
        app.api.addEventListener(name, event => window.ended.push(name))
    app.queuePrompt(0, runs) }"""
CONTROL = "control_after_generate"


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    base = tmp_path_factory.mktemp("comfy")
    (base / "input" / "clips").mkdir(parents=True)
    for number, name in enumerate(NAMES):
        source(base / "input" / "clips" / f"{name}.mp4", (4,), seed=number, sound=False)
    return base


@pytest.fixture(scope="module")
def server(base):
    with comfy(Path(os.environ["COMFYUI"]).resolve(), base) as running:
        yield running


@pytest.fixture(**STYLES)
def page(server, request):
    with styled(server, request.param) as page:
        yield page


def test_index_is_out_of_sight_and_still_without_a_folder(page):
    browser.prompt_of(page, bundled.shown("start"), "start")
    assert page.evaluate(WIDGET, "index") == [0, False]
    assert page.evaluate(WIDGET, CONTROL) == ["fixed", False]
    page.evaluate(SET, ["folder", "clips"])
    assert page.evaluate(WIDGET, "index") == [0, True]
    assert page.evaluate(WIDGET, CONTROL) == ["fixed", True]
    assert page.evaluate(WIDGET, "video") == ["sample", False]


def test_queue_walks_the_folder(page, base):
    browser.prompt_of(page, bundled.shown("folder"), "folder")
    assert page.evaluate(WIDGET, CONTROL) == ["increment", True]
    page.evaluate(SET, ["folder", "clips"])
    look(page, "folder")
    before = set((base / "output").rglob("*.mp4"))
    page.evaluate(QUEUE, len(NAMES))
    page.wait_for_function(f"() => window.ended.length === {len(NAMES)}", timeout=240_000)
    assert page.evaluate("() => window.ended") == ["execution_success"] * len(NAMES)
    made = {path.name.rpartition("_0000")[0] for path in set((base / "output").rglob("*.mp4")) - before}
    assert made == set(NAMES)
    assert page.evaluate(WIDGET, "index") == [len(NAMES), True]
