"""Words typed into the real search box of the canvas find our nodes, in classic nodes and in Nodes 2.0.

Run with ``make test-host COMFYUI=path``.
"""

import os

import pytest

pytestmark = [pytest.mark.host, pytest.mark.canvas]
if not os.environ.get("COMFYUI"):
    pytest.skip("no ComfyUI named: make test-host COMFYUI=path", allow_module_level=True)

from stereoreel.workflow.node_specs import NODES
from tests.support import browser

FIRST = 5
WORDS = {
    "3d": FIRST,
    "sbs": FIRST,
    "vr": FIRST,
    "anaglyph": FIRST,
    "rife": FIRST,
    "slow motion": FIRST,
    "fps": FIRST,
    "depth map": FIRST,
    "side by side": FIRST,
    "headset": FIRST,
    "super resolution": FIRST,
    "video upscale": FIRST,
    "2d to 3d": FIRST,
    # six of ComfyUI's nodes have names that begin with it, and the search ranks such names by popularity
    "upscale": 7,
}
FOUND = """() => [...document.querySelectorAll('[role=dialog] [role=option], .p-autocomplete-option')]
    .map(option => option.innerText.replace(/\\s+/g, ' '))"""
SHOWN = f"""first => {{ const names = ({FOUND})().slice(0, first)
    return names.some(name => name.includes('StereoReel')) && names }}"""

OTHERS = f"""() => {{ const names = ({FOUND})()
    return names.some(name => name.includes('KSampler')) && !names.some(name => name.includes('StereoReel'))
}}"""


def test_aliases_reach_the_canvas(server):
    told = server.get("/object_info")
    if "search_aliases" not in told["StereoReelStereo"]:
        pytest.skip("this ComfyUI has no search_aliases")
    for node in NODES:
        assert told[node.id]["search_aliases"] == list(node.aliases) and node.aliases


@pytest.mark.parametrize("new_nodes", [False, True], ids=["classic", "nodes_2"])
def test_each_word_shows_a_node_of_ours_among_the_first(server, new_nodes):
    server.post("/settings/Comfy.TutorialCompleted", True)  # else the templates open over the page
    server.post("/settings/Comfy.VueNodes.Enabled", new_nodes)
    missed = {}
    with browser.canvas(f"http://{server.address}") as page:
        from playwright.sync_api import TimeoutError as Late

        page.evaluate("() => app.extensionManager.command.execute('Workspace.SearchBox.Toggle')")
        page.wait_for_selector("[role=dialog] input", timeout=30_000)
        for word, first in WORDS.items():
            page.keyboard.press("Control+A")
            page.keyboard.insert_text("ksampler")  # so that what is seen next is the word's own
            page.wait_for_function(OTHERS, timeout=30_000)
            page.keyboard.press("Control+A")
            page.keyboard.insert_text(word)
            try:
                page.wait_for_function(SHOWN, arg=first, timeout=10_000)
            except Late:
                missed[word] = page.evaluate(FOUND)[:first]
    assert not missed
