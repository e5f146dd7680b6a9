"""Upscale each frame independently of the others."""

from dataclasses import dataclass

import torch

from ...core.clip import ClipInfo
from ...core.options import DOWNLOAD, LIVE, LIVE_MODE, ModelOptions, field_of, option
from ...image.compute import PRECISIONS
from ...image.resize import scaled_size

# the archs that read an option, as its ``only``
NETWORKS = ("model", ("spandrel",))


@dataclass(frozen=True)
class UpscaleOptions(ModelOptions):
    """Options of an image upscaler."""

    factor: float = option(
        2.0, "Scale of the width and height.", low=1.0, high=4.0, step=0.25, only=("fit", ("factor",))
    )
    fit: str = option(
        "factor",
        "Set the output size by `factor`, or by the width, height or short side in `pixels`. The "
        "aspect ratio is kept.",
        choices=("factor", "width", "height", "short side"),
    )
    pixels: int = option(
        1080,
        "Output width, height or short side in pixels, as selected by `fit`.",
        low=16,
        high=16384,
        step=2,
        only=("fit", ("width", "height", "short side")),
    )
    steady: float = option(
        0.0,
        "Stabilise hallucinated detail along the motion to reduce flicker. 0 leaves frames unchanged; "
        "1 is best if the output flickers.",
        low=0.0,
        high=1.0,
        step=0.05,
        only=NETWORKS,
    )
    denoise: float = option(
        1.0,
        "Denoising strength of realesr-general-x4v3; below 1 it needs its second file. Other models "
        "ignore it.",
        low=0.0,
        high=1.0,
        step=0.05,
        advanced=True,
        only=NETWORKS,
    )
    reuse: str = option(
        "frames",
        "Reuse results for frames equal to the previous one; `tiles` also reuses tiles in which "
        "nothing changed.",
        choices=("off", "frames", "tiles"),
        advanced=True,
        only=NETWORKS,
    )
    reuse_threshold: float = option(
        0.0,
        "Largest difference, in 8-bit steps, at which pixels count as equal; 0: only identical ones.",
        low=0.0,
        high=16.0,
        step=0.25,
        advanced=True,
        only=NETWORKS,
    )
    tile: int = option(
        0,
        "Tile size in pixels; 0: process complete frames, and use tiles only if memory requires them.",
        low=0,
        high=4096,
        step=16,
        advanced=True,
        only=NETWORKS,
        word="auto",
    )
    batch: int = option(
        0,
        "Frames per batch; 0: chosen by frame size.",
        low=0,
        high=16,
        step=1,
        advanced=True,
        only=NETWORKS,
        word="auto",
    )
    precision: str = option(
        "auto",
        "Model dtype. `auto` uses bf16 or fp16 if the device computes in it, and fp32 if they fail.",
        choices=PRECISIONS,
        advanced=True,
        only=NETWORKS,
    )
    compile: bool = option(
        False,
        "Compile the model with torch.compile: the first frame takes a minute, the rest are somewhat "
        "faster. Requires a compiler that torch can use.",
        advanced=True,
        only=NETWORKS,
    )
    download: bool = field_of(DOWNLOAD)
    live: str = field_of(LIVE)
    live_mode: str = field_of(LIVE_MODE)


OPTIONS = UpscaleOptions
FAITHFUL = True  # keeps everything at its position in the frame
RESAMPLERS = ("builtin",)  # the archs that only resize every channel by itself, by Lanczos


def context(options: UpscaleOptions, frames: ClipInfo) -> tuple[int, int]:
    """Return how many extra frames before and after each sample the stage needs in an excerpt."""
    return (2 * bool(options.steady), 0)


def describe(options: UpscaleOptions, frames: ClipInfo) -> ClipInfo:
    width, height = wanted_size(options, frames.width, frames.height)
    return frames.replace(width=width, height=height)


def live_options(device: torch.device) -> dict[str, str]:
    """Return the defaults of a live session: on a GPU, comparing frames would synchronise every time."""
    return {"reuse": "off"} if device.type == "cuda" else {}


def wanted_parts(options: UpscaleOptions) -> tuple[str, ...]:
    """Return the optional files of a model that these options need."""
    return ("wdn",) if options.denoise < 1 else ()


def wanted_size(
    options: UpscaleOptions, width: int, height: int, frame: tuple[int, int] | None = None
) -> tuple[int, int]:
    """Return the output width and height; ``frame`` is the size that counts, if not all of it is upscaled."""
    wide, tall = frame or (width, height)
    sides = {"width": wide, "height": tall, "short side": min(wide, tall)}
    factor = options.factor if options.fit == "factor" else options.pixels / sides[options.fit]
    return scaled_size(width, height, factor)
