"""A user's first minutes on a real canvas: the template browser, each template, the first run, blueprints.

In classic nodes and Nodes 2.0. Run with ``make test-host COMFYUI=path``. STEREOREEL_SCREENSHOTS names a
folder for pictures of the pages.
"""

import os
from contextlib import suppress

import pytest

pytestmark = [pytest.mark.host, pytest.mark.canvas]
if not os.environ.get("COMFYUI"):
    pytest.skip("no ComfyUI named: make test-host COMFYUI=path", allow_module_level=True)

import requests
from PIL import Image
from playwright.sync_api import TimeoutError

from stereoreel.workflow.blueprints import CHAINS
from stereoreel.workflow.templates import TITLES
from tests.support import browser
from tests.support.bundled import shown
from tests.support.host_canvas import PLAYING, STYLES, WRONG, look, run, styled

PACK = "stereo-reel"  # the folder that the server has
WINDOW, ZOOM = {"width": 1600, "height": 1000}, 0.75
FOREIGN = {"inpaint_holes", "core_upscaler", "live_upscale"}  # name files of the user
CARDS = "() => [...document.querySelectorAll('[data-testid^=template-workflow-]')]"
BOXES = """() => app.graph._nodes.map(({ id, type, pos: [left, top], size: [width, height] }) => {
    const high = document.querySelector(`[data-node-id="${id}"]`)?.offsetHeight ?? height + 30
    return { title: `${type} ${id}`, left, top: top - 30, right: left + width, bottom: top - 30 + high }
})"""
TOASTS = "() => [...document.querySelectorAll('.p-toast-message-error')].map(toast => toast.innerText)"
COMMAND = "name => app.extensionManager.command.execute(name)"


@pytest.fixture(scope="module")
def server(server):
    Image.new("RGB", (64, 64)).save(server.base / "input" / "example.png")  # which ComfyUI ships
    return server


@pytest.fixture(scope="module", **STYLES)
def page(server, request):
    with styled(server, request.param) as page:
        page.set_viewport_size(WINDOW)
        yield page


def browse(page) -> None:
    """Open the template browser at this pack; the canvas may lose a command while a dialog closes."""
    pack = page.get_by_text("StereoReel", exact=True).first
    for _ in range(4):
        page.evaluate(COMMAND, "Comfy.BrowseTemplates")
        with suppress(TimeoutError):
            pack.wait_for(timeout=30_000)
            break
    pack.click()
    page.wait_for_function(
        f"count => ({CARDS})().length === count", arg=len(TITLES), timeout=120_000
    )  # and no template of another pack


def choose(page, title: str) -> None:
    browse(page)
    page.get_by_test_id(f"template-workflow-{title}").click()
    page.wait_for_function(
        "title => app.extensionManager.workflow.activeWorkflow?.filename.startsWith(title)", arg=title
    )
    page.wait_for_function(
        "count => app.graph._nodes.length === count", arg=len(shown(_name(title))["nodes"]), timeout=120_000
    )


def _name(title: str) -> str:
    return next(name for name, one in TITLES.items() if one == title)


def test_browser_shows_the_pack_by_name_the_first_workflow_first_and_all_thumbnails(page, server, request):
    browse(page)
    cards = [
        card.removeprefix("template-workflow-")
        for card in page.evaluate(f"() => ({CARDS})().map(card => card.dataset.testid)")
    ]
    assert cards == sorted(TITLES.values())
    page.wait_for_function(
        f"""() => ({CARDS})().every(card => {{
            card.scrollIntoView()
            const image = card.querySelector('img')
            return image?.complete && image.naturalWidth === 512 // the browser's own stand-in is smaller
        }})""",
        timeout=60_000,
    )
    look(page, "templates")
    page.keyboard.press("Escape")
    for title in TITLES.values():
        answer = requests.get(
            f"http://{server.address}/api/workflow_templates/{PACK}/{title}.jpg", timeout=60
        )
        assert answer.ok and answer.headers["Content-Type"] == "image/jpeg"


