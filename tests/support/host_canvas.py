"""The canvas of a real ComfyUI: a page in either node style, runs to their end, and screenshots."""

import os
from contextlib import contextmanager
from pathlib import Path

from tests.support import browser

STYLES = {"params": [False, True], "ids": ["classic", "nodes_2"]}  # of a fixture; the value is for ``styled``
PLAYING = """type => {
    const node = app.graph._nodes.find(node => node.type === type)
    const video = node?.stereoreelScreen?.element.querySelector('video')
    if (!video?.isConnected || video.readyState < 2 || !video.getBoundingClientRect().height) return false
    window.seen ??= new Map()
    const before = window.seen.get(video)
    if (before === undefined) window.seen.set(video, video.currentTime)
    return before !== undefined && video.currentTime !== before && video.src
}"""
WRONG = "() => /failed to load|error loading|invalid url/i.exec(document.body.innerText)?.[0] ?? ''"
QUEUE = """() => { window.ended = null
    for (const name of ['execution_success', 'execution_error', 'execution_interrupted'])
        app.api.addEventListener(name, event => {
            window.ended ??= [name, event.detail?.exception_message ?? '']
        }, { once: true })
    app.queuePrompt(0) }"""


@contextmanager
def styled(server, nodes_2: bool):
    """Open a page with classic nodes or Nodes 2.0; the pack must not complain until it is closed."""
    server.post("/settings/Comfy.TutorialCompleted", True)  # else the templates open over the page
    server.post("/settings/Comfy.VueNodes.Enabled", nodes_2)
    with browser.canvas(f"http://{server.address}") as page:
        assert page.evaluate("() => Boolean(LiteGraph.vueNodesMode)") == nodes_2
        yield page
        assert page.evaluate("window.complaints") == []


def run(page) -> None:
    """Queue the open workflow and wait for its success."""
    page.evaluate(QUEUE)
    page.wait_for_function("() => window.ended", timeout=240_000)
    assert page.evaluate("() => window.ended") == ["execution_success", ""]


def look(page, name: str) -> None:
    """Save a screenshot in the folder that STEREOREEL_SCREENSHOTS names, if it does."""
    if folder := os.environ.get("STEREOREEL_SCREENSHOTS"):
        style = "nodes_2" if page.evaluate("() => Boolean(LiteGraph.vueNodesMode)") else "classic"
        page.wait_for_timeout(500)
        page.screenshot(path=str(Path(folder) / f"{name}_{style}.png"))
