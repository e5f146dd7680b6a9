"""Open a video file, or apply the options of Extract Video to an existing clip."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.clip import Clip, apply
from ..core.file_cache import FileCache
from ..core.options import Options, option
from ..core.transforms import EveryNth, Fit, Trim, Uncut, frame_at, squared

if TYPE_CHECKING:
    from .read.probe import FileFacts

log = logging.getLogger(__name__)

SAMPLE = "sample"
SQUARE = "square"
MOST = 2**31 - 1  # frames


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
    frame_load_cap: int = option(
        0,
        "Number of frames to take at most; 0 takes all. The audio ends with them.",
        low=0,
        high=MOST,
        advanced=True,
        word="all",
    )
    skip_first_frames: int = option(
        0,
        "Number of frames to leave out at the beginning, counted from start. The audio begins with the first "
        "frame that is taken.",
        low=0,
        high=MOST,
        advanced=True,
    )
    select_every_nth: int = option(
        1,
        "Take only every nth frame: 2 halves the frame rate. The duration stays.",
        low=1,
        high=MOST,
        advanced=True,
    )
    pixel_aspect: str = option(
        SQUARE,
        "square: scale the frames of discs, tapes and anamorphic video to square pixels. keep: leave them as "
        "they are stored; Encode Video writes their shape into the file, so that players show it right.",
        choices=(SQUARE, "keep"),
        advanced=True,
    )
    background: str = option(
        "black",
        "Colour under transparent parts, such as those of ProRes 4444, WebM, PNG and GIF: a name of CSS, or "
        "#rrggbb. transparent: black for the stages, and Encode Video keeps the transparency in prores_4444 "
        "and webp, unless a stage changes the number of frames or makes a stereo pair.",
        advanced=True,
    )

    judged = ("background",)

    def check(self) -> None:
        from .read.transparency import parse_color

        parse_color(self.background)


OPTIONS = ExtractOptions


def open_file(
    path: Path,
    options,
    name: str,
    tick: Callable[[int, int], None] | None = None,
    look: bool = True,
    files: FileCache | None = None,
) -> Clip:
    """Open a file as a clip, with these options, and say if it is an image."""
    from .read.decode import FileSource

    clip = file_clip(path, options, name, tick, look, files)
    assert isinstance(clip.maker, FileSource)
    if said := one_frame(clip.maker.facts):
        log.warning(said)
    return clip


def file_clip(
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
        skip=options.skip_first_frames, every=options.select_every_nth, most=options.frame_load_cap,
        square=options.pixel_aspect == SQUARE, background=options.background,
    )  # fmt: skip
    source.label = name
    return Clip(source)


def one_frame(facts: FileFacts) -> str:
    """Say that a file is an image and becomes a clip of one frame; empty for any other file."""
    from .read.container import is_image

    if facts.frames > 1 or not is_image(facts.path):
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
        return open_file(clip.maker.facts.path, options, name, tick, look, clip.maker.files)
    clip = _selected(clip, options, name)
    clip = squared(clip, name) if options.pixel_aspect == SQUARE else clip
    info = clip.info
    if options.max_side and max(info.width, info.height) > options.max_side:
        clip = apply(Fit(options.max_side, name), clip)["clip"]
    return clip if options.cuts or not clip.info.cuts else apply(Uncut(name), clip)["clip"]


def _selected(clip: Clip, options, name: str) -> Clip:
    """Return the frames of a clip that the options choose; raise ValueError if there is none."""
    from .read.selection import check_skip

    info, first, stop = clip.info, frame_at(clip.info, options.start), clip.info.frames
    if options.duration:
        stop = max(first + 1, frame_at(info, options.start + options.duration))
    if first >= info.frames:
        raise ValueError(
            f"{name}: the clip is {float(info.duration):.2f} s long, so no frame is left after "
            f"{options.start} s. Set an earlier start."
        )
    check_skip(f"{name}: the clip", options.skip_first_frames, stop - first)
    first += options.skip_first_frames
    if options.frame_load_cap:
        stop = min(stop, first + options.frame_load_cap * options.select_every_nth)
    if (first, stop) != (0, info.frames):
        clip = apply(Trim(first, stop, name), clip)["clip"]
    if options.select_every_nth > 1:
        clip = apply(EveryNth(options.select_every_nth, name), clip)["clip"]
    return clip
