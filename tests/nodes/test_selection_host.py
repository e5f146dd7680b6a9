"""The frames that Extract Video selects are those of ComfyUI's own Load Video, sliced."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import torch

from benchmarks.support.comfy_server import python_of
from stereoreel.media.extract_options import ExtractOptions
from stereoreel.media.open import open_file
from stereoreel.sample import FILE

pytestmark = pytest.mark.host

SLICED = """
import json, sys
sys.path.insert(0, sys.argv[1])
(file, target, chosen), sys.argv = json.load(sys.stdin), ["main.py", "--cpu"]
import torch
from comfy_api.latest import InputImpl
images = InputImpl.VideoFromFile(file).get_components().images
torch.save([images[skip::every][: most or None].clone() for skip, every, most in chosen], target)
"""
CHOICES = ((0, 1, 5), (7, 3, 6), (60, 10, 0))


def test_a_selection_is_a_slice_of_load_video(tmp_path, host):
    comfy = os.environ.get("COMFYUI")
    if not comfy:
        pytest.skip("COMFYUI names no ComfyUI")
    asked = json.dumps([str(FILE), str(tmp_path / "slices.pt"), CHOICES])
    subprocess.run(
        [python_of(Path(comfy)), "-c", SLICED, comfy], input=asked, capture_output=True, text=True, check=True
    )
    for (skip, every, most), images in zip(CHOICES, torch.load(tmp_path / "slices.pt")):
        options = ExtractOptions(
            cuts=False, skip_first_frames=skip, select_every_nth=every, frame_load_cap=most
        )
        frames = torch.cat(list(open_file(FILE, options, "Extract").maker.chunks(host, 8)))
        assert frames.shape == images.shape
        same, others = (frames - images).abs().mean(), (frames[1:] - images[:-1]).abs().mean()
        assert same < 0.01 and same < others / 2
