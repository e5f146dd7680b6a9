"""VSR: upscale each frame with the help of its neighbours in time, for temporally stable results."""

from dataclasses import dataclass

from ...core.clip import ClipInfo
from ...core.options import DOWNLOAD, LIVE, LIVE_MODE, ModelOptions, field_of, option
from ...image.compute import PRECISIONS
from ...image.resize import scaled_size

GRADES = ("low", "medium", "high", "ultra")
LEVELS = (
    *GRADES,
    *(f"highbitrate {grade}" for grade in GRADES),
    "streaming medium",
    "streaming ultra",
    *(f"{work} {grade}" for work in ("denoise", "deblur") for grade in GRADES),
    "bicubic",
)

# the archs that read an option, as its ``only``
BUILTIN = ("model", ("builtin",))
FLASHVSR = ("model", ("flashvsr",))
BASICVSR = ("model", ("basicvsr",))
NETWORKS = ("model", ("basicvsr", "flashvsr"))
NVIDIA = ("model", ("nvidia",))


@dataclass(frozen=True)
class VSROptions(ModelOptions):
    """Options of a video upscaler."""

    factor: float = option(2.0, "Scale of the width and height.", low=1.0, high=4.0, step=0.25)
    strength: float = option(
        1.0,
        "Strength of the noise and flicker removal by neighbouring frames; 0 removes none.",
        low=0.0,
        high=1.0,
        step=0.05,
        only=BUILTIN,
    )
    radius: int = option(
        2,
        "Number of frames used before and after each frame; more is temporally more stable and slower.",
        low=1,
        high=3,
        step=1,
        advanced=True,
        only=BUILTIN,
    )
    download: bool = field_of(DOWNLOAD)
    precision: str = option(
        "auto",
        "Model dtype. Optical flow and sampling always use float32.",
        choices=PRECISIONS,
        advanced=True,
        only=NETWORKS,
    )
    cleaning: str = option(
        "1",
        "Number of cleaning passes of RealBasicVSR before upscaling: 1 as published, more for a worse "
        "source; `auto`: up to 3, measured on the first frames of each shot.",
        choices=("1", "2", "3", "auto"),
        advanced=True,
        only=BASICVSR,
    )
    window: int = option(
        0,
        "Frames that a BasicVSR model completes at a time; more take more memory and less time. 0: chosen "
        "by frame size.",
        low=0,
        high=48,
        step=1,
        advanced=True,
        only=BASICVSR,
        word="auto",
    )
    offload: str = option(
        "auto",
        "Store the features of a BasicVSR model in system RAM instead of GPU memory, which is slower; "
        "`auto`: if the GPU has too little.",
        choices=("auto", "on", "off"),
        advanced=True,
        only=BASICVSR,
    )
    decoder: str = option(
        "tiny",
        "FlashVSR's decoder: `tiny` is fast and also reads the source frames; `full` is Wan 2.1's and "
        "needs its own file.",
        choices=("tiny", "full"),
        only=FLASHVSR,
    )
    color: str = option(
        "adain",
        "Colour correction of FlashVSR to match the source: `adain` by each channel's mean and "
        "deviation, `wavelet` by its low band, or `none`.",
        choices=("adain", "wavelet", "none"),
        only=FLASHVSR,
    )
    noise: int = option(
        0,
        "Noise seed of FlashVSR; another seed synthesises other detail.",
        low=0,
        high=2**31 - 1,
        step=1,
        advanced=True,
        only=FLASHVSR,
    )
    sparsity: float = option(
        2.0,
        "Share of the frame each block attends to in FlashVSR: 1.5 is faster, 2 temporally more stable.",
        low=0.5,
        high=4.0,
        step=0.25,
        advanced=True,
        only=FLASHVSR,
    )
    local_range: int = option(
        11,
        "Width of FlashVSR's attention area, in blocks of 128 pixels: 9 is sharper, 11 is temporally more "
        "stable.",
        low=3,
        high=31,
        step=2,
        advanced=True,
        only=FLASHVSR,
    )
    history: int = option(
        3,
        "Pairs of earlier latent frames in FlashVSR's cache; 2 needs a quarter less memory.",
        low=2,
        high=8,
        step=1,
        advanced=True,
        only=FLASHVSR,
    )
    store: str = option(
        "auto",
        "Where FlashVSR's cache is stored: on the GPU (`device`), on the GPU in 8 bits (`int8`), or in "
        "system RAM (`cpu`); `auto`: as memory allows.",
        choices=("auto", "device", "int8", "cpu"),
        advanced=True,
        only=FLASHVSR,
    )
    tile: int = option(
        0,
        "Size of FlashVSR's tiles in output pixels; 0: process complete frames, and use tiles only if "
        "nothing else fits in memory.",
        low=0,
        high=8192,
        step=128,
        advanced=True,
        only=FLASHVSR,
        word="auto",
    )
    attention: str = option(
        "auto",
        "Implementation of FlashVSR's attention; the result is the same. `auto` uses the fastest one "
        "available.",
        choices=("auto", "flex", "gathered", "dense"),
        advanced=True,
        only=FLASHVSR,
    )
    compile: bool = option(
        False,
        "Compile FlashVSR's blocks with torch.compile: the first frames take a minute, the rest are "
        "faster. Requires a compiler that torch can use.",
        advanced=True,
        only=FLASHVSR,
    )
    level: str = option(
        "ultra",
        "Mode of NVIDIA RTX VSR: `low` to `ultra` for compressed film, `highbitrate` for clean film; "
        "`denoise` and `deblur` keep the frame size, and Lanczos upscales the result.",
        choices=LEVELS,
        only=NVIDIA,
    )
    live: str = field_of(LIVE)
    live_mode: str = field_of(LIVE_MODE)


OPTIONS = VSROptions
FAITHFUL = True  # keeps everything at its position in the frame


def context(options: VSROptions, frames: ClipInfo) -> tuple[int, int]:
    """Return how many extra frames before and after each sample the stage needs in an excerpt."""
    return (3, 3)


def describe(options: VSROptions, frames: ClipInfo) -> ClipInfo:
    width, height = scaled_size(frames.width, frames.height, options.factor)
    return frames.replace(width=width, height=height)


def wanted_parts(options: VSROptions) -> tuple[str, ...]:
    """Return the optional files of a model that these options need."""
    return ("vae",) if options.decoder == "full" else ()
