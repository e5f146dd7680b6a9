"""Opening a video: the options of Extract, and what they make of a file or of a clip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..core.clip import Clip, apply
from ..core.file_cache import FileCache
from ..core.options import Options, option
from ..core.transforms import Fit, Trim, Uncut, frame_at

SAMPLE = "sample"


@dataclass(frozen=True)
class ExtractOptions(Options):
    """Options of Extract Video."""

    video: str = option(
        SAMPLE,
        "The video to open, from ComfyUI's input folder. `sample` is a clip of four seconds with sound "
        "that comes with the pack.",
    )
    start: float = option(0.0, "Where to begin, in seconds.", low=0.0, high=1e6, step=0.001)
    duration: float = option(0.0, "How many seconds to take; 0 takes all.", low=0.0, high=1e6, step=0.001)
    max_side: int = option(
        0,
        "Shrink frames until the longer side has at most this many pixels; 0 keeps the size.",
        low=0,
        high=16384,
        step=2,
    )
    cuts: bool = option(
        True, "Look through the video for cuts first, so that nothing is blended or smoothed across them."
    )
    sensitivity: float = option(
        0.5,
        "How readily a change counts as a cut in a file: higher finds more.",
        low=0.0,
        high=1.0,
        step=0.05,
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
    """A file as a clip, as the options ask.

    ``tick`` hears of the search for cuts, which ``look`` off leaves out. ``files`` remembers what is found.
    """
    from .read.decode import FileSource

    source = FileSource(
        path, start=options.start, duration=options.duration, max_side=options.max_side,
        cuts=options.cuts, sensitivity=options.sensitivity, tick=tick, look=look, files=files,
    )  # fmt: skip
    source.label = name
    return Clip(source)


def from_clip(
    clip: Clip, options, name: str, tick: Callable[[int, int], None] | None = None, look: bool = True
) -> Clip:
    """The options applied to a clip that exists already; a whole file is opened anew, so that only the part asked for is searched for cuts."""
    from .read.decode import FileSource

    if isinstance(clip.maker, FileSource) and clip.maker.whole:
        return open_file(clip.maker.facts.path, options, name, tick, look, clip.maker.files)
    info = clip.info
    if options.start or options.duration:
        stop = frame_at(info, options.start + options.duration) if options.duration else info.frames
        clip = apply(Trim(frame_at(info, options.start), stop, name), clip)["clip"]
        if not clip.info.frames:
            raise ValueError(
                f"{name}: nothing is left between {options.start} s and the end of a clip of {float(info.duration):.2f} s."
            )
    if options.max_side and max(info.width, info.height) > options.max_side:
        clip = apply(Fit(options.max_side, name), clip)["clip"]
    return clip if options.cuts or not clip.info.cuts else apply(Uncut(name), clip)["clip"]
