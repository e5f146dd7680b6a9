"""Change a clip into what its file can hold."""

from __future__ import annotations

from ...core.clip import Clip
from ...core.transforms import squared
from .options import EncodeOptions, preset
from .presets import Preset

SHAPED = ("mp4", "mov", "matroska", "webm")  # containers that state the shape of a pixel
LABEL = "Encode"


def fit_to_file(clip: Clip, settings: EncodeOptions, entry: Preset | None = None) -> tuple[Clip, list[str]]:
    """Return the clip that can be written, and what it loses, in sentences.

    Pixels become square where the file cannot state their shape, and for half spheres, whose angles need it.
    """
    info, container = clip.info, (entry or preset(settings)).container
    sphere = settings.layout == "vr180" and info.views == 2
    if info.pixel_aspect == 1 or (container in SHAPED and not sphere):
        return clip, []
    clip = squared(clip, LABEL)
    what = "The layout vr180 needs" if sphere else f"{settings.format} files have"
    size = f"{clip.info.width} x {clip.info.height}"
    return clip, [f"{what} square pixels, so the frames are scaled to {size}."]
