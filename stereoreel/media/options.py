"""What Encode can be told: the options, and the presets that models_config/encode.yaml describes."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import SimpleNamespace

import yaml

from ..options import Option
from .layout import LAYOUTS
from .vr180 import FIELD

PRESETS_FILE = Path(__file__).resolve().parents[2] / "models_config" / "encode.yaml"


@cache
def presets() -> dict[str, dict]:
    """Every entry of ``models_config/encode.yaml`` by name, as it stands there."""
    return yaml.safe_load(PRESETS_FILE.read_text(encoding="utf-8"))


def preset(settings: SimpleNamespace) -> dict:
    return presets()[settings.format]


def extension(settings: SimpleNamespace) -> str:
    """How the name of a file with these settings ends, dot included."""
    return preset(settings)["extension"]


OPTIONS = (
    Option("filename_prefix", "video/StereoReel", "Folder and beginning of the file's name, inside the output folder; "
           "a number and the tag by which players know the layout are added."),
    Option("format", "h264", " ".join(f"{name}: {entry['text']}" for name, entry in presets().items()), choices=tuple(presets())),
    Option("layout", "full_sbs", "How the two eyes share a frame. Full: each keeps its size; half: both are squeezed into "
           "the size of one; sbs: side by side; tb: left on top; anaglyph: for red-cyan glasses, in Dubois' colours or the classic ones "
           "(h264_444, hevc_444 and ffv1 keep them best); left and right: one eye alone; cross_eyed: right and left, to be looked at "
           "without glasses; interlaced and checkerboard: for screens that show every second line or pixel to one eye "
           "(h264_444, hevc_444 or ffv1, else the eyes share their colours); vr180: half spheres side by side, for headsets; "
           "two_files: each eye in a file of its own, _L and _R. A clip with one view is written as it is.", choices=LAYOUTS),
    Option("crf", -1, "Quality: lower is better and larger, a step of 6 about doubles the size. -1 takes the format's own default; "
           "prores and ffv1 have a fixed quality.", low=-1, high=63),
    Option("speed", "balanced", "How hard the encoder works: best makes smaller files and takes longer. "
           "prores and ffv1 have one speed.", choices=("fast", "balanced", "best")),
    Option("stereo_tags", True, "Write inside the file that it is stereoscopic, where the format can say so: "
           "side by side, top-bottom and vr180 in mp4 and mov, every layout of one file in ffv1. The name carries a tag in any case."),
    Option("vr180_field", FIELD, "For vr180: how many degrees the picture fills from left to right. 90 keeps every pixel; less is calmer "
           "and leaves more black around it, more is nearer and coarser.", low=30, high=150, step=5, advanced=True),
)
