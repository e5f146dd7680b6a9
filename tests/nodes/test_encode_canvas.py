"""A file dropped on ComfyUI's real canvas opens the workflow that created it."""

import base64
import json

import pytest
import torch

from stereoreel.workflow import graph as workflow
from tests.support.bundled import API, shown
from tests.support.encoded_files import encode

TYPES = {".webp": "image/webp", ".mp4": "video/mp4", ".mov": "video/quicktime"}
DROP = """async ([data, name, type]) => {
    app.graph.clear()
    const bytes = Uint8Array.from(atob(data), character => character.charCodeAt(0))
    await app.handleFile(new File([bytes], name, {type}))
    for (let tries = 0; tries < 100 && !app.graph._nodes.length; tries++)
        await new Promise(resolve => setTimeout(resolve, 50))
    return app.graph._nodes.map(node => node.type)
}"""

pytestmark = pytest.mark.canvas


@pytest.mark.parametrize(
    "given",
    [{"format": "webp"}, {"format": "h264"}, {"format": "prores"}, {"format": "hevc"}],
    ids=lambda given: given["format"],
)
def test_dropped_file_opens_its_workflow(page, tmp_path, given):
    notes = {
        "workflow": json.dumps(shown("default")),
        "prompt": json.dumps(workflow.read(API["default"])),
    }
    path = encode(tmp_path, torch.rand(3, 64, 64, 3), metadata=notes, **given)
    data = base64.b64encode(path.read_bytes()).decode()
    assert page.evaluate(DROP, [data, path.name, TYPES[path.suffix]]) == [
        node["type"] for node in shown("default")["nodes"]
    ]
