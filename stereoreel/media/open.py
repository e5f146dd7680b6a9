"""Open a video file, or apply the options of Extract Video to an existing clip."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.clip import Clip, apply
from ..core.file_cache import FileCache
from ..core.options import Options, option
from ..core.transforms import Fit, Trim, Uncut, frame_at

if TYPE_CHECKING:
    from .read.probe import FileFacts

log = logging.getLogger(__name__)

SAMPLE = "sample"


@dataclass(frozen=True)
class ExtractOptions(Options):
    """Options of Extract Video."""

    video: str = option(
        SAMPLE,
        "The video to open, from ComfyUI's input folder. sample is a rendered clip of four seconds with "
        "audio, included in the pack.",
    )
    start: float = option(0.0, "Start time, in seconds.", low=0.0, high=1e6, step=0.001)
    duration: float = option(
        0.0,
        "Duration in seconds; 0 takes everything up to the end.",
        low=0.0,
        high=1e6,
        step=0.001,
        word="to the end",
    )
    max_side: int = option(
        0,
        "Downscale frames so that the longer side has at most this many pixels; 0 keeps the size.",
        low=0,
        high=16384,
        step=2,
        word="original",
    )
    cuts: bool = option(
        True, "Detect cuts first, so that no stage blends or smooths frames across them.", advanced=True
    )
    sensitivity: float = option(
        0.5,
        "Sensitivity of the cut detection in a file: higher finds more cuts.",
        low=0.0,
        high=1.0,
        step=0.05,
        advanced=True,
        only=("cuts", ("true",)),
    )
    picture_fps: float = option(
        0.0,
        "Frames a second of numbered pictures: a folder, or a pattern such as frames/%05d.png. auto: 24, or "
        "the rate of pictures that Encode Video wrote. A video has a rate of its own.",
        low=0.0,
        high=1000.0,
        step=0.001,
        advanced=True,
        word="auto",
    )
    linear_light: str = option(
        "display",
        "Values of EXR and HDR pictures, which hold linear light. display: with the curve of sRGB, as "
        "viewers show them and models expect them; unchanged: the numbers in the file.",
        choices=("display", "unchanged"),
        advanced=True,
    )


OPTIONS = ExtractOptions


def open_file(
    path: Path,
    options,
    name: str,
    tick: Callable[[int, int], None] | None = None,
    look: bool = True,
    files: FileCache | None = None,
) -> Clip:
    """Open a file as a clip, with these options.

    ``tick`` receives the progress of the cut detection, which ``look=False`` skips. ``files`` caches the
    results.
    """
    from .read.decode import FileSource

    source = FileSource(
        path, start=options.start, duration=options.duration, max_side=options.max_side,
        cuts=options.cuts, sensitivity=options.sensitivity, tick=tick, look=look, files=files,
        picture_fps=Fraction(str(options.picture_fps)), linear_light=options.linear_light,
    )  # fmt: skip
    source.label = name
    if said := one_frame(source.facts):
        log.warning(said)
    return Clip(source)


def one_frame(facts: FileFacts) -> str:
    """Say that a file is an image and becomes a clip of one frame; empty for any other file."""
    from .read.container import is_image

    if facts.frames > 1 or facts.pictures or not is_image(facts.path):
        return ""
    return f"{facts.path.name} is an image, so the clip has one frame. Choose a video for more."


def from_clip(
    clip: Clip, options, name: str, tick: Callable[[int, int], None] | None = None, look: bool = True
) -> Clip:
    """Apply the options to an existing clip.

    A clip that is a complete file is opened again, so that only the selected part is searched for cuts.
    """
    from .read.decode import FileSource

    if isinstance(clip.maker, FileSource) and clip.maker.whole:
        source = clip.maker
        same = {"picture_fps": float(source.facts.fps)} if source.facts.pictures else {}
        options = replace(options, **same, linear_light=source.linear_light)
        return open_file(source.facts.path, options, name, tick, look, source.files)
    info = clip.info
    if options.start or options.duration:
        stop = frame_at(info, options.start + options.duration) if options.duration else info.frames
        clip = apply(Trim(frame_at(info, options.start), stop, name), clip)["clip"]
        if not clip.info.frames:
            raise ValueError(
                f"{name}: the clip is {float(info.duration):.2f} s long, so no frame is left after "
                f"{options.start} s. Set an earlier start."
            )
    if options.max_side and max(info.width, info.height) > options.max_side:
        clip = apply(Fit(options.max_side, name), clip)["clip"]
    return clip if options.cuts or not clip.info.cuts else apply(Uncut(name), clip)["clip"]
