"""The preview on ComfyUI's real canvas: its modes, what the buttons queue, and the headset's views."""

import io
import json
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
import torch
from PIL import Image

from stereoreel.media.layouts.anaglyph import dubois
from tests.support import browser, bundled

WIDTH, HEIGHT, BAR = 96, 64, slice(40, 48)
FLAT = {"left": (200, 60, 30), "right": (40, 120, 220), "depth": (252, 255, 164)}
NOISE = {
    name: np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    for seed, name in enumerate(FLAT)
}
PAINTER = "/extensions/stereo-reel/preview/painter.js"
HEADSET = "/extensions/stereo-reel/preview/headset.js"

pytestmark = pytest.mark.canvas


def picture(name: str) -> np.ndarray:
    """Return an image file: ``flat_left``, ``bar_right``, ``noise_depth``, ``dark_left``."""
    kind, eye = name.split("_")
    if kind == "noise":
        return NOISE[eye]
    image = np.full((HEIGHT, WIDTH, 3), FLAT[eye], np.uint8)
    if kind == "bar":
        image[:, BAR] = 255
    return image // 2 if kind == "dark" else image


def sample(kind: str, frame: int = 0, eyes=("left", "right", "depth")) -> dict:
    return {
        "frame": frame,
        "frames": 200,
        "seconds": frame / 25,
        **{eye: {"filename": f"{kind}_{eye}", "type": "temp"} for eye in eyes},
    }


@pytest.fixture(scope="module")
def page():
    if reason := browser.missing():
        pytest.skip(reason)
    with browser.frontend_server() as address, browser.canvas(address) as page:
        page.route("**/view?*", _view)
        page.queued, page.refuses = [], None
        page.route("**/api/prompt", lambda route: _queue(route, page))
        yield page
        assert page.evaluate("window.complaints") == []


def _view(route):
    name = parse_qs(urlparse(route.request.url).query)["filename"][0]
    if name.count("_") != 1:
        return route.fulfill(status=404)
    file = io.BytesIO()
    Image.fromarray(picture(name)).save(file, "PNG")
    return route.fulfill(body=file.getvalue(), content_type="image/png")


def _queue(route, page):
    if route.request.method != "POST":
        return route.fulfill(json={"exec_info": {"queue_remaining": 0}})
    page.queued.append(json.loads(route.request.post_data))
    return route.fulfill(
        json=page.refuses or {"prompt_id": "1", "number": 1, "node_errors": {}},
        status=400 if page.refuses else 200,
    )


@pytest.fixture
def player(page):
    """Return ``make(kinds)``, which adds a Preview Stereo node that shows samples.

    ``make`` returns a function that runs a script on the node.
    """

    def make(*samples):
        page.evaluate(
            """() => {
                app.graph.clear()
                app.graph.add(window.seen = LiteGraph.createNode('StereoReelPreview'))
            }"""
        )

        def run(script: str, argument=None):
            return page.evaluate(
                f"async ([given]) => {{ const player = seen.stereoreel, node = seen; {script} }}", [argument]
            )

        run("node.onExecuted({ stereoreel: given }); player.choose('left'); player.stop()", list(samples))
        page.wait_for_function(
            "count => seen.stereoreel.loaded.filter(Boolean).length == count", arg=len(samples)
        )
        return run

    return make


PIXELS = (
    "const { width, height } = player.canvas;"
    "return [width, [...player.context.getImageData(0, 0, width, height).data]]"
)


def shown(run, script: str = "") -> np.ndarray:
    width, data = run(f"{script}; {PIXELS}")
    return np.array(data, np.uint8).reshape(-1, width, 4)[..., :3]


def near(image: np.ndarray, color, levels: int = 1) -> bool:
    return bool(np.abs(image.astype(int) - np.array(color)).max() <= levels)


