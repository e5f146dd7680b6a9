"""A real canvas shows a node's last result again after the page was reloaded, as long as the file exists.

Run with ``make test-host COMFYUI=path``.
"""

import os

import pytest

pytestmark = [pytest.mark.host, pytest.mark.canvas]
if not os.environ.get("COMFYUI"):
    pytest.skip("no ComfyUI named: make test-host COMFYUI=path", allow_module_level=True)

from tests.support import browser, bundled, host_canvas
from tests.support.host_canvas import STYLES, styled

READY = "!!window.app?.extensionManager?.workflow?.activeWorkflow"
ENCODE = "app.graph?._nodes?.find(node => node.type === 'StereoReelEncode')"
SCREEN = f"{ENCODE}?.stereoreelScreen"
PLAYING = f"""() => {{
    const video = {SCREEN}?.element.querySelector('video')
    return video?.isConnected && video.readyState >= 2 && video.src
}}"""
TEXT = f"() => {SCREEN}?.line.textContent ?? ''"
PATIENCE = 120_000  # milliseconds
KEPT = "() => Object.keys(localStorage).some(key => localStorage[key].includes('StereoReelEncode'))"


@pytest.fixture(**STYLES)
def page(server, request):
    """The order extract, encode, on a short sample."""
    with styled(server, request.param) as page:
        browser.prompt_of(page, bundled.shown("default"), "default")
        page.evaluate("""() => {
            const [extract, encode] = ['StereoReelExtract', 'StereoReelEncode'].map(type =>
                app.graph._nodes.find(node => node.type === type))
            for (const node of [...app.graph._nodes])
                if (![extract, encode].includes(node)) app.graph.remove(node)
            extract.connect(0, encode, 0)
            extract.widgets.find(one => one.name === 'duration').value = 0.2
        }""")
        yield page


def run(page, **options):
    page.evaluate(
        f"""options => {{ const node = {ENCODE}
            for (const [name, value] of Object.entries(options))
                node.widgets.find(one => one.name === name).value = value }}""",
        options,
    )
    host_canvas.run(page)
    page.wait_for_function(PLAYING, timeout=PATIENCE)
    return page.evaluate(PLAYING)


def reload(page):
    page.wait_for_function(KEPT, timeout=PATIENCE)  # the canvas keeps the open workflow after a moment
    page.wait_for_timeout(1500)
    page.reload()
    wait_for_the_graph(page)


def wait_for_the_graph(page):
    page.wait_for_function(READY, timeout=PATIENCE)
    page.wait_for_function(f"() => {ENCODE}", timeout=PATIENCE)


def named(address: str) -> str:
    return address.partition("filename=")[2].partition("&")[0]


@pytest.mark.parametrize("options", [{}, {"save_to_temp": True}, {"format": "ffv1"}], ids=str)
def test_the_last_result_plays_after_a_reload(page, options):
    before, text = run(page, **options), page.evaluate(TEXT)
    assert text.startswith("done: ") and ("type=temp" in before) == bool(options)
    reload(page)
    page.wait_for_function(PLAYING, timeout=PATIENCE)
    assert named(page.evaluate(PLAYING)) == named(before) and page.evaluate(TEXT) == text


def test_a_result_whose_file_is_gone_or_another_is_not_shown(page, server):
    # a value per style, else the second run is taken from ComfyUI's cache and names the deleted file
    name = named(run(page, crf=29 if page.evaluate("() => Boolean(LiteGraph.vueNodesMode)") else 30))
    (file,) = server.base.rglob(name)
    for change in (lambda: file.write_bytes(b"another"), file.unlink):
        change()
        with page.expect_response(lambda answer: answer.request.method == "HEAD" and "/view" in answer.url):
            reload(page)
        page.wait_for_timeout(1500)
        assert page.evaluate(PLAYING) in (None, False)
        assert page.evaluate(TEXT) == "The video appears here after the run."


def test_a_run_that_ends_while_the_page_is_closed_is_shown_later(page, server):
    first = run(page, crf=31)
    prompt = page.evaluate("async () => ({ ...await app.graphToPrompt(), client: app.api.clientId })")
    page.wait_for_timeout(1500)
    address = page.url
    page.goto("about:blank")
    (node,) = (key for key, one in prompt["output"].items() if one["class_type"] == "StereoReelEncode")
    prompt["output"][node]["inputs"]["crf"] = 32
    body = {"prompt": prompt["output"], "extra_data": {"extra_pnginfo": {"workflow": prompt["workflow"]}}}
    queued = server.post("/prompt", {**body, "client_id": prompt["client"]}).json()["prompt_id"]
    assert server.history(queued, patience=PATIENCE / 1000)["status"]["status_str"] == "success"
    page.goto(address)
    wait_for_the_graph(page)
    later = f"first => {{ const src = ({PLAYING})(); return src && !src.includes(first) }}"
    page.wait_for_function(later, arg=f"filename={named(first)}&", timeout=PATIENCE)
