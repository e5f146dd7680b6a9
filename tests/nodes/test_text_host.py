"""A mask of burned-in text in a real ComfyUI.

Run with ``make test-host COMFYUI=path``.
"""

import os

import pytest

pytestmark = pytest.mark.host
if not os.environ.get("COMFYUI"):
    pytest.skip("no ComfyUI named: make test-host COMFYUI=path", allow_module_level=True)


def graph(width: int, height: int, **depth):
    return {
        "1": {
            "class_type": "StereoReelExtract",
            "inputs": {"video": "sample", "duration": 0.3, "max_side": 160},
        },
        "2": {"class_type": "SolidMask", "inputs": {"value": 1.0, "width": width, "height": height}},
        "3": {
            "class_type": "StereoReelDepth",
            "inputs": {"clip": ["1", 0], "text": ["2", 0], "model": "builtin", **depth},
        },
        "4": {"class_type": "StereoReelEncode", "inputs": {"clip": ["3", 0], "filename_prefix": "text"}},
    }


def test_a_mask_of_one_frame_holds_for_all(server):
    history = server.run(graph(320, 136))
    assert history["status"]["status_str"] == "success", history["status"]


@pytest.mark.parametrize(("size", "options", "said"), [
    ((64, 64), {}, "text has 64x64 pixels"), ((160, 68), {"burned_text": "off"}, "burned_text is off"),
])  # fmt: skip
def test_a_mask_that_does_not_fit_is_refused(size, options, said, server):
    history = server.run(graph(*size, **options))
    assert history["status"]["status_str"] == "error" and said in str(history["status"])
