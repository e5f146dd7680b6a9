"""Frames in between: more (or fewer) of them in exactly the same time, or slow motion; depth and the other eye move along.

Depth keeps its own size; with a two-view clip it may have one view or two.
"""

from __future__ import annotations

import warnings
from fractions import Fraction
from types import SimpleNamespace

from ..clip import ClipInfo
from ..options import Option
from ..timeline import output_count, output_edge, parse_fps

OPTIONS = (
    Option("multiplier", 2, "How many frames each frame becomes; 2 turns 25 fps into 50.", low=1, high=16, step=1),
    Option("target_fps", "",
           "Target rate instead of the multiplier, higher or lower: 60, 23.976 or 24000/1001; empty: use the multiplier."),
    Option("slow_motion", False, "Keep the rate and let the clip play longer; its sound no longer fits and is dropped."),
    Option("quality", "medium", "How finely builtin measures motion; fast takes a third of the time and loses half a decibel to two.",
           choices=("fast", "medium")),
)


def target_fps(options: SimpleNamespace, info: ClipInfo) -> Fraction:
    """The rate at which new frames are made; in slow motion they play at the old one."""
    return parse_fps(options.target_fps) if options.target_fps.strip() else info.fps * options.multiplier


def describe(options: SimpleNamespace, frames: ClipInfo, depth: ClipInfo | None = None) -> dict[str, ClipInfo]:
    """``clip``, and ``depth`` in its own size where depth is given; ValueError where the options make no sense together."""
    fps = target_fps(options, frames)
    if options.slow_motion and fps <= frames.fps:
        raise ValueError("Slow motion needs a multiplier of at least 2, or a target fps above the clip's own.")
    count = output_count(frames, fps)
    if count < 1:
        raise ValueError(f"At {fps} fps nothing would be left of {frames.frames} frames; choose a higher target fps.")
    if depth is not None and depth.views > frames.views:
        raise ValueError("The depth has two views and the clip one; give the clip the depth was made from.")
    changes = dict(fps=frames.fps if options.slow_motion else fps, frames=count, times=None,
                   cuts=tuple(output_edge(cut, frames, fps) for cut in frames.cuts))
    if options.slow_motion:
        if frames.audio is not None:
            warnings.warn("Slow motion plays longer than its sound, so the sound is dropped.", stacklevel=2)
        changes["audio"] = None
    return {port: info.replace(**changes) for port, info in (("clip", frames), ("depth", depth)) if info is not None}
