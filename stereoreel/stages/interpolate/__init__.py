"""Frames in between: more (or fewer) of them in exactly the same time, or slow motion; depth and the other eye move along.

Depth keeps its own size; with a two-view clip it may have one view or two.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from fractions import Fraction

from ...core.clip import ClipInfo
from ...core.options import DOWNLOAD, LIVE, LIVE_MODE, ModelOptions, field_of, option
from ...core.timeline import output_count, output_edge, parse_fps
from ...image.compute import PRECISIONS
from .pairs import Schedule


@dataclass(frozen=True)
class InterpolateOptions(ModelOptions):
    """Options of a frame interpolator."""

    multiplier: int = option(
        2, "How many frames each frame becomes; 2 turns 25 fps into 50.", low=1, high=16, step=1
    )
    target_fps: str = option(
        "",
        "Target rate instead of the multiplier, higher or lower: 60, 23.976 or 24000/1001; empty: use "
        "the multiplier.",
    )
    slow_motion: bool = option(
        False, "Keep the rate and let the clip play longer; its sound no longer fits and is dropped."
    )
    quality: str = option(
        "medium",
        "How finely builtin measures motion; fast takes about two thirds of the time and loses up "
        "to a decibel and a half. Also the mode of NVIDIA's frame generation.",
        choices=("fast", "medium"),
    )
    ending: str = option(
        "keep duration",
        "What stands after the last frame: that frame, so that the duration stays and the "
        "sound fits; or nothing, so that the clip ends on its last frame.",
        choices=("keep duration", "last frame"),
        advanced=True,
    )
    loop: bool = option(
        False,
        "Move on from the last frame to the first, for clips that are played round and round.",
        advanced=True,
    )
    duplicates: str = option(
        "keep",
        "Frames that repeat the one before (drawn film, telecine): keep them, or let motion run "
        "smoothly past them.",
        choices=("keep", "smooth"),
    )
    schedule: str = option(
        "",
        "Pairs that are made otherwise, by the number of their first frame: 12: hold; 40-55: 2; 60-70: "
        "blend. A number is into how many steps the way to the next frame is divided; the duration never "
        "changes.",
        advanced=True,
    )
    cuts: str = option(
        "auto",
        "Where motion must not cross: auto takes the clip's own cuts, none ignores them; or the "
        "frames that begin a new shot, such as 48, 120.",
        advanced=True,
    )
    uncertain: str = option(
        "keep",
        "What stands where the two frames, moved, disagree: the model's answer, the nearer frame, "
        "or a mix of both.",
        choices=("keep", "hold", "blend"),
        advanced=True,
    )
    scale: str = option(
        "auto",
        "Size at which RIFE looks for motion; smaller is faster and finds larger motion. auto: half for 4K.",
        choices=("auto", "1", "0.5", "0.25", "2"),
        advanced=True,
    )
    ensemble: bool = option(
        False,
        "Let RIFE look at each pair in reverse too: twice the time, slightly better; versions up to "
        "4.20, and 4.24.",
        advanced=True,
    )
    lite_scales: str = option(
        "32 16 8 4 1",
        "The scales at which RIFE 4.25.lite works, on which its ports disagree; other versions ignore it.",
        choices=("32 16 8 4 1", "16 8 4 2 1"),
        advanced=True,
    )
    batch: int = option(
        0,
        "How many frames a network makes together; 0: as suits their size.",
        low=0,
        high=32,
        step=1,
        advanced=True,
    )
    precision: str = option(
        "auto",
        "Number type of the network's convolutions; motion and sampling are in float32 always.",
        choices=PRECISIONS,
        advanced=True,
    )
    download: bool = field_of(DOWNLOAD)
    live: str = field_of(LIVE)
    live_mode: str = field_of(LIVE_MODE)


OPTIONS = InterpolateOptions
MOST_FPS = 480  # that screens show


def target_fps(options: InterpolateOptions, info: ClipInfo) -> Fraction:
    """The rate at which new frames are made; in slow motion they play at the old one."""
    return parse_fps(options.target_fps) if options.target_fps.strip() else info.fps * options.multiplier


FAITHFUL = True  # moves nothing from where a viewer sees it


def context(options: InterpolateOptions) -> tuple[int, int]:
    """How many frames before and after one an excerpt gives the stage, beside those it lies between."""
    return (5, 5) if options.duplicates == "smooth" else (1, 1)


def describe(
    options: InterpolateOptions, frames: ClipInfo, depth: ClipInfo | None = None
) -> dict[str, ClipInfo]:
    """``clip``, ``depth`` in its own size where depth is given, and ``confidence``; ValueError where options make no sense together."""
    fps = target_fps(options, frames)
    if options.slow_motion and fps <= frames.fps:
        raise ValueError(
            "Slow motion needs a multiplier of at least 2, or a target fps above the clip's own."
        )
    if not options.slow_motion and fps > max(MOST_FPS, frames.fps):
        raise ValueError(
            f"A rate of {float(fps):g} fps would make {output_count(frames, fps)} frames of {frames.frames}; "
            f"choose at most {MOST_FPS} fps, or slow_motion."
        )
    Schedule(options.schedule)
    if options.loop and (frames.cuts or options.ending != "keep duration"):
        raise ValueError(
            "A loop needs a clip of a single shot (set cuts to none if it is one) and ending set to keep duration."
        )
    count = ending(options, frames)
    if count < 1:
        raise ValueError(
            f"At {fps} fps nothing would be left of {frames.frames} frames; choose a higher target fps."
        )
    if depth is not None and depth.views > frames.views:
        raise ValueError("The depth has two views and the clip one; give the clip the depth was made from.")
    changes = dict(
        fps=frames.fps if options.slow_motion else fps,
        frames=count,
        times=None,
        cuts=tuple(min(count, output_edge(cut, frames, fps)) for cut in frames.cuts),
    )
    if options.slow_motion:
        if frames.audio is not None:
            warnings.warn("Slow motion plays longer than its sound, so the sound is dropped.", stacklevel=2)
        changes["audio"] = None
    infos = {"clip": frames, "depth": depth, "confidence": frames.replace(channels=1)}
    return {port: info.replace(**changes) for port, info in infos.items() if info is not None}


def ending(options: InterpolateOptions, info: ClipInfo) -> int:
    """How many frames there are at the new rate."""
    fps = target_fps(options, info)
    if options.ending == "keep duration":
        return output_count(info, fps)
    return int((info.time(info.frames - 1) - info.time(0)) * fps) + 1