def test_every_mode_draws_its_pixels(player):
    run = player(sample("flat"))
    assert near(shown(run, "player.choose('left')"), FLAT["left"]) and near(
        shown(run, "player.choose('right')"), FLAT["right"]
    )
    pair = shown(run, "player.choose('pair')")
    assert pair.shape == (HEIGHT, 2 * WIDTH, 3)
    assert near(pair[:, :WIDTH], FLAT["left"]) and near(pair[:, WIDTH:], FLAT["right"])
    one, other = (shown(run, "player.choose('wiggle'); player.stop(); player.wiggle()") for _ in range(2))
    assert sorted(map(tuple, (one[5, 5].tolist(), other[5, 5].tolist()))) == sorted(
        (FLAT["right"], FLAT["left"])
    )


def test_depth_overlay_has_the_chosen_opacity(player):
    run = player(sample("flat"))
    for share in (0, 0.5, 1):
        expected = np.array(FLAT["left"]) * (1 - share) + np.array(FLAT["depth"]) * share
        assert near(shown(run, f"player.depth.input.value = {share}; player.draw()"), expected)


def test_shift_moves_the_views(player):
    """A positive shift moves the left view right and the right view left, which moves the scene nearer."""
    run = player(sample("bar"))
    for eye, step in (("left", 1), ("right", -1)):
        moved = shown(run, f"player.choose('{eye}'); player.shift.input.value = 5; player.draw()")[3]
        white = np.flatnonzero(moved.min(-1) > 250)
        assert abs(white.mean() - (43.5 + step * 0.025 * WIDTH)) < 0.6


@pytest.mark.parametrize("way", ["webgl", "plain"])
def test_anaglyph_equals_the_encoders(way, player):
    run = player(sample("noise"))
    if way == "webgl":
        made = shown(run, "player.choose('anaglyph')")
    else:
        made = shown(
            run,
            f"const {{ plainly, ANAGLYPH }} = await import('{PAINTER}');"
            "plainly(player.context, player.loaded[0], { eye: ANAGLYPH })",
        )
    left, right = (torch.from_numpy(NOISE[eye])[None] / 255 for eye in ("left", "right"))
    wanted = (dubois(left, right)[0] * 255).round().numpy()
    assert near(made, wanted, levels=3)


def test_images_are_equal_without_webgl(player):
    run = player(sample("bar"))
    # by two pixels
    views = [
        {"eye": eye, "shift": 0.125 / 3, "overlay": overlay} for eye in (0, 1, 2) for overlay in (0, 0.5)
    ]
    for view in views:
        with_it = shown(
            run,
            f"const {{ paint }} = await import('{PAINTER}');"
            f"paint(player.context, player.loaded[0], {json.dumps(view)})",
        )
        without = shown(
            run,
            f"const {{ plainly }} = await import('{PAINTER}');"
            f"plainly(player.context, player.loaded[0], {json.dumps(view)})",
        )
        assert near(with_it, without.astype(int), levels=3)


