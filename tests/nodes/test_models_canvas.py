"""A real canvas says which model runs, and fetches a better one after asking, in classic nodes and Nodes 2.0.

Run with ``make test-host COMFYUI=path``. The weights come from a server on loopback. STEREOREEL_SCREENSHOTS
names a folder for pictures of the pages.
"""

import hashlib
import json
import os
import shutil
import threading
from itertools import count
from pathlib import Path

import pytest
import requests
import yaml

pytestmark = [pytest.mark.host, pytest.mark.canvas]
if not os.environ.get("COMFYUI"):
    pytest.skip("no ComfyUI named: make test-host COMFYUI=path", allow_module_level=True)

from benchmarks.support.comfy_server import ROOT, comfy
from tests.support import browser
from tests.support.bundled import graph as graph_of
from tests.support.bundled import shown
from tests.support.host_canvas import STYLES, look, styled
from tests.support.weights_shop import CONTENTS, serving, without_proxies

DEPTH, FRAMES = "StereoReelDepth", "StereoReelInterpolate"
NAME = "video-depth-anything-small"
GUESS = "builtin: a guess from motion and layout."
FIND = (
    "const all = graph => graph._nodes.flatMap(node => [node, ...(node.subgraph ? all(node.subgraph) : [])]);"
)
LINE = f"""type => {{ {FIND}
    const node = all(app.graph).find(node => node.type === type)
    const [line] = node.stereoreelWidgets.lines
    const seen = element => !element.hidden && element.closest('[hidden]') === null && element.textContent
    return {{
        text: seen(line.text), wrong: seen(line.complaint),
        button: seen(line.button), count: seen(line.count),
        high: line.element.getBoundingClientRect().height,
    }}
}}"""
SEEN = """type => {
    const node = app.graph._nodes.find(node => node.type === type), vue = LiteGraph.vueNodesMode
    return node.widgets.filter(widget => !widget.hidden && !widget.options?.hidden &&
        (!vue || !widget.options?.advanced)).map(widget => widget.name)
}"""
SMALL = {
    "StereoReelExtract": {"duration": 0.3},
    "StereoReelVSR": {"factor": 1},
    "StereoReelInterpolate": {"multiplier": 1},
}
SIDES = count(100, 2)  # pixels: a size of its own for each run, because ComfyUI runs nothing again


@pytest.fixture(scope="module")
def shop():
    with serving() as shop:
        yield shop


@pytest.fixture(scope="module")
def server(shop, tmp_path_factory):
    """ComfyUI with a copy of the pack, and in it a catalogue that names the loopback server."""
    pack = tmp_path_factory.mktemp("pack") / "stereo-reel"
    left_out = shutil.ignore_patterns(".venv", ".git", "output", "tests", "benchmarks", "__pycache__", "docs")
    shutil.copytree(ROOT, pack, ignore=left_out)
    facts = {"bytes": len(CONTENTS), "sha256": hashlib.sha256(CONTENTS).hexdigest()}
    _rewrite(pack, "depth", NAME, {"url": f"{shop.address}/net.pth", **facts})
    _rewrite(pack, "interpolate", "rife-4.25", {"url": "http://127.0.0.1:1/rife.safetensors"})
    with pytest.MonkeyPatch.context() as patch:
        without_proxies(patch)
        with comfy(Path(os.environ["COMFYUI"]).resolve(), tmp_path_factory.mktemp("comfy"), pack=pack) as run:
            yield run


def _rewrite(pack: Path, kind: str, name: str, changes: dict) -> None:
    file = pack / "models_config" / f"{kind}.yaml"
    catalogue = yaml.safe_load(file.read_text(encoding="utf-8"))
    catalogue[name] |= changes
    file.write_text(yaml.safe_dump(catalogue, sort_keys=False), encoding="utf-8")


