"""Scenes with exact truth, random networks of the published sizes, a ComfyUI server; tests use them too."""

import os
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
CLIPS = Path(os.environ.get("STEREOREEL_CLIPS") or _ROOT.parent / "shared" / "clips")  # real footage
