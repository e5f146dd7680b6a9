"""What the tests in a real ComfyUI share."""

import os
from pathlib import Path

import pytest

from benchmarks.support.comfy_server import comfy


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Start the ComfyUI that COMFYUI names, with empty folders, for one module."""
    with comfy(Path(os.environ["COMFYUI"]).resolve(), tmp_path_factory.mktemp("comfy")) as running:
        yield running
