"""VSR: a larger picture from each frame and its neighbours in time, steadier than one made frame by frame."""

from types import SimpleNamespace

from ..clip import ClipInfo
from ..options import DOWNLOAD, Option
from ..resize import scaled_size

OPTIONS = (
    Option("factor", 2.0, "How many times wider and higher the frames become.", low=1.0, high=4.0, step=0.25),
    Option("strength", 1.0, "How much noise and flicker is removed with the help of neighbouring frames; 0 removes none.",
           low=0.0, high=1.0, step=0.05),
    Option("radius", 2, "How many frames before and after each frame help it; more is calmer and slower.", low=1, high=3, step=1),
    DOWNLOAD,
)


def describe(options: SimpleNamespace, frames: ClipInfo) -> ClipInfo:
    width, height = scaled_size(frames.width, frames.height, options.factor)
    return frames.replace(width=width, height=height)
