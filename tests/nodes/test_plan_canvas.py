"""The shot table on a real canvas: found, brought into Stereo Pair, edited, queued, and obeyed.

In classic nodes and Nodes 2.0. Run with ``make test-host COMFYUI=path``. STEREOREEL_SCREENSHOTS names a
folder for pictures of the pages.
"""

import os

import pytest

pytestmark = [pytest.mark.host, pytest.mark.canvas]
if not os.environ.get("COMFYUI"):
    pytest.skip("no ComfyUI named: make test-host COMFYUI=path", allow_module_level=True)

from tests.support import browser, bundled
from tests.support.host_canvas import STYLES, look, run, styled

SET = """values => { for (const node of app.graph._nodes)
    for (const [name, value] of Object.entries(values)) {
    const widget = node.widgets?.find(one => one.name === name)
    if (widget && (name !== 'strength' || node.type === 'StereoReelStereo')) {
        widget.value = value
        widget.callback?.(value)
    } } }"""
PRESS = """() => { const node = app.graph._nodes.find(node => node.type === 'StereoReelComfort')
    node.widgets.find(one => one.name === 'stereoreel_plan').callback() }"""
OFFERED = """() => app.graph._nodes.find(node => node.type === 'StereoReelComfort')
    .widgets.some(one => one.name === 'stereoreel_plan')"""
WITHDRAWN = OFFERED.replace(
    "one.name === 'stereoreel_plan'", "one.name === 'stereoreel_plan' && one.disabled"
)
PLAN = """() => app.graph._nodes.find(node => node.type === 'StereoReelStereo')
    .widgets.find(one => one.name === 'plan').value"""
SHOWN = """() => document.querySelector('[data-node-id]') ? [...document.querySelectorAll('textarea')]
    .map(one => one.value).find(text => text.startsWith('shot,')) ?? '' : """ + PLAN[6:]


@pytest.fixture(**STYLES)
def page(server, request):
    with styled(server, request.param) as page:
        yield page


def said(page) -> str:
    """Return what Stereo Comfort found in the last run."""
    return page.evaluate(
        """async () => { const answer = await app.api.fetchApi('/history?max_items=1')
            const [last] = Object.values(await answer.json())
            return Object.values(last.outputs).find(one => one.stereoreel_plan).text[0] }"""
    )


def test_the_found_plan_is_edited_in_stereo_pair_and_obeyed(page):
    browser.prompt_of(page, bundled.shown("comfort"), "comfort")
    page.evaluate(SET, {"duration": 0.4, "max_side": 96, "strength": "strong", "screen": "tv", "samples": 2})
    assert not page.evaluate(OFFERED)
    run(page)
    page.wait_for_function(OFFERED, timeout=20_000)
    strong = said(page)
    page.evaluate(PRESS)
    page.wait_for_timeout(700)
    found = page.evaluate(PLAN)
    assert found.startswith("shot,strength,convergence") and page.evaluate(SHOWN) == found
    look(page, "plan")
    run(page)
    assert said(page) == strong  # what was found, by hand
    page.evaluate(SET, {"plan": "shot,strength,convergence\n0,0.4,0.5\n"})
    run(page)
    assert said(page).startswith("Comfort score 100 of 100, safe")
    assert page.evaluate(PLAN).endswith("0,0.4,0.5\n")
    page.evaluate(SET, {"plan": "", "strength": "by hand"})
    run(page)  # which finds none: the button must not bring an earlier one
    page.wait_for_function(WITHDRAWN, timeout=20_000)
    page.evaluate(PRESS)
    assert page.evaluate(PLAN) == ""
