"""The options of Encode Video, and the preset that they choose."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.clip import ClipInfo
from ...core.options import Options, option
from ..layouts.layout import LAYOUTS, WITH_DEPTH
from ..layouts.vr180 import FIELD
from .presets import Preset, presets

LEAST_RATE = 30_000  # bits a second, of sound and picture


def preset(settings: EncodeOptions) -> Preset:
    return presets()[settings.format]


def extension(settings: EncodeOptions) -> str:
    """How the name of a file with these settings ends, dot included."""
    return preset(settings).extension


@dataclass(frozen=True)
class EncodeOptions(Options):
    """Options of Encode Video."""

    filename_prefix: str = option(
        "video/StereoReel",
        "Folder and beginning of the file's name, inside the output folder; a number "
        "and the tag by which players know the layout are added.",
    )
    format: str = option(
        "h264",
        " ".join(f"{name}: {entry.text}" for name, entry in presets().items()),
        choices=tuple(presets()),
    )
    layout: str = option(
        "full_sbs",
        "How the two eyes share a frame. Full: each keeps its size; half: both are squeezed "
        "into the size of one; sbs: side by side; tb: left on top; anaglyph: for red-cyan glasses, in "
        "Dubois' colours or the classic ones (h264_444, hevc_444 and ffv1 keep them best); left and right: "
        "one eye alone; cross_eyed: right and left, to be looked at without glasses; interlaced and "
        "checkerboard: for screens that show every second line or pixel to one eye (h264_444, hevc_444 or "
        "ffv1, else the eyes share their colours); vr180: half spheres side by side, for headsets; "
        "two_files: each eye in a file of its own, _L and _R; wiggle: left and right in turn, to see the "
        "depth without glasses (webp makes a small looping picture of it); rgbd and half_rgbd: the picture, "
        "or the left eye, beside the depth; mv_hevc: Apple's spatial video, which needs another program. A "
        "clip with one view is written as it is, but for rgbd.",
        choices=LAYOUTS,
    )
    crf: int = option(
        -1,
        "Quality: lower is better and larger, a step of 6 about doubles the size. -1 takes the format's "
        "own default; prores, ffv1 and gif have a fixed quality.",
        low=-1,
        high=63,
    )
    speed: str = option(
        "balanced",
        "How hard the encoder works: best makes smaller files and takes longer. prores, ffv1 "
        "and gif have one speed.",
        choices=("fast", "balanced", "best"),
    )
    stereo_tags: bool = option(
        True,
        "Write inside the file that it is stereoscopic, where the format can say so: side by side, "
        "top-bottom and vr180 in mp4 and mov, every layout of one file in ffv1. The name carries a tag in "
        "any case.",
    )
    vr180_field: float = option(
        FIELD,
        "For vr180: how many degrees the picture fills from left to right. 90 keeps every pixel; "
        "less is calmer and leaves more black around it, more is nearer and coarser.",
        low=30,
        high=150,
        step=5,
        advanced=True,
    )
    size_mb: float = option(
        0.0,
        "The size that the file shall have, in MB of a million bytes, sound included; 0: crf decides. "
        "The picture is written twice: first finely into a temporary file, then from it to the size.",
        low=0,
        high=1e6,
        step=1,
    )
    hardware: bool = option(
        False,
        "Let the graphics card encode h264, hevc and av1 where it can: NVIDIA, Intel, AMD or Apple. "
        "Faster, and larger at the same quality; where no such encoder opens, the format's own one works, "
        "and a line in the log says so.",
        advanced=True,
    )
    resume: str = option(
        "auto",
        "Make the film in units that are kept beside the file until it is complete, so that "
        "queueing the same graph again after a cancel, a crash or a full disk goes on. auto: where the film "
        "has more than 6000 frames and comes from a file. In a terminal, the command film does this.",
        choices=("auto", "on", "off"),
        advanced=True,
    )


OPTIONS = EncodeOptions


def check(info: ClipInfo, settings: EncodeOptions, depth: ClipInfo | None = None) -> None:
    """ValueError in one sentence where such a clip cannot be written with these settings."""
    entry = preset(settings)
    if settings.layout in WITH_DEPTH and depth is None:
        raise ValueError(
            f"The layout {settings.layout} shows the depth beside the picture; connect one to the depth input."
        )
    if settings.size_mb and (entry.crf is None or entry.limits):
        known = ", ".join(name for name, other in presets().items() if other.crf and not other.limits)
        raise ValueError(
            f"{settings.format} cannot be made to a size; choose one of {known}, or set size_mb to 0."
        )
    least = float(info.duration) * LEAST_RATE / 8e6
    if 0 < settings.size_mb < least:
        raise ValueError(
            f"{settings.size_mb:g} MB is too little for {float(info.duration):.0f} seconds; set size_mb to {least:.2g} or more."
        )