@pytest.fixture(**STYLES)
def page(server, shop, request):
    """The default template in one of both node styles, on a machine without weights."""
    shutil.rmtree(server.base / "models" / "depthanything", ignore_errors=True)
    shutil.rmtree(server.base / "models" / "depth", ignore_errors=True)
    shop.asked.clear()
    shop.pause = None
    with styled(server, request.param) as page:
        browser.prompt_of(page, shown("default"), "default")
        yield page
    if shop.pause:  # a test failed before it let the download go on
        shop.pause[1].set()


def wait(page, kind: str, what: str, value: str) -> dict:
    """Wait until a part of a node's line begins with a text; return the line."""
    page.wait_for_function(
        f"([type, what, value]) => String(({LINE})(type)[what]).startsWith(value)",
        arg=[kind, what, value],
        timeout=30_000,
    )
    return page.evaluate(LINE, kind)


def press(page, kind: str) -> None:
    """Press the node's button for fetching."""
    page.evaluate(
        "type => app.graph._nodes.find(node => node.type === type).stereoreelWidgets.lines[0].button.click()",
        kind,
    )


def answer(page, agree: bool) -> str:
    """Answer the question that the page asks; return its text."""
    dialog = page.get_by_role("dialog").last
    dialog.wait_for(timeout=10_000)
    said = dialog.inner_text()
    dialog.get_by_role("button", name="Confirm" if agree else "Cancel").click()
    dialog.wait_for(state="detached", timeout=10_000)
    return said


def test_button_asks_and_fetches_and_the_line_changes(page, shop, server):
    shown = wait(page, DEPTH, "text", f"Runs {GUESS}")
    assert shown["button"] == "Fetch Video Depth Anything Small (Apache-2.0, 3.1 MB)" and shown["high"] > 30
    assert {"smoothing", "near_ground"} <= set(page.evaluate(SEEN, DEPTH))
    look(page, "offer")

    press(page, DEPTH)
    said = answer(page, agree=False)
    for fact in ("Video Depth Anything Small", "Apache-2.0", "3.1 MB", shop.address.partition("//")[2]):
        assert fact in said
    assert shop.asked == []

    shop.pause = (1_500_000, threading.Event())
    press(page, DEPTH)
    answer(page, agree=True)
    wait(page, DEPTH, "count", "1.")
    assert page.evaluate(LINE, DEPTH)["button"] is False
    look(page, "progress")
    shop.pause[1].set()
    shown = wait(page, DEPTH, "text", "Runs Video Depth Anything Small (Apache-2.0).")
    assert not shown["button"] and not shown["wrong"]
    [file] = (server.base / "models").rglob("video_depth_anything_vits.pth")
    assert file.read_bytes() == CONTENTS
    names = set(page.evaluate(SEEN, DEPTH))
    assert "resolution" in names and not {"smoothing", "near_ground"} & names
    look(page, "fetched")
    shop.pause = None


def test_cancel_keeps_what_arrived(page, shop, server):
    wait(page, DEPTH, "button", "Fetch")
    shop.pause = (1_500_000, threading.Event())
    press(page, DEPTH)
    answer(page, agree=True)
    wait(page, DEPTH, "count", "1.")
    page.evaluate(
        "type => app.graph._nodes.find(node => node.type === type).stereoreelWidgets.lines[0].stop.click()",
        DEPTH,
    )
    page.wait_for_timeout(300)
    shop.pause[1].set()
    shop.pause = None
    assert wait(page, DEPTH, "button", "Fetch")["wrong"] is False
    [part] = (server.base / "models").rglob("video_depth_anything_vits.pth*")
    assert part.suffix == ".part"


def test_failure_is_one_sentence_on_the_node(page):
    wait(page, FRAMES, "button", "Fetch RIFE 4.25 (MIT, 23 MB)")
    press(page, FRAMES)
    answer(page, agree=True)
    said = wait(page, FRAMES, "wrong", "rife_v4.25.safetensors could not be downloaded from 127.0.0.1:1")
    assert said["button"] and "\n" not in said["wrong"] and said["wrong"].endswith(".")
    look(page, "failed")


