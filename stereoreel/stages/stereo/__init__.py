"""Stereo: render left and right views from one frame and its depth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ...core.clip import Clip, ClipInfo
from ...core.options import ModelOptions, option
from .comfort import BY_HAND, STRENGTHS
from .shot_table import parsed

if TYPE_CHECKING:
    from .look_ahead import LookAhead

HANDMADE = ("strength", (BY_HAND,))
FROM_ENCODE = "device"  # a screen: that of the device which Encode Video writes for


@dataclass(frozen=True)
class StereoOptions(ModelOptions):
    """Options of the rendering of a stereo pair."""

    divergence: float = option(
        2.0,
        "Strength of the effect: the parallax between the views from the farthest to the nearest point, in "
        "percent of the width. 1 is gentle, 2 suits most screens, above 4 strains the eyes on a large one.",
        low=0.0,
        high=10.0,
        step=0.1,
        only=HANDMADE,
    )
    convergence_mode: str = option(
        "auto",
        "`auto` puts the zero-parallax plane half-way between the near and far ends of each scene and "
        "follows slowly; `fixed` uses `convergence`.",
        choices=("auto", "fixed"),
        advanced=True,
    )
    convergence: float = option(
        0.5,
        "Depth of the zero-parallax plane if convergence_mode is fixed: at 0 everything is in front of the "
        "screen, at 1 everything is behind.",
        low=0.0,
        high=1.0,
        step=0.01,
        only=("convergence_mode", ("fixed",)),
    )
    view: str = option(
        "both",
        "Views to render: `both` move by half each; `left` renders the left one and keeps the frames as "
        "the right view; `right` renders the right one and keeps the frames as the left view.",
        choices=("both", "left", "right"),
        advanced=True,
    )
    swap_eyes: bool = option(
        False, "Swap the two views (and their hole masks), for cross-eyed viewing.", advanced=True
    )
    screen: str = option(
        "none",
        "Intended screen: logs the divergence in millimetres for this screen, and `limit` keeps within its "
        "comfortable range. `device` is the screen of the device that Encode Video writes for, or a "
        "television if it names none.",
        choices=("none", "phone", "tv", "cinema", "vr headset", FROM_ENCODE),
    )
    limit: bool = option(
        False,
        "Compress parallax that would strain the eyes on the selected screen to its comfortable range; "
        "other parallax stays unchanged.",
        only=("screen", ()),
    )
    foreground_scale: float = option(
        0.0,
        "Above 0, near objects get more of the depth range and far ones less; below 0, the reverse. 1 "
        "doubles the relief of the nearest and halves that of the farthest.",
        low=-2.0,
        high=2.0,
        step=0.1,
        advanced=True,
    )
    border: float = option(
        0.0,
        "Fade out the effect towards the left and right borders, over this many percent of the width (more "
        "if divergence is so large that surfaces would tear), so that no border cuts off objects in front "
        "of it; 0 is off.",
        low=0.0,
        high=25.0,
        step=0.5,
        advanced=True,
    )
    floating_window: bool = option(
        False,
        "If a side border cuts off an object in front of the screen, cover it with a black bar in one "
        "view, which brings the border forward.",
        advanced=True,
    )
    fill: str = option(
        "background",
        "Fill of disocclusions (holes): `background` continues the background from all sides, smoothly; "
        "`inpaint` also uses background visible in up to 12 frames before and after, if any; `stretch` "
        "repeats the adjacent background pixel, with streaks; `blend` does too and mixes rows.",
        choices=("stretch", "blend", "inpaint", "background"),
    )
    edges: str = option(
        "snap",
        "Upsampling of depth smaller than the frames: `snap` aligns depth edges with image edges; `smooth` "
        "only interpolates.",
        choices=("snap", "smooth"),
        advanced=True,
    )
    strength: str = option(
        BY_HAND,
        "`by hand` uses divergence and convergence. With the others every shot gets the strongest effect "
        "that stays within a third (`gentle`), two thirds (`normal`) or all (`strong`) of the comfortable "
        "range of the screen, a television's without one, and large jumps of depth at cuts are eased.",
        choices=(BY_HAND, *STRENGTHS),
    )
    plan: str = option(
        "",
        "Strength (divergence) and convergence by shot, as CSV with a line for each: its first frame, its "
        "strength, its convergence, such as 48, 2.5, 0.4. If empty, all shots are alike with strength by "
        "hand; else it is found from excerpts of the depth before the first frame.",
        advanced=True,
        lines=True,
    )

    judged = ("limit", "screen", "strength", "plan")

    def check(self) -> None:
        if self.plan.strip() and not parsed(self.plan):
            raise ValueError("Stereo's plan holds no shots. Write a line for each, such as 0,2.5,0.5.")
        if self.limit and self.screen == "none" and self.strength == BY_HAND:
            raise ValueError("Stereo's limit needs a screen. Choose one for screen, or switch limit off.")


OPTIONS = StereoOptions
MASKS = ("left_holes", "right_holes")
FAITHFUL = False  # its output shows the scene at other positions
COLOUR = 0.01  # mean difference between channels; a grey video decoded from 4:2:0 stays below 0.004
NO_DEPTH = (
    "Stereo's depth input shows an image, not a depth map. Connect the depth of Estimate Depth, and do not "
    "bypass that node."
)
TWO_VIEWS = (
    "Input already has two views. Connect it straight to Encode Video, or set view to left in Extract Video "
    "to render a new pair from the left view."
)


def ahead(clips: Sequence[Clip]) -> LookAhead:
    """Return what finds the strength of each shot in the complete clips, frames and depth."""
    from .look_ahead import LookAhead

    return LookAhead(clips)


def context(options: StereoOptions, frames: ClipInfo) -> tuple[int, int]:
    """Return how many extra frames before and after each sample the stage needs in an excerpt."""
    return (12, 12) if options.fill == "inpaint" else (0, 0)


def describe(
    options: StereoOptions, frames: ClipInfo, depth: ClipInfo, text: ClipInfo | None = None
) -> dict[str, ClipInfo]:
    """Return the info of the stereo pair and of each view's hole mask; the depth can have another size.

    ``text`` is that of ``BarText``, which clips with bars have.
    Raise ValueError if the frames are a stereo pair or a depth map, the depth has two views, or a limit is
    set without a screen.
    """
    options.check()
    if frames.views == 2:
        raise ValueError(TWO_VIEWS)
    if frames.channels == 1:
        raise ValueError(
            "Stereo's clip input is a depth map. Connect the colour frames to clip and the depth to depth."
        )
    if depth.views == 2:
        raise ValueError("Stereo's depth input has two views. Connect the depth of the single-view clip.")
    holes = frames.replace(channels=1, views=1)
    return {"clip": frames.replace(views=2), "left_holes": holes, "right_holes": holes}


def check_depth(chunk: Tensor) -> None:
    """Raise ValueError if a depth chunk ``[..., C]`` has three channels that differ."""
    if chunk.shape[-1] < 3:
        return
    red, green, blue = chunk[..., :3].float().unbind(-1)
    if torch.maximum((red - green).abs().mean(), (green - blue).abs().mean()).item() > COLOUR:
        raise ValueError(NO_DEPTH)