@pytest.mark.parametrize("name", TITLES)
def test_each_template_opens_without_an_error_and_with_its_nodes_apart(page, name):
    choose(page, TITLES[name])
    page.wait_for_timeout(1500)
    page.evaluate(COMMAND, "Comfy.Canvas.FitView")
    page.wait_for_timeout(700)
    look(page, name)
    boxes = page.evaluate(BOXES)
    assert browser.overlapping(boxes) == []
    assert page.evaluate(WRONG) == "" and page.evaluate(TOASTS) == []
    if name not in FOREIGN:
        assert browser.faults(page) == []
    if name == "default":
        assert page.evaluate("() => app.canvas.ds.scale") >= ZOOM


def test_the_first_workflow_runs_and_plays(page):
    choose(page, TITLES["start"])
    run(page)
    page.wait_for_function(PLAYING, arg="StereoReelEncode", timeout=120_000)
    look(page, "start_after")
    assert page.evaluate(WRONG) == "" and page.evaluate(TOASTS) == []


# Blueprints

PLACE = """title => {
    const stores = document.querySelector('#vue-app').__vue_app__.config.globalProperties.$pinia._s
    const node = stores.get('subgraph').subgraphBlueprints.find(one => one.display_name === title)
    if (!node) return null
    const { nodes, definitions } = stores.get('subgraph').getBlueprint(node.name)
    app.canvas._deserializeItems({ nodes, subgraphs: definitions.subgraphs }, { position: [500, 100] })
    return [node.category, node.description]
}"""
WIRE = """title => {
    const find = test => app.graph._nodes.find(test)
    const make = kind => LiteGraph.createNode(`StereoReel${kind}`)
    const extract = make('Extract'), encode = make('Encode')
    extract.pos = [0, 100]; encode.pos = [1000, 100]
    app.graph.add(extract); app.graph.add(encode)
    const chain = find(node => node.subgraph)
    const set = (node, name, value) => { node.widgets.find(one => one.name === name).value = value }
    set(extract, 'duration', 0.2); set(extract, 'max_side', 160)
    return [!!extract.connect(0, chain, 0), !!chain.connect(0, encode, 0)]
}"""


def test_blueprints_are_listed(server):
    names = [one["name"] for one in server.get("/global_subgraphs").values() if PACK in str(one["info"])]
    assert sorted(names) == sorted(CHAINS)


@pytest.mark.parametrize("title", CHAINS)
def test_a_blueprint_is_placed_shows_its_widgets_and_runs(page, title):
    chain = CHAINS[title]
    page.evaluate("() => app.graph.clear()")
    category, text = page.evaluate(PLACE, title)
    assert "StereoReel" in category and text == chain.text
    assert page.evaluate(WIRE, title) == [True, True]
    widgets = page.evaluate("() => app.graph._nodes.find(node => node.subgraph).widgets.map(one => one.name)")
    # the host adds the playing sample of Extract Video as a widget of its own, as soon as it is loaded
    assert [name for name in widgets if name != "video-preview"] == list(chain.widgets)
    page.evaluate(
        """names => { for (const name of names)
        app.graph._nodes.find(node => node.subgraph).widgets.find(one => one.name === name).value = 1 }""",
        list(chain.widgets),
    )
    queued = page.evaluate("async () => (await app.graphToPrompt()).output")
    inner = [
        node
        for node in queued.values()
        if node["class_type"] not in ("StereoReelExtract", "StereoReelEncode")
    ]
    assert len(inner) == len(chain.order)
    values = {
        name: node["inputs"][name] for name in chain.widgets for node in inner if name in node["inputs"]
    }
    assert values == dict.fromkeys(chain.widgets, 1)
    run(page)
    page.wait_for_function(PLAYING, arg="StereoReelEncode", timeout=120_000)
    look(page, f"blueprint_{len(chain.order)}_{chain.order[0]}")
    assert page.evaluate(TOASTS) == []