def test_model_that_is_not_here_is_offered_with_its_bounds(page):
    choose(page, DEPTH, model="depth-anything-v2-large")
    shown = wait(page, DEPTH, "text", "Depth Anything V2 Large is not on this machine.")
    assert shown["button"].startswith("Fetch Depth Anything V2 Large (CC-BY-NC-4.0, ")
    press(page, DEPTH)
    assert "not for commercial use" in answer(page, agree=False)


def choose(page, kind: str, **values):
    page.evaluate(
        """([type, values]) => { const node = app.graph._nodes.find(node => node.type === type)
            for (const [name, value] of Object.entries(values)) {
                const widget = node.widgets.find(one => one.name === name)
                widget.value = value
                widget.callback?.(value)
            } }""",
        [kind, values],
    )


def run(page):
    """Queue what is open, shortened, and wait for the end."""
    for kind, values in SMALL.items():
        choose(page, kind, **values)
    choose(page, "StereoReelExtract", max_side=next(SIDES))
    page.evaluate("""() => { window.ended = null
        for (const name of ['execution_success', 'execution_error', 'execution_interrupted'])
            app.api.addEventListener(name, event => {
                window.ended ??= [name, event.detail?.exception_message ?? '']
            }, { once: true })
        app.queuePrompt(0) }""")
    page.wait_for_function("() => window.ended", timeout=120_000)
    assert page.evaluate("() => window.ended") == ["execution_success", ""]


def test_line_says_after_a_run_what_ran(page):
    wait(page, DEPTH, "text", f"Runs {GUESS}")
    run(page)
    for kind, said in ((DEPTH, GUESS), (FRAMES, "builtin: follows optical flow.")):
        wait(page, kind, "text", f"Ran {said}")
    choose(page, DEPTH, model="builtin")
    wait(page, DEPTH, "text", f"Runs {GUESS}")


def test_line_is_inside_a_subgraph_too(page):
    page.evaluate(
        "type => { const node = app.graph._nodes.find(node => node.type === type);"
        " app.graph.convertToSubgraph(new Set([node])) }",
        DEPTH,
    )
    wait(page, DEPTH, "text", f"Runs {GUESS}")
    run(page)
    wait(page, DEPTH, "text", f"Ran {GUESS}")


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({"kind": "depth", "name": "../../etc/passwd"}, 400, "Only weights of models in the catalogue"),
        ({"kind": "depth", "name": "http://127.0.0.1/net.pth"}, 400, "Only weights of models in the cat"),
        ({"kind": "depth", "name": "builtin"}, 400, "Only weights of models in the catalogue"),
        ({"kind": "nothing", "name": NAME}, 400, "Only weights of models in the catalogue"),
        ({"kind": "depth", "name": "distill-any-depth-small"}, 400, "No download URL is known"),
        ({"kind": "depth"}, 400, "Send the model's kind and name"),
        ([NAME], 400, "Send the model's kind and name"),
    ],
)
def test_server_fetches_only_what_the_catalogue_holds(server, shop, asked, status, said):
    shop.asked.clear()
    answer = server.post("/stereoreel/fetch", asked)
    assert answer.status_code == status and said in answer.json()["error"] and shop.asked == []


def test_server_takes_no_request_that_a_foreign_page_may_send(server):
    plain = requests.post(
        f"http://{server.address}/stereoreel/fetch",
        data=json.dumps({"kind": "depth", "name": NAME}),
        headers={"Content-Type": "text/plain"},
        timeout=60,
    )
    assert plain.status_code == 415


def test_server_fetches_nothing_while_a_graph_runs(server, shop):
    shop.asked.clear()
    graph = graph_of("default")
    refused = []

    def ask(message):
        if isinstance(message, dict) and message["type"] == "executing" and not refused:
            refused.append(server.post("/stereoreel/fetch", {"kind": "depth", "name": NAME}))

    for node in graph.values():
        node["inputs"].update(SMALL.get(node["class_type"], {}))
    graph["1"]["inputs"]["max_side"] = next(SIDES)
    server.run(graph, on_message=ask)
    assert refused[0].status_code == 409 and refused[0].json()["error"].startswith("A graph is running.")
    assert shop.asked == []
