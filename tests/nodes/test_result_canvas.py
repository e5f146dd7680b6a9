"""The real canvas plays the sample before a run and the finished video after it, in both node styles.

Run with ``make test-host COMFYUI=path``. STEREOREEL_SCREENSHOTS names a folder for pictures of the pages.
"""

import os

import pytest

pytestmark = [pytest.mark.host, pytest.mark.canvas]
if not os.environ.get("COMFYUI"):
    pytest.skip("no ComfyUI named: make test-host COMFYUI=path", allow_module_level=True)

from tests.support import browser
from tests.support.bundled import shown
from tests.support.host_canvas import PLAYING, STYLES, WRONG, look, run, styled

TEXT = "type => app.graph._nodes.find(node => node.type === type).stereoreelScreen.line.textContent"
SOURCE = "100 frames · 640x272 · 25 fps · 4 s · stereo sound"
SMALL = {
    "StereoReelExtract": {"duration": 0.3, "max_side": 160},
    "StereoReelVSR": {"factor": 1},
    "StereoReelInterpolate": {"multiplier": 1},
}


@pytest.fixture(**STYLES)
def page(server, request):
    """Open the default template, set to few frames, in one of both node styles."""
    with styled(server, request.param) as page:
        browser.prompt_of(page, shown("default"), "default")
        yield page


def shrink(page, **more):
    """Set widgets to values that make the run short."""
    wanted = {kind: dict(values) for kind, values in SMALL.items()} | {"StereoReelEncode": more}
    page.evaluate(
        """wanted => { for (const node of app.graph._nodes)
          for (const [name, value] of Object.entries(wanted[node.type] ?? {})) {
            const widget = node.widgets.find(one => one.name === name)
            widget.value = value
            widget.callback?.(value)
        } }""",
        wanted,
    )


def test_sample_plays_before_the_first_run(page):
    page.wait_for_function(PLAYING, arg="StereoReelExtract", timeout=30_000)
    look(page, "before")
    assert page.evaluate(WRONG) == ""


def test_the_source_says_what_its_options_give_before_and_after_a_run(page):
    says = f"([type, text]) => ({TEXT})(type) === text"
    page.wait_for_function(says, arg=["StereoReelExtract", SOURCE], timeout=30_000)
    shrink(page)
    page.evaluate(
        """() => { const node = app.graph._nodes.find(node => node.type === 'StereoReelExtract')
            const skip = node.widgets.find(one => one.name === 'skip_first_frames')
            skip.value = 90
            skip.callback(90) }"""
    )
    refusal = "has 8 frames here, so none is left after the first 90."
    page.wait_for_function(
        f"([type, text]) => ({TEXT})(type).includes(text)", arg=["StereoReelExtract", refusal], timeout=30_000
    )
    page.evaluate(
        """() => { const node = app.graph._nodes.find(node => node.type === 'StereoReelExtract')
            const skip = node.widgets.find(one => one.name === 'skip_first_frames')
            skip.value = LiteGraph.vueNodesMode ? 3 : 2 }"""  # a cached node says nothing
    )
    run(page)
    given = page.evaluate("() => LiteGraph.vueNodesMode ? '5 frames·0.2 s' : '6 frames·0.24 s'").split("·")
    text = f"{given[0]} · 160x68 · 25 fps · {given[1]} · stereo sound"
    assert page.evaluate(TEXT, "StereoReelExtract") == text
    look(page, "source_facts")


def test_result_plays_after_each_run(page):
    shrink(page)
    sources = set()
    for number in (1, 2):
        page.evaluate(
            """number => { app.graph._nodes.find(node => node.type === 'StereoReelEncode')
                .widgets.find(one => one.name === 'crf').value = 20 + number }""",
            number,
        )
        run(page)
        page.wait_for_function(PLAYING, arg="StereoReelEncode", timeout=30_000)
        sources.add(page.evaluate(PLAYING, "StereoReelEncode"))
        assert page.evaluate(TEXT, "StereoReelEncode").startswith("done: ")
        look(page, f"after_{number}")
        assert page.evaluate(WRONG) == ""
    assert len(sources) == 2
    videos = page.evaluate("() => document.querySelectorAll('video').length")
    assert videos == 2  # the sample's and the result's, and none of core's