def test_slider_steps_through_the_samples(player):
    run = player(sample("flat", 12), sample("dark", 37), sample("flat", 62))
    walk = (
        "player.choose('left'); player.scrub.value = given;"
        "player.scrub.dispatchEvent(new Event('input')); return player.where.textContent"
    )
    assert run(walk, 1) == "frame 37 of 200 · 1.48 s"
    assert near(shown(run), np.array(FLAT["left"]) // 2)
    assert run(walk, 2) == "frame 62 of 200 · 2.48 s"
    assert near(shown(run), FLAT["left"])


def test_single_view_offers_no_right_view(player):
    run = player(sample("flat", eyes=("left",)))
    assert run("return [player.view, player.buttons.wiggle.disabled, player.buttons.right.disabled]") == [
        "left",
        True,
        True,
    ]
    assert run("return player.depth.hidden")
    assert near(shown(run), FLAT["left"])


def press(page, kind: str) -> dict:
    """Press a node's Preview button; return what is queued."""
    page.queued.clear()
    page.evaluate(
        """kind => { window.seen = app.graph._nodes.find(node => node.type === kind);
                     seen.widgets.find(widget => widget.name === 'Preview').callback() }""",
        kind,
    )
    page.wait_for_function(
        "seen.stereoreel.note.textContent !== 'Queue the workflow to see some of its frames.'"
    )
    return page.queued[0] if page.queued else None


def load(page, name: str) -> dict:
    """Open a bundled workflow on the canvas; return the contents of its file."""
    held = bundled.shown(name)
    page.evaluate(
        "async ([workflow, name]) => { await app.loadGraphData(workflow, true, true, name) }", [held, name]
    )
    return held


SEND = "([name, detail]) => { app.api.dispatchEvent(new CustomEvent(name, { detail })) }"


def plain(prompt: dict) -> dict:
    return {key: (node["class_type"], node["inputs"]) for key, node in prompt.items()}


@pytest.mark.parametrize(
    ("kind", "number", "inputs"),
    [
        ("StereoReelStereo", "5", {"clip": ["5", 0], "depth": ["4", 0], "packed": "full SBS"}),
        ("StereoReelEncode", "6", {"clip": ["5", 0], "packed": "mono"}),
    ],
)
def test_button_queues_the_upstream_nodes_and_a_preview(kind, number, inputs, page):
    load(page, "default")
    whole = page.evaluate("async () => (await app.graphToPrompt()).output")
    queued = press(page, kind)
    expected = {key: node for key, node in whole.items() if key != "6"}
    expected[f"{number}.preview"] = {"class_type": "StereoReelPreview", "inputs": inputs}
    assert plain(queued["prompt"]) == plain(expected) and queued["front"] is True


def test_result_is_shown_under_its_node(page):
    load(page, "default")
    press(page, "StereoReelStereo")
    page.evaluate(SEND, ["progress", {"node": "5.preview", "value": 3, "max": 8}])
    assert page.evaluate("seen.stereoreel.note.textContent") == "3 of 8 frames"
    page.evaluate(
        SEND,
        [
            "executed",
            {"node": "5.preview", "output": {"stereoreel": [sample("flat", 12), sample("dark", 37)]}},
        ],
    )
    page.wait_for_function("seen.stereoreel.loaded.filter(Boolean).length == 2")
    assert page.evaluate("[seen.stereoreel.note.hidden, seen.size[1] >= seen.computeSize()[1]]") == [
        True,
        True,
    ]
    load(page, "clean_source")
    load(page, "default")
    page.wait_for_function(
        "app.graph._nodes.find(node => node.type === 'StereoReelStereo')"
        ".stereoreel?.loaded.filter(Boolean).length == 2"
    )


def test_failed_run_is_shown_in_the_preview(page):
    load(page, "default")
    press(page, "StereoReelEncode")
    for prompt, text in (("1", "Estimate Depth: no weights."), ("2", "another's")):
        page.evaluate(SEND, ["execution_error", {"prompt_id": prompt, "exception_message": text}])
    assert page.evaluate("seen.stereoreel.note.textContent") == "Estimate Depth: no weights."


def test_message_for_nodes_without_a_preview(page):
    load(page, "default")
    page.evaluate("app.graph._nodes.find(node => node.type === 'StereoReelStereo').disconnectInput(1)")
    assert press(page, "StereoReelStereo") is None
    assert page.evaluate("seen.stereoreel.note.textContent") == "Connect this node's inputs first."
    page.refuses = {
        "error": {"message": "no"},
        "node_errors": {"1": {"errors": [{"message": "Value not in list", "details": "video: gone.mp4"}]}},
    }
    load(page, "default")
    press(page, "StereoReelEncode")
    page.wait_for_function("seen.stereoreel.note.textContent === 'Value not in list: video: gone.mp4'")
    page.refuses = None


@pytest.mark.parametrize("name", bundled.API)
def test_preview_does_not_change_the_saved_workflow(name, page):
    held, before = load(page, name), page.evaluate("async () => (await app.graphToPrompt()).output")
    kinds = ("StereoReelStereo", "StereoReelEncode", "StereoReelPreview")
    page.evaluate(
        """([kinds, samples]) => {
        for (const node of app.graph._nodes.filter(node => kinds.includes(node.type))) {
            if (node.type === 'StereoReelPreview') node.onExecuted({ stereoreel: samples })
            else node.widgets.find(widget => widget.name === 'Preview').callback()
        }
    }""",
        [kinds, [sample("flat")]],
    )
    page.wait_for_function(
        "kinds => app.graph._nodes.every(node => !kinds.includes(node.type) || node.stereoreel)",
        arg=list(kinds),
    )
    saved = {node["id"]: node for node in page.evaluate("app.graph.serialize()")["nodes"]}
    for node in held["nodes"]:
        if node["type"] in kinds:
            assert saved[node["id"]]["widgets_values"] == node["widgets_values"]
    assert page.evaluate("async () => (await app.graphToPrompt()).output") == before


def test_headset_shows_each_view_on_a_screen(player):
    """Two views are read back from WebGL, without a headset."""
    run = player(sample("flat"))
    pixels = run(f"""
        const {{ Painter }} = await import('{PAINTER}'), {{ drawEyes }} = await import('{HEADSET}');
        const canvas = Object.assign(document.createElement('canvas'), {{ width: 200, height: 100 }});
        const gl = canvas.getContext('webgl', {{ preserveDrawingBuffer: true }});
        // 90 degrees, each eye 32 mm aside: the screen spans 2.3 of the 4 metres that are seen 2 metres away
        const projectionMatrix = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, -1, -1, 0, 0, -0.2, 0];
        const aside = x => ({{ inverse: {{ matrix: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, -x, 0, 0, 1] }} }});
        const views = [['left', -0.032], ['right', 0.032]].map(
            ([eye, x]) => ({{ eye, projectionMatrix, transform: aside(x) }}));
        const viewport = view => ({{ x: view.eye === 'right' ? 100 : 0, y: 0, width: 100, height: 100 }});
        drawEyes(new Painter(gl), views, viewport, player.loaded[0], {{ shift: 0, overlay: 0 }});
        const read = new Uint8Array(200 * 100 * 4);
        gl.readPixels(0, 0, 200, 100, gl.RGBA, gl.UNSIGNED_BYTE, read);
        return [...read]""")
    seen = np.array(pixels, np.uint8).reshape(100, 200, 4)[..., :3]
    for eye, half, parallax in (("left", seen[:, :100], 0.8), ("right", seen[:, 100:], -0.8)):
        assert near(half[50, 50], FLAT[eye]) and near(half[2], 0) and near(half[:, 2], 0)
        row = np.flatnonzero(half[50].max(-1) > 110)  # the border is smoothed
        assert len(row) == pytest.approx(100 * 2.3 / 4, abs=1) and row.mean() == pytest.approx(
            49.5 + parallax, abs=0.6
        )
        assert np.count_nonzero(half[:, 50].max(-1) > 110) == pytest.approx(
            100 * 2.3 / 4 * HEIGHT / WIDTH, abs=1
        )


FAKE = """
const listeners = {}, loop = [];
window.session = { ended: false, updateRenderState() {}, requestAnimationFrame: draw => loop.push(draw),
    requestReferenceSpace: async () => ({}),
    addEventListener: (name, call) => (listeners[name] ??= []).push(call),
    end: async () => { session.ended = true; for (const call of listeners.end ?? []) call() },
    say: name => { for (const call of listeners[name] ?? []) call() },
    turn: () => loop.shift()(0, { getViewerPose: () => ({ views: [] }) }) };
window.XRWebGLLayer = class { framebuffer = null; getViewport() { return {} } };
WebGLRenderingContext.prototype.makeXRCompatible = async () => {};
Object.defineProperty(navigator, 'xr', {
    configurable: true,
    value: { isSessionSupported: async () => true, requestSession: async () => session },
});
"""


def test_headset_button_and_trigger(page, player):
    """A stand-in for the browser's device: the session begins, draws, listens and ends."""
    page.evaluate(f"() => {{ {FAKE} }}")
    run = player(sample("flat", 12), sample("dark", 37))
    page.wait_for_function("!seen.stereoreel.vr.hidden")
    run("player.vr.click()")
    page.wait_for_function("(() => { try { session.turn(); return true } catch { return false } })()")
    assert (
        run("session.turn(); session.say('select'); return player.where.textContent")
        == "frame 37 of 200 · 1.48 s"
    )
    assert run("session.say('squeeze'); return session.ended")
    page.evaluate("delete navigator.xr")
