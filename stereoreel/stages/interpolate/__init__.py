"""Frame interpolation to a higher or lower rate in exactly the same time, or slow motion.

Depth and the second view follow the same timing. Depth keeps its own size; with a two-view clip it may have
one view or two.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from ...core.clip import ClipInfo, Soundtrack
from ...core.options import DOWNLOAD, LIVE, LIVE_MODE, ModelOptions, field_of, option
from ...core.timeline import output_count, output_edge, parse_fps
from ...core.transforms import AUTO_CUTS, parse_cuts
from ...image.compute import PRECISIONS
from .pairs import Schedule

# the archs that read an option, as its ``only``
BY_FLOW = ("model", ("builtin", "nvidia"))
RIFE = ("model", ("rife", "checkpoint"))
NETWORKS = ("model", ("rife", "film", "checkpoint"))


@dataclass(frozen=True)
class InterpolateOptions(ModelOptions):
    """Options of a frame interpolator."""

    multiplier: int = option(
        2, "Output frames per input frame; 2 turns 25 fps into 50.", low=1, high=16, step=1
    )
    target_fps: str = option(
        "",
        "Target rate instead of the multiplier, higher or lower: 60, 23.976 or 24000/1001. Empty: use the "
        "multiplier.",
    )
    slow_motion: bool = option(
        False, "Keep the frame rate, so the clip plays longer. The audio no longer fits and is dropped."
    )
    quality: str = option(
        "medium",
        "Precision of builtin's optical flow; `fast` takes about two thirds of the time and loses up to "
        "1.5 dB. Also sets the mode of NVIDIA's frame generation.",
        choices=("fast", "medium"),
        advanced=True,
        only=BY_FLOW,
    )
    ending: str = option(
        "keep duration",
        "Output after the last frame: repeat that frame, so duration and audio stay in sync, or end the "
        "clip on its last frame.",
        choices=("keep duration", "last frame"),
        advanced=True,
    )
    loop: bool = option(
        False,
        "Interpolate from the last frame to the first, for clips played in a loop.",
        advanced=True,
    )
    duplicates: str = option(
        "keep",
        "Repeated frames (animation, telecine): keep them, or interpolate smoothly across them.",
        choices=("keep", "smooth"),
        advanced=True,
    )
    schedule: str = option(
        "",
        "Exceptions for frame pairs, by the number of their first frame: 12: hold; 40-55: 2; 60-70: blend. "
        "A number is the count of steps to the next frame. The duration never changes.",
        advanced=True,
    )
    cuts: str = option(
        "auto",
        "Cuts that interpolation must not cross: `auto` uses the clip's own, `none` ignores them; or list "
        "the first frames of new shots, such as 48, 120.",
        advanced=True,
    )
    uncertain: str = option(
        "keep",
        "Output where the two warped frames disagree: the model's result, the nearer frame, or a mix of "
        "both frames.",
        choices=("keep", "hold", "blend"),
        advanced=True,
    )
    scale: str = option(
        "auto",
        "Scale of RIFE's motion search; smaller is faster and finds larger motion. `auto`: half for 4K.",
        choices=("auto", "1", "0.5", "0.25", "2"),
        advanced=True,
        only=RIFE,
    )
    ensemble: bool = option(
        False,
        "Also run RIFE on each pair in reverse: twice the time, slightly better. Versions up to 4.20, and "
        "4.24.",
        advanced=True,
        only=RIFE,
    )
    lite_scales: str = option(
        "32 16 8 4 1",
        "Scales of RIFE 4.25.lite, on which its ports disagree. Other versions ignore it.",
        choices=("32 16 8 4 1", "16 8 4 2 1"),
        advanced=True,
        only=RIFE,
    )
    batch: int = option(
        0,
        "Frames per batch of a model; 0: chosen by frame size.",
        low=0,
        high=32,
        step=1,
        advanced=True,
        only=NETWORKS,
        word="auto",
    )
    precision: str = option(
        "auto",
        "Dtype of the model's convolutions. Optical flow and sampling always use float32.",
        choices=PRECISIONS,
        advanced=True,
        only=NETWORKS,
    )
    download: bool = field_of(DOWNLOAD)
    live: str = field_of(LIVE)
    live_mode: str = field_of(LIVE_MODE)

    judged = ("target_fps", "schedule", "cuts")

    def check(self) -> None:
        if self.target_fps.strip():
            try:
                parse_fps(self.target_fps)
            except ValueError as error:
                raise ValueError(f"target_fps: {error}") from None
        elif self.slow_motion and self.multiplier == 1:
            raise ValueError(SLOWER)
        Schedule(self.schedule)
        if self.cuts.strip() not in AUTO_CUTS:
            parse_cuts(self.cuts)
        if self.loop and self.ending != "keep duration":
            raise ValueError(LOOPS)


OPTIONS = InterpolateOptions
MOST_FPS = 480  # highest rate of displays
SLOWER = "Slow motion needs a multiplier of at least 2, or a target fps above the clip's own."
LOOPS = (
    "A loop needs a clip of a single shot (set cuts to none if it is one) and ending set to keep duration."
)


def target_fps(options: InterpolateOptions, info: ClipInfo) -> Fraction:
    """Return the rate of interpolation; in slow motion, the frames play at the old rate."""
    return parse_fps(options.target_fps) if options.target_fps.strip() else info.fps * options.multiplier


FAITHFUL = True  # keeps everything at its position in the frame


def context(options: InterpolateOptions, frames: ClipInfo) -> tuple[int, int]:
    """Return how many extra frames before and after each sample the stage needs in an excerpt."""
    return (5, 5) if options.duplicates == "smooth" else (1, 1)


def describe(
    options: InterpolateOptions, frames: ClipInfo, depth: ClipInfo | None = None
) -> dict[str, ClipInfo]:
    """Return the info of ``clip``, ``depth`` (if connected, in its own size) and ``confidence``.

    Raise ValueError if options contradict each other.
    """
    fps = target_fps(options, frames)
    if options.slow_motion and fps <= frames.fps:
        raise ValueError(SLOWER)
    if not options.slow_motion and fps > MOST_FPS and fps > frames.fps:
        raise ValueError(
            f"A rate of {float(fps):g} fps would make {output_count(frames, fps)} frames of {frames.frames}. "
            f"Choose at most {MOST_FPS} fps, or slow_motion."
        )
    if options.loop and frames.cuts:
        raise ValueError(LOOPS)
    count = ending(options, frames)
    if count < 1:
        raise ValueError(
            f"At {fps} fps no frame of {frames.frames} would remain. Choose a higher target fps."
        )
    if depth is not None and depth.views > frames.views:
        raise ValueError(
            "The depth has two views and the clip one. Connect the clip that the depth was computed from."
        )
    changes: dict[str, Any] = dict(
        fps=frames.fps if options.slow_motion else fps,
        frames=count,
        times=None,
        cuts=tuple(min(count, output_edge(cut, frames, fps)) for cut in frames.cuts),
    )
    if options.slow_motion:
        changes["audio"] = _slowed(frames, fps)
        if frames.audio is not None:
            lost = "the audio is dropped" if changes["audio"] else "audio, subtitles and chapters are dropped"
            warnings.warn(f"Slow motion plays longer than its source, so {lost}.", stacklevel=2)
    infos = {"clip": frames, "depth": depth, "confidence": frames.replace(channels=1)}
    return {port: info.replace(**changes) for port, info in infos.items() if info is not None}


def _slowed(frames: ClipInfo, fps: Fraction) -> Soundtrack | None:
    """Return the subtitles and chapters of a clip in slow motion; None if its rate varies, or it has none."""
    track = frames.audio
    if not isinstance(track, Soundtrack) or frames.times:
        return None
    slower = fps / frames.fps
    duration = None if track.duration is None else track.duration * slower
    return replace(track, pace=track.pace / slower, duration=duration)


def ending(options: InterpolateOptions, info: ClipInfo) -> int:
    """Return the frame count at the new rate."""
    fps = target_fps(options, info)
    if options.ending == "keep duration":
        return output_count(info, fps)
    return int((info.time(info.frames - 1) - info.time(0)) * fps) + 1
