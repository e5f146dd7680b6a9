"""A real canvas for tests: ComfyUI's frontend in headless Chromium, with a test server or ComfyUI."""

import importlib.util
import json
import shutil
import threading
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import combinations
from pathlib import Path

import psutil
import pytest

from stereoreel.models.headless import Headless
from stereoreel.models.overview import overview
from tests.support.object_info import object_info

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
]
STARTING, ATTEMPTS = 120, 3  # seconds until a canvas is ready, and how many browsers may try
GRACE = 30  # seconds between ending a browser and ending its driver
PATIENCE = 600  # seconds for all that a module does with one browser
# Every message of the page's console comes to this process: a frontend that repeats one endlessly would keep
# both from their work.
# What of it concerns the pack is kept in the page.
QUIET = """
window.complaints = []
const complain = text =>
    /stereo.?reel/i.test(text) && window.complaints.length < 20 && window.complaints.push(text)
for (const level of ['debug', 'log', 'info', 'warn', 'error'])
    console[level] = (...words) =>
        level in { warn: 1, error: 1 } && complain(words.map(word => word?.stack ?? String(word)).join(' '))
window.addEventListener('error', event => complain(`${event.message} ${event.filename}`))
window.addEventListener('unhandledrejection', event => complain(String(event.reason?.stack ?? event.reason)))
"""
ROOT = Path(__file__).resolve().parents[2]
WEB, SERVED = ROOT / "web", "/extensions/stereo-reel/"
NOWHERE = ROOT / "no models"  # a folder that does not exist


def missing() -> str:
    """Return why no canvas is available, or an empty string."""
    if not chromium():
        return "Chromium is not installed"
    for module in ("playwright", "comfyui_frontend_package"):
        if importlib.util.find_spec(module) is None:
            return f"{module} is not installed"
    return ""


def chromium() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class _Frontend(SimpleHTTPRequestHandler):
    """The frontend's files, the pack's own, the endpoints of its start, and models without weights."""

    answers = {
        "/object_info": object_info,
        "/settings": lambda: {
            "Comfy.TutorialCompleted": True,
            "Comfy.Workflow.ShowMissingModelsWarning": False,
        },
        "/users": lambda: {"storage": "server", "migrated": True},
        "/stereoreel/models": lambda: {"kinds": overview(Headless("cpu", models=NOWHERE)), "fetch": None},
        "/extensions": lambda: [SERVED + file.relative_to(WEB).as_posix() for file in WEB.rglob("*.js")],
    }

    def translate_path(self, path):
        name = path.split("?")[0].removeprefix("/api")
        return (
            str(WEB / name.removeprefix(SERVED)) if name.startswith(SERVED) else super().translate_path(path)
        )

    def do_GET(self):
        path = self.path.split("?")[0].removeprefix("/api")
        if path not in self.answers:
            return super().do_GET()
        body = json.dumps(self.answers[path]()).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *ignored):
        pass


@contextmanager
def frontend_server():
    """Start a test server with the pack's declarations; yield its address."""
    import comfyui_frontend_package

    static = Path(comfyui_frontend_package.__file__).parent / "static"
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Frontend, directory=str(static)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def killed_after(seconds: float):
    """End a browser that hangs, because a page's scripts have no time limit, so that the test fails.

    If that does not help, its driver is ended too.
    """
    done = threading.Event()

    def watch():
        for wait, names in ((seconds, ("chrom",)), (GRACE, ("chrom", "node"))):
            if done.wait(wait):
                return
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    if process.name().startswith(names):
                        process.kill()

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        done.set()


@contextmanager
def canvas(address: str):
    """Open a page with ``window.app`` ready and the pack's nodes known.

    A browser that hangs while it starts is replaced.
    """
    if reason := missing():
        pytest.skip(reason)
    from playwright.sync_api import Error

    for left in reversed(range(ATTEMPTS)):
        with ExitStack() as opened:
            try:
                with killed_after(STARTING):
                    page = _open(address, opened)
            except Error:
                if not left:
                    raise
                continue
            with killed_after(PATIENCE):
                yield page
        return


def _open(address: str, opened: ExitStack):
    from playwright.sync_api import Error, sync_playwright

    playwright = opened.enter_context(sync_playwright())
    browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)

    def close():
        with suppress(Error):  # one that was ended cannot be closed
            browser.close()

    opened.callback(close)
    page = browser.new_page(viewport={"width": 2400, "height": 1200})
    page.add_init_script(QUIET)
    page.goto(address)
    ready(page)
    return page


def ready(page):
    """Wait until a page knows the pack's nodes and has opened a workflow."""
    page.wait_for_function("!!window.LiteGraph?.registered_node_types['StereoReelEncode']", timeout=90_000)
    # What it opens automatically, with its missing files, would disturb what a test opens.
    page.wait_for_function("!!window.app?.extensionManager?.workflow?.activeWorkflow", timeout=90_000)
    page.wait_for_load_state("networkidle", timeout=90_000)


def prompt_of(page, workflow: dict, name: str) -> dict:
    """Return what the canvas would queue for a workflow: ``{id: {class_type, inputs}}``."""
    page.evaluate(
        "async ([workflow, name]) => { await app.loadGraphData(workflow, true, true, name) }",
        [workflow, name],
    )
    output = page.evaluate("async () => (await app.graphToPrompt()).output")
    return {
        node_id: {"class_type": node["class_type"], "inputs": node["inputs"]}
        for node_id, node in output.items()
    }


def faults(page) -> list[str]:
    """Return unknown or red nodes, and values that a dropdown does not offer."""
    return page.evaluate("""() => app.graph._nodes.flatMap(node => [
        ...(node.has_errors || !LiteGraph.registered_node_types[node.type] ? [`${node.type} is marked`] : []),
        ...(node.widgets ?? []).filter(widget =>
            Array.isArray(widget.options?.values) && !widget.options.values.includes(widget.value))
            .map(widget => `${node.type}.${widget.name} = ${widget.value}`)
    ])""")


def overlapping(boxes: list[dict]) -> list[tuple[str, str]]:
    """Return the titles of boxes that overlap; a box is ``{title, left, top, right, bottom}``."""
    return [(one["title"], other["title"]) for one, other in combinations(boxes, 2) if _meet(one, other)]


def _meet(one: dict, other: dict) -> bool:
    return all(
        max(one[start], other[start]) < min(one[stop], other[stop])
        for start, stop in (("left", "right"), ("top", "bottom"))
    )
