"""Depth: one relative inverse depth map per frame, near = 1."""

from ..clip import ClipInfo
from ..options import DOWNLOAD, Option

OPTIONS = (
    Option("smoothing", 0.8, "How calm depth is over time within a shot: 0 follows every frame, 1 changes slowest.", 0.0, 1.0, 0.05),
    Option("invert", False, "Make far white and near black, for tools that expect it; Stereo expects near white."),
    Option(
        "near_ground", 0.5,
        "How much to trust that lower in the picture is nearer where motion tells nothing: 0 not at all, 1 fully. "
        "Used by builtin only, which is a preview-quality guess from motion and layout, not a trained network.",
        0.0, 1.0, 0.05,
    ),
    DOWNLOAD,
)


def describe(options, frames: ClipInfo) -> ClipInfo:
    """Depth has the frames' size, count and rate, and one channel."""
    if frames.channels == 1:
        raise ValueError("Depth was given a depth clip; connect the colour frames to it instead.")
    return frames.replace(channels=1)
