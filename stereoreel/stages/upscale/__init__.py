"""Upscale: a larger picture from each frame by itself."""

from dataclasses import dataclass

import torch

from ...core.clip import ClipInfo
from ...core.options import DOWNLOAD, LIVE, LIVE_MODE, ModelOptions, field_of, option
from ...image.compute import PRECISIONS
from ...image.resize import scaled_size


@dataclass(frozen=True)
class UpscaleOptions(ModelOptions):
    """Options of an image upscaler."""

    factor: float = option(
        2.0, "How many times wider and higher the frames become.", low=1.0, high=4.0, step=0.25
    )
    fit: str = option(
        "factor",
        "What decides the size: the factor, or the wanted width, height or short side in pixels "
        "below; the other side follows.",
        choices=("factor", "width", "height", "short side"),
    )
    pixels: int = option(
        1080, "The wanted width, height or short side, where fit says so.", low=16, high=16384, step=2
    )
    steady: float = option(
        0.0,
        "How strongly invented detail is held still along the motion, against flicker: 0 leaves every "
        "frame alone, 1 is best where it flickers.",
        low=0.0,
        high=1.0,
        step=0.05,
    )
    denoise: float = option(
        1.0,
        "How much noise realesr-general-x4v3 removes; below 1 it needs its second file. Other models "
        "ignore it.",
        low=0.0,
        high=1.0,
        step=0.05,
        advanced=True,
    )
    reuse: str = option(
        "frames",
        "Work that is not done twice: frames equal to the one before, or also tiles in which "
        "nothing changed.",
        choices=("off", "frames", "tiles"),
    )
    reuse_threshold: float = option(
        0.0,
        "Difference, in steps of 8 bits, up to which pixels count as equal; 0: exactly.",
        low=0.0,
        high=16.0,
        step=0.25,
        advanced=True,
    )
    tile: int = option(
        0,
        "Side of the tiles in which a frame is worked on, in pixels; 0: whole frames, tiles only where "
        "memory asks for them.",
        low=0,
        high=4096,
        step=16,
        advanced=True,
    )
    batch: int = option(
        0,
        "How many frames are worked on together; 0: as suits their size.",
        low=0,
        high=16,
        step=1,
        advanced=True,
    )
    precision: str = option(
        "auto",
        "Number type of the network; auto takes bf16 or fp16 where the device computes in it, and "
        "fp32 where they fail.",
        choices=PRECISIONS,
        advanced=True,
    )
    compile: bool = option(
        False,
        "Let torch.compile fuse the network: a minute at the first frame, then somewhat faster; "
        "needs a compiler that torch can use.",
        advanced=True,
    )
    download: bool = field_of(DOWNLOAD)
    live: str = field_of(LIVE)
    live_mode: str = field_of(LIVE_MODE)


OPTIONS = UpscaleOptions
FAITHFUL = True  # moves nothing from where a viewer sees it


def context(options: UpscaleOptions) -> tuple[int, int]:
    """How many frames before and after one an excerpt gives the stage, beside those it lies between."""
    return (2 * bool(options.steady), 0)


def describe(options: UpscaleOptions, frames: ClipInfo) -> ClipInfo:
    width, height = wanted_size(options, frames.width, frames.height)
    return frames.replace(width=width, height=height)


def live_options(device: torch.device) -> dict[str, str]:
    """What a live session sets by default: comparing frames would wait for a GPU each time."""
    return {"reuse": "off"} if device.type == "cuda" else {}


def wanted_parts(options: UpscaleOptions) -> tuple[str, ...]:
    """A model's optional files that the options need."""
    return ("wdn",) if options.denoise < 1 else ()


def wanted_size(options: UpscaleOptions, width: int, height: int) -> tuple[int, int]:
    """Width and height that the options ask for."""
    sides = {"width": width, "height": height, "short side": min(width, height)}
    factor = options.factor if options.fit == "factor" else options.pixels / sides[options.fit]
    return scaled_size(width, height, factor)
