"""VSR: a larger picture from each frame and its neighbours in time, steadier than one made frame by frame."""

from dataclasses import dataclass

from ...core.clip import ClipInfo
from ...core.options import DOWNLOAD, LIVE, LIVE_MODE, ModelOptions, field_of, option
from ...image.compute import PRECISIONS
from ...image.resize import scaled_size

LEVELS = (
    "low", "medium", "high", "ultra", *(f"highbitrate {much}" for much in ("low", "medium", "high", "ultra")), "streaming medium",
    "streaming ultra", *(f"{what} {much}" for what in ("denoise", "deblur") for much in ("low", "medium", "high", "ultra")), "bicubic",
)  # fmt: skip


@dataclass(frozen=True)
class VSROptions(ModelOptions):
    """Options of a video upscaler."""

    factor: float = option(
        2.0, "How many times wider and higher the frames become.", low=1.0, high=4.0, step=0.25
    )
    strength: float = option(
        1.0,
        "How much noise and flicker is removed with the help of neighbouring frames; 0 removes none.",
        low=0.0,
        high=1.0,
        step=0.05,
    )
    radius: int = option(
        2,
        "How many frames before and after each frame help it; more is calmer and slower.",
        low=1,
        high=3,
        step=1,
    )
    download: bool = field_of(DOWNLOAD)
    precision: str = option(
        "auto",
        "Number type of a network's work; motion and sampling are in float32 always.",
        choices=PRECISIONS,
        advanced=True,
    )
    cleaning: str = option(
        "1",
        "How often RealBasicVSR cleans the frames before it enlarges them: once as published, more for "
        "a worse source; auto: up to three times, as the first frames of each shot ask for.",
        choices=("1", "2", "3", "auto"),
        advanced=True,
    )
    window: int = option(
        0,
        "How many frames a BasicVSR network finishes at once; more take more memory and less time. 0: as "
        "suits their size.",
        low=0,
        high=48,
        step=1,
        advanced=True,
    )
    offload: str = option(
        "auto",
        "Whether features of a BasicVSR network wait in the computer's memory, not the GPU's, which "
        "is slower; auto: where the GPU has too little.",
        choices=("auto", "on", "off"),
        advanced=True,
    )
    decoder: str = option(
        "tiny",
        "FlashVSR's decoder: tiny is fast and sees the frames again, full is Wan 2.1's and needs its file.",
        choices=("tiny", "full"),
    )
    color: str = option(
        "adain",
        "How FlashVSR keeps the colours of the source: by each channel's mean and spread, by its "
        "low band, or not at all.",
        choices=("adain", "wavelet", "none"),
    )
    noise: int = option(
        0,
        "Which noise FlashVSR begins with; another number invents other detail.",
        low=0,
        high=2**31 - 1,
        step=1,
    )
    sparsity: float = option(
        2.0,
        "How much of the picture each part of it looks at in FlashVSR: 1.5 is faster, 2 steadier.",
        low=0.5,
        high=4.0,
        step=0.25,
        advanced=True,
    )
    local_range: int = option(
        11,
        "How far each part looks in FlashVSR, in squares of 128 pixels from side to side: 9 is sharper, "
        "11 steadier.",
        low=3,
        high=31,
        step=2,
        advanced=True,
    )
    history: int = option(
        3,
        "How many pairs of earlier latent frames FlashVSR remembers; 2 needs a quarter less memory.",
        low=2,
        high=8,
        step=1,
        advanced=True,
    )
    store: str = option(
        "auto",
        "Where FlashVSR keeps what it remembers: on the GPU, there in 8 bits, or in the computer's "
        "memory; auto: as memory allows.",
        choices=("auto", "device", "int8", "cpu"),
        advanced=True,
    )
    tile: int = option(
        0,
        "Side of FlashVSR's tiles in pixels of the result; 0: whole frames, tiles only where nothing "
        "else fits into memory.",
        low=0,
        high=8192,
        step=128,
        advanced=True,
    )
    attention: str = option(
        "auto",
        "How FlashVSR's attention is computed; the result is the same. auto takes the fastest that "
        "this machine has.",
        choices=("auto", "flex", "gathered", "dense"),
        advanced=True,
    )
    compile: bool = option(
        False,
        "Let torch.compile fuse FlashVSR's blocks: a minute at the first frames, then faster; needs "
        "a compiler that torch can use.",
        advanced=True,
    )
    level: str = option(
        "ultra",
        "What NVIDIA RTX VSR does: low to ultra as for compressed film, highbitrate for clean "
        "film; denoise and deblur clean at the frames' own size, and Lanczos enlarges.",
        choices=LEVELS,
    )
    live: str = field_of(LIVE)
    live_mode: str = field_of(LIVE_MODE)


OPTIONS = VSROptions
FAITHFUL = True  # moves nothing from where a viewer sees it


def context(options: VSROptions) -> tuple[int, int]:
    """How many frames before and after one an excerpt gives the stage, beside those it lies between."""
    return (3, 3)


def describe(options: VSROptions, frames: ClipInfo) -> ClipInfo:
    width, height = scaled_size(frames.width, frames.height, options.factor)
    return frames.replace(width=width, height=height)


def wanted_parts(options: VSROptions) -> tuple[str, ...]:
    """A model's optional files that the options need."""
    return ("vae",) if options.decoder == "full" else ()
