"""Open a video file, or apply the options of Extract Video to an existing clip."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.clip import Clip, apply
from ..core.file_cache import FileCache
from ..core.options import Options, option
from ..core.transforms import Eye, Fit, Recut, Swap, Trim, Uncut, frame_at
from .layouts.packing import ALTERNATING, ANAGLYPHS, AUTO, CHOICES, MONO, NAMED, SHARED, UNKNOWN, Packing

if TYPE_CHECKING:
    from .read.probe import FileFacts

log = logging.getLogger(__name__)

SAMPLE = "sample"
EYES = ("left", "right")


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


OPTIONS = ExtractOptions


def open_file(
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

    source = FileSource(
        path, start=options.start, duration=options.duration, max_side=options.max_side,
        cuts=options.cuts, sensitivity=options.sensitivity, tick=tick, look=look, files=files,
    )  # fmt: skip
    source.label = name
    source.packing = packing = packing_of(source.facts, path.name, options.packing, decided)
    if said := one_frame(source.facts):
        log.warning(said)
    if look and (said := packing_said(source.facts, packing)):
        log.log(logging.WARNING if packing.doubtful else logging.INFO, said)
    return Clip(source) if packing.views == 1 else _views(Clip(source), packing, options, name)


def one_frame(facts: FileFacts) -> str:
    """Say that a file is an image and becomes a clip of one frame; empty for any other file."""
    from .read.container import is_image

    if facts.frames > 1 or not is_image(facts.path):
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
    """Return the packing that is chosen, else the one decided before, else that of the tags or the name."""
    from .read.stereo import read_name

    width, height, aspect = facts.stored
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
        return open_file(source.facts.path, options, name, tick, look, source.files, source.packing)
    packing = NAMED["mono"]
    if isinstance(source, FileSource) and source.full_size:
        packing = packing_of(source.facts, source.facts.path.name, options.packing, source.packing)
    elif options.packing != AUTO:
        packing = NAMED[options.packing].fitted(info.width, info.height, Fraction(1))
    if options.start or options.duration:
        stop = frame_at(info, options.start + options.duration) if options.duration else info.frames
        clip = apply(Trim(frame_at(info, options.start), stop, name), clip)["clip"]
        if not clip.info.frames:
            raise ValueError(
                f"{name}: the clip is {float(info.duration):.2f} s long, so no frame is left after "
                f"{options.start} s. Set an earlier start."
            )
    if info.views == 2 or packing.views == 2:
        clip = _views(clip, packing, options, name)
    elif options.max_side and max(info.width, info.height) > options.max_side:
        clip = apply(Fit(options.max_side, name), clip)["clip"]
    return clip if options.cuts or not clip.info.cuts else apply(Uncut(name), clip)["clip"]


def _views(clip: Clip, packing: Packing, options, name: str) -> Clip:
    """Return the two views of a clip, or the one that is chosen, at most ``max_side`` long.

    The packing is that of a clip with one view.
    """
    if clip.info.views == 1:
        clip = _unpacked(clip, packing, name)
    if options.max_side and max(clip.info.width, clip.info.height) > options.max_side:
        clip = apply(Fit(options.max_side, name), clip)["clip"]
    if options.swap_eyes:
        clip = apply(Swap(name), clip)["clip"]
    return clip if options.view == "both" else apply(Eye(EYES.index(options.view), name), clip)["clip"]


def _unpacked(clip: Clip, packing: Packing, name: str) -> Clip:
    """Return the views of frames that hold two; those of a file are taken before any resizing."""
    from .layouts.unpack import Unpack, UnpackPairs
    from .read.decode import FileSource
    from .read.probe import square_width

    if packing.kind == ALTERNATING:
        between = sorted({cut // 2 * 2 for cut in clip.info.cuts} - {0})  # pairs
        clip = apply(Recut(", ".join(map(str, between)) or "none", name), clip)["clip"]
        return apply(UnpackPairs(packing.right_first, name), clip)["clip"]
    width, height, aspect = clip.info.width, clip.info.height, Fraction(1)
    if packing.kind in SHARED:
        if isinstance(clip.maker, FileSource):
            width, height, aspect = clip.maker.facts.stored
            clip = Clip(clip.maker.as_stored())
        width, height, aspect = packing.view(width, height, aspect)
        width = square_width(width, aspect)
    if min(width, height) < 1:
        raise ValueError(f"{name}: its frames are too small to hold two views. Set packing to mono.")
    return apply(Unpack(packing.kind, packing.right_first, width, height, name), clip)["clip"]