def test_unplayable_formats_are_shown_as_a_copy(page):
    shrink(page, format="prores")
    run(page)
    page.wait_for_function(PLAYING, arg="StereoReelEncode", timeout=30_000)
    assert "type=temp" in page.evaluate(PLAYING, "StereoReelEncode")
    assert page.evaluate(TEXT, "StereoReelEncode").endswith(".mov")


def test_animated_images_are_shown(page):
    shrink(page, format="webp")
    run(page)
    page.wait_for_function(
        """() => app.graph._nodes.find(node => node.type === 'StereoReelEncode')
            .stereoreelScreen.element.querySelector('img')?.naturalWidth > 0""",
        timeout=30_000,
    )
    assert page.evaluate(WRONG) == ""


def test_video_into_image_socket_is_refused(page):
    """A batch is accepted there; the message names the node to insert."""
    linked = page.evaluate("""() => {
        const stereo = app.graph._nodes.find(node => node.type === 'StereoReelStereo')
        const sink = LiteGraph.createNode('PreviewImage'), batch = LiteGraph.createNode('StereoReelDepth')
        const image = LiteGraph.createNode('EmptyImage')
        for (const node of [sink, batch, image]) app.graph.add(node)
        const refused = stereo.connect(0, sink, 0)
        image.connect(0, batch, 0)
        const allowed = batch.connect(0, sink, 0)
        const extract = app.graph._nodes.find(node => node.type === 'StereoReelExtract')
        const late = extract.connect(0, batch, 0)
        return [!!refused, !!allowed, !!late]
    }""")
    assert linked == [False, True, False]
    page.wait_for_selector("text=put Get Video Components between", timeout=10_000)
    look(page, "refused")


def test_each_of_two_files_can_be_chosen(page):
    shrink(page, layout="two_files")
    run(page)
    page.wait_for_function(PLAYING, arg="StereoReelEncode", timeout=30_000)
    first = page.evaluate(PLAYING, "StereoReelEncode")
    page.evaluate("""() => app.graph._nodes.find(node => node.type === 'StereoReelEncode')
        .stereoreelScreen.files.lastElementChild.click()""")
    page.wait_for_function(PLAYING, arg="StereoReelEncode", timeout=30_000)
    assert "_L" in first and "_R" in page.evaluate(PLAYING, "StereoReelEncode")


def test_result_of_a_run_is_there_after_a_tab_switch(page):
    shrink(page)
    run(page)
    page.wait_for_function(PLAYING, arg="StereoReelEncode", timeout=30_000)
    nodes = "there => app.graph._nodes.some(node => node.type === 'StereoReelEncode') === there"
    page.get_by_text("Unsaved Workflow").first.click()
    page.wait_for_function(nodes, arg=False, timeout=30_000)
    page.get_by_text("default", exact=True).first.click()
    page.wait_for_function(nodes, arg=True, timeout=30_000)
    page.wait_for_function(PLAYING, arg="StereoReelEncode", timeout=30_000)
    assert page.evaluate(TEXT, "StereoReelEncode").startswith("done: ")


def test_encode_inside_a_subgraph_plays_its_result(page):
    shrink(page)
    page.evaluate("""() => {
        const encode = app.graph._nodes.find(node => node.type === 'StereoReelEncode')
        app.graph.convertToSubgraph(new Set([encode]))
    }""")
    run(page)
    inside = """() => {
        const group = app.graph._nodes.find(node => node.subgraph)
        const screen = group.subgraph._nodes.find(node => node.type === 'StereoReelEncode').stereoreelScreen
        return screen?.element.querySelector('video')?.src && screen.line.textContent
    }"""
    page.wait_for_function(inside, timeout=30_000)
    assert page.evaluate(inside).startswith("done: ")
