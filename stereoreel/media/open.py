"""Open a video file, or apply the options of Extract Video to an existing clip."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.clip import Clip, apply
from ..core.file_cache import FileCache
from ..core.options import Options, option, shown
from ..core.transforms import Fit, Trim, Uncut, frame_at

if TYPE_CHECKING:
    from .read.probe import FileFacts

log = logging.getLogger(__name__)

SAMPLE = "sample"
NO_FOLDER = "none"


@dataclass(frozen=True)
class ExtractOptions(Options):
    """Options of Extract Video."""

    video: str = option(
        SAMPLE,
        "The video to open, from ComfyUI's input folder. sample is a rendered clip of four seconds with "
        "audio, included in the pack.",
        only=("folder", (NO_FOLDER,)),
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
    folder: str = option(
        NO_FOLDER,
        "A folder in ComfyUI's input folder, whose videos are used instead of the one chosen above, one each "
        "run: `index` selects it. `sample` stands for a folder that holds the sample only.",
        choices=(NO_FOLDER, SAMPLE),
        open=True,
        advanced=True,
    )
    index: int = option(
        0,
        "The video of `folder`, in natural order from 0. With `increment` below it, each run takes the next "
        "one: set the number of runs next to Run to the number of videos. Runs beyond the last are refused.",
        low=0,
        high=1_000_000,
        step=1,
        only=("folder", ()),
        counts=True,
    )


OPTIONS = ExtractOptions


def chosen_file(options: ExtractOptions, find: Callable[[str], Path]) -> Path:
    """Return the file that the options name; ``find`` returns the path of a name, and may refuse it.

    Raise ValueError or OSError if the folder does not exist, or has no video at the index.
    """
    from .folder import films_in

    if options.folder == NO_FOLDER:
        return find(options.video)
    place = find(options.folder)
    if options.folder == SAMPLE:
        return _at([place], options)
    if place.is_file():  # the terminal's --input
        return place
    return find(str(_at(films_in(place), options)))


def _at(films: Sequence[Path], options: ExtractOptions) -> Path:
    if options.index < len(films):
        return films[options.index]
    name, last = shown(options.folder), len(films) - 1
    if not films:
        raise ValueError(f"The folder {name} has no video. Put some into it, or choose another folder.")
    there = f"videos 0 to {last}" if last else "one video, number 0,"
    raise ValueError(
        f"The folder {name} has {there} and none at index {options.index}. To begin again, set index to 0."
    )


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
    )  # fmt: skip
    source.label = name
    if said := one_frame(source.facts):
        log.warning(said)
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
