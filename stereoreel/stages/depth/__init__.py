"""Depth: one relative inverse depth map per frame, near = 1."""

from dataclasses import dataclass

from ...core.clip import ClipInfo
from ...core.options import DOWNLOAD, ModelOptions, field_of, option
from ...image.compute import PRECISIONS


@dataclass(frozen=True)
class DepthOptions(ModelOptions):
    """Options of a depth estimator, and of depth that another node found."""

    smoothing: float = option(
        0.8,
        "How calm depth is over time within a shot: 0 follows every frame, 1 changes slowest.",
        low=0.0,
        high=1.0,
        step=0.05,
    )
    invert: bool = option(
        False, "Make far white and near black, for tools that expect it; Stereo expects near white."
    )
    near_ground: float = option(
        0.5,
        "How much to trust that lower in the picture is nearer where motion tells nothing: 0 not at "
        "all, 1 fully. Used by builtin only, which is a preview-quality guess from motion and layout, not a "
        "trained network.",
        low=0.0,
        high=1.0,
        step=0.05,
    )
    download: bool = field_of(DOWNLOAD)
    resolution: str = option(
        "518",
        "Lines that a network sees of the picture (the short side; rounded to a multiple of 14). 518 "
        "is what the networks were trained at; 392 takes about half the time, 700 twice, 1036 five times, "
        "and above 518 many pictures get worse, not better.",
        choices=("384", "392", "518", "700", "1036", "native"),
    )
    edges: str = option(
        "snap",
        "How a network's depth is brought to frame size: snap puts its edges on the picture's, so "
        "that nothing floats between an object and what lies behind it; smooth only enlarges.",
        choices=("snap", "smooth"),
    )
    dilate: int = option(
        0,
        "Pixels by which near things grow, with edges at snap; helps where depth ends a little inside them.",
        low=0,
        high=16,
        step=1,
    )
    given: str = option(
        "near white",
        "What a depth that is connected shows: near white and near black are parallax, 1/Z, "
        "as disparity maps are; the linear ones are distance, as core's Depth Anything 3 renders it. "
        "Geometry is known and needs no choice.",
        choices=("near white", "near black", "linear, near white", "linear, near black"),
    )
    metric: str = option(
        "auto",
        "Whether a file of your own tells metres, for its tensors do not: indoor (up to 20 m) or "
        "outdoor (up to 80 m).",
        choices=("auto", "no", "indoor", "outdoor"),
        advanced=True,
    )
    precision: str = option(
        "auto",
        "Number type of a network: auto takes fp16 on a GPU; bf16 on a CPU that computes in it, but "
        "not for folders of transformers, whose depth would have steps; fp32 elsewhere.",
        choices=PRECISIONS,
        advanced=True,
    )


OPTIONS = DepthOptions
FAITHFUL = False  # its output shows other things, or the same elsewhere


def context(options: DepthOptions) -> tuple[int, int]:
    """How many frames before and after one an excerpt gives the stage, beside those it lies between."""
    return (4, 8)  # with less, builtin's depth is visibly another than in the film


def describe(options, frames: ClipInfo) -> ClipInfo:
    """Depth has the frames' size, count and rate, and one channel."""
    if frames.channels == 1:
        raise ValueError("Depth was given a depth clip; connect the colour frames to it instead.")
    return frames.replace(channels=1)
