"""Upscale: a larger picture from each frame by itself."""

from types import SimpleNamespace

from ..clip import ClipInfo
from ..options import Option
from ..resize import scaled_size

OPTIONS = (
    Option("factor", 2.0, "How many times wider and higher the frames become.", low=1.0, high=4.0, step=0.25),
)


def describe(options: SimpleNamespace, frames: ClipInfo) -> ClipInfo:
    width, height = scaled_size(frames.width, frames.height, options.factor)
    return frames.replace(width=width, height=height)
