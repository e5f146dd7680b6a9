"""Open a video file, or apply the options of Extract Video to an existing clip."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.clip import Clip, apply, makers_of
from ..core.file_cache import FileCache
from ..core.options import Options, option, shown
from ..core.transforms import EveryNth, Eye, Fit, Recut, Swap, Trim, Uncut, frame_at, square_width, squared
from .layouts.packing import ALTERNATING, ANAGLYPHS, AUTO, CHOICES, MONO, NAMED, SHARED, UNKNOWN, Packing

if TYPE_CHECKING:
    from .read.probe import FileFacts

log = logging.getLogger(__name__)

SAMPLE = "sample"
NO_FOLDER = "none"
EYES = ("left", "right")
SQUARE = "square"
MOST = 2**31 - 1  # frames


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
    packing: str = option(
        AUTO,
        "How a 3D film holds its left and right views, which become a clip of two views. auto: as its tags "
        "say, or else its file name (_SBS, _HSBS, _TB, _LRF …). mono: one view. full: each view has its own "
        "size; half: both are squeezed into the size of one; sbs: side by side; tb: left view on top; "
        "cross_eyed: full_sbs, right view first; interlaced and checkerboard: every second line or pixel; "
        "alternating: every second frame; anaglyph (red-cyan) and anaglyph_magenta (green-magenta): grey "
        "views, because their colours cannot be recovered; vr180: half spheres side by side.",
        choices=CHOICES,
        advanced=True,
    )
    swap_eyes: bool = option(
        False, "Swap the two views, if a 3D film shows the right eye's view first.", advanced=True
    )
    view: str = option(
        "both",
        "Views of a 3D film: `both`, or one of them as a clip with one view, such as the left one to render "
        "a new stereo pair from it.",
        choices=("both", *EYES),
        advanced=True,
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

    judged = ("background",)

    def check(self) -> None:
        from .read.transparency import parse_color

        parse_color(self.background)


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
    decided: Packing | None = None,
) -> Clip:
    """Open a file as a clip, with these options, and say if it is an image or holds two views."""
    from .read.decode import FileSource

    clip = file_clip(path, options, name, tick, look, files, decided)
    for source in makers_of([clip]):
        if isinstance(source, FileSource):
            if said := one_frame(source.facts):
                log.warning(said)
            if look and (said := packing_said(source.facts, source.packing)):
                doubtful = source.packing is not None and source.packing.doubtful
                log.log(logging.WARNING if doubtful else logging.INFO, said)
    return clip


def file_clip(
    path: Path,
    options,
    name: str,
    tick: Callable[[int, int], None] | None = None,
    look: bool = True,
    files: FileCache | None = None,
    decided: Packing | None = None,
) -> Clip:
    """Open a file as a clip, with these options.

    ``tick`` receives the progress of the cut detection, which ``look=False`` skips. ``files`` caches the
    results. ``decided`` is a packing that was decided before, which auto keeps.
    """
    from .read.decode import FileSource

    window = partial(
        FileSource, path, start=options.start, duration=options.duration, max_side=options.max_side,
        cuts=options.cuts, sensitivity=options.sensitivity, tick=tick, look=look,
        square=options.pixel_aspect == SQUARE, background=options.background,
        picture_fps=Fraction(str(options.picture_fps)), linear_light=options.linear_light,
    )  # fmt: skip
    counts = {
        "skip": options.skip_first_frames,
        "every": options.select_every_nth,
        "most": options.frame_load_cap,
    }
    source = window(files=files, **counts)
    packing = packing_of(source.facts, path.name, options.packing, decided)
    pairs = packing.kind == ALTERNATING  # which are chosen, not their frames
    if pairs:
        source = window(files=source.files, start=0, duration=0)
    source.label, source.packing = name, packing
    if packing.views == 1 and not source.facts.views:
        return Clip(source)
    clip = _views(Clip(source), packing, options, name)
    if pairs:
        clip = _counted(_windowed(clip, options, name), options, name)
    return _fitted(clip, options, name)


def one_frame(facts: FileFacts) -> str:
    """Say that a file is an image and becomes a clip of one frame; empty for any other file."""
    from .read.container import is_image

    if facts.frames > 1 or facts.pictures or not is_image(facts.path):
        return ""
    return f"{facts.path.name} is an image, so the clip has one frame. Choose a video for more."


def packing_said(facts: FileFacts, packing: Packing | None) -> str:
    """Say what decided that a file holds two views, and what to do if it is wrong; empty for one view."""
    if packing is None or packing.kind == MONO:
        return ""
    file = facts.path.name
    if packing.kind == UNKNOWN:
        return (
            f"{file} says that it is stereoscopic, but not how, so it is opened as one view. "
            "If its frames show two, set packing."
        )
    grey = " Their colours cannot be recovered, so they are grey." if packing.kind in ANAGLYPHS else ""
    wrong = " If it does not, set packing to mono." if packing.reason else ""
    return f"{file} holds two views: {packing}.{grey}{wrong}"


def packing_of(facts: FileFacts, name: str, chosen: str = AUTO, decided: Packing | None = None) -> Packing:
    """Return the packing that is chosen, else the one decided before, else that of the tags or the name.

    The views of a stream with two are separate already, whatever is chosen.
    """
    from .read.stereo import read_name

    if facts.views:
        return NAMED["mono"]
    (width, height), aspect = facts.upright, facts.pixel_aspect
    found = NAMED[chosen] if chosen != AUTO else decided or facts.packing
    if found is None or (found.kind == UNKNOWN and not decided):
        found = read_name(name, width / height) or found or NAMED["mono"]
    return found.fitted(width, height, aspect)


def from_clip(
    clip: Clip, options, name: str, tick: Callable[[int, int], None] | None = None, look: bool = True
) -> Clip:
    """Apply the options to an existing clip.

    A clip that is a complete file is opened again, so that only the selected part is searched for cuts.
    """
    from .read.decode import FileSource

    source, info = clip.maker, clip.info
    if isinstance(source, FileSource) and source.whole:
        same: dict = {"picture_fps": float(source.facts.fps)} if source.facts.pictures else {}
        if options.background == ExtractOptions.background:
            same["background"] = source.background
        options = replace(options, **same, linear_light=source.linear_light)
        return open_file(source.facts.path, options, name, tick, look, source.files, source.packing)
    packing = NAMED["mono"]
    if isinstance(source, FileSource) and source.native:
        packing = packing_of(source.facts, source.facts.path.name, options.packing, source.packing)
    elif options.packing != AUTO:
        packing = NAMED[options.packing].fitted(info.width, info.height, info.pixel_aspect)
    if packing.kind == ALTERNATING and info.views == 1:  # pairs of frames are counted
        clip = _unpacked(clip, packing, options, name)
    clip = _counted(_windowed(clip, options, name), options, name)
    if clip.info.views == 2 or packing.views == 2:
        clip = _views(clip, packing, options, name)
    clip = squared(clip, name) if options.pixel_aspect == SQUARE else clip
    clip = _fitted(clip, options, name)
    return clip if options.cuts or not clip.info.cuts else apply(Uncut(name), clip)["clip"]


def _views(clip: Clip, packing: Packing, options, name: str) -> Clip:
    """Return the two views of a clip, or the one that is chosen.

    The packing is that of a clip with one view.
    """
    if clip.info.views == 1:
        clip = _unpacked(clip, packing, options, name)
    if options.swap_eyes:
        clip = apply(Swap(name), clip)["clip"]
    return clip if options.view == "both" else apply(Eye(EYES.index(options.view), name), clip)["clip"]


def _fitted(clip: Clip, options, name: str) -> Clip:
    """Return a clip of at most ``max_side`` pixels."""
    if options.max_side and max(clip.info.width, clip.info.height) > options.max_side:
        return apply(Fit(options.max_side, name), clip)["clip"]
    return clip


def _unpacked(clip: Clip, packing: Packing, options, name: str) -> Clip:
    """Return the views of frames that hold two; those of a file are taken before any resizing."""
    from .layouts.unpack import Unpack, UnpackPairs
    from .read.decode import FileSource

    if packing.kind == ALTERNATING:
        between = sorted({cut // 2 * 2 for cut in clip.info.cuts} - {0})  # pairs
        clip = apply(Recut(", ".join(map(str, between)) or "none", name), clip)["clip"]
        return apply(UnpackPairs(packing.right_first, name), clip)["clip"]
    width, height = clip.info.width, clip.info.height
    if packing.kind in SHARED:
        source, aspect = clip.maker, clip.info.pixel_aspect
        if isinstance(source, FileSource):
            (width, height), aspect = source.facts.upright, source.facts.pixel_aspect
        width, height, aspect = packing.view(width, height, aspect)
        if options.pixel_aspect == SQUARE:
            width, aspect = square_width(width, aspect), Fraction(1)
        if isinstance(source, FileSource):
            clip = Clip(source.as_stored(aspect))
    if min(width, height) < 1:
        raise ValueError(f"{name}: its frames are too small to hold two views. Set packing to mono.")
    return apply(Unpack(packing.kind, packing.right_first, width, height, name), clip)["clip"]


def _windowed(clip: Clip, options, name: str) -> Clip:
    """Return the chosen seconds of a clip; raise ValueError if there is none."""
    info, first, stop = clip.info, frame_at(clip.info, options.start), clip.info.frames
    if options.duration:
        stop = max(first + 1, frame_at(info, options.start + options.duration))
    if first >= info.frames:
        raise ValueError(
            f"{name}: the clip is {float(info.duration):.2f} s long, so no frame is left after "
            f"{options.start} s. Set an earlier start."
        )
    return clip if (first, stop) == (0, info.frames) else apply(Trim(first, stop, name), clip)["clip"]


def _counted(clip: Clip, options, name: str) -> Clip:
    """Return the frames of a clip that the counts choose; raise ValueError if there is none."""
    from .read.selection import check_skip

    info, first, stop = clip.info, options.skip_first_frames, clip.info.frames
    check_skip(f"{name}: the clip", first, stop)
    if options.frame_load_cap:
        stop = min(stop, first + options.frame_load_cap * options.select_every_nth)
    if (first, stop) != (0, info.frames):
        clip = apply(Trim(first, stop, name), clip)["clip"]
    if options.select_every_nth > 1:
        clip = apply(EveryNth(options.select_every_nth, name), clip)["clip"]
    return clip
