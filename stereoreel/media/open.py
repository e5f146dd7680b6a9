"""Open a video file, or apply the options of Extract Video to an existing clip."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.bars import shot_picture
from ..core.clip import Clip, apply, makers_of
from ..core.file_cache import FileCache
from ..core.transforms import (
    Crop,
    EveryNth,
    Eye,
    Fit,
    Recut,
    Swap,
    Trim,
    Unbarred,
    Uncut,
    frame_at,
    square_width,
    squared,
)
from .extract_options import CROP, EYES, OFF, SQUARE, ExtractOptions
from .layouts.packing import ALTERNATING, ANAGLYPHS, AUTO, MONO, NAMED, SHARED, UNKNOWN, Packing

if TYPE_CHECKING:
    from .read.file_facts import FileFacts

log = logging.getLogger(__name__)

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
        bars=options.bars,
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
        return _within_bars(Clip(source), options, name)
    clip = _views(Clip(source), packing, options, name)
    if pairs:
        clip = _counted(_windowed(clip, options, name), options, name)
    return _within_bars(_fitted(clip, options, name), options, name)


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
    clip = _within_bars(_fitted(clip, options, name), options, name)
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


def _within_bars(clip: Clip, options, name: str) -> Clip:
    """Return a clip with its bars, without them, or with bars that count as picture."""
    info = clip.info
    if not info.bars or options.bars not in (CROP, OFF):
        return clip
    if options.bars == OFF:
        return apply(Unbarred(name), clip)["clip"]
    picture = shot_picture(info, 0, info.frames)
    if (picture.width, picture.height) == (
        info.width,
        info.height,
    ):  # the bars are on other sides in each shot
        return clip
    # no codec of ordinary files takes an odd side
    width, height = (max(1, side - side % 2) for side in (picture.width, picture.height))
    return apply(Crop(picture.left, picture.top, width, height, name), clip)["clip"]


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
