"""Stereo: the pictures of a left and a right eye from one picture and its depth."""

from dataclasses import dataclass

from torch import Tensor

from ...core.clip import ClipInfo
from ...core.options import ModelOptions, option


@dataclass(frozen=True)
class StereoOptions(ModelOptions):
    """Options of the rendering of a stereo pair."""

    divergence: float = option(
        2.0,
        "How strong the effect is: the parallax between both eyes from the farthest to the nearest "
        "point, in percent of the width. 1 is gentle, 2 suits most screens, above 4 strains the eyes on a "
        "large one.",
        low=0.0,
        high=10.0,
        step=0.1,
    )
    convergence_mode: str = option(
        "auto",
        "auto puts the screen half-way between the near and the far end of each scene and follows "
        "slowly; fixed uses `convergence`.",
        choices=("auto", "fixed"),
    )
    convergence: float = option(
        0.5,
        "The depth that lies on the screen, when convergence_mode is fixed: at 0 everything stands out "
        "in front, at 1 everything lies behind.",
        low=0.0,
        high=1.0,
        step=0.01,
    )
    view: str = option(
        "both",
        "Which eye is made: both move half each; left makes the left one and keeps the frames as "
        "the right eye; right makes the right one and keeps the frames as the left eye.",
        choices=("both", "left", "right"),
    )
    swap_eyes: bool = option(
        False, "Exchange the two pictures (and their hole masks), for cross-eyed viewing."
    )
    screen: str = option(
        "none",
        "Where the pair will be watched: the log tells what `divergence` is there in millimetres, "
        "and `limit` keeps within what is comfortable there.",
        choices=("none", "phone", "tv", "cinema", "vr headset"),
    )
    limit: bool = option(
        False,
        "Bend parallax that would strain the eyes on the chosen screen back to what is comfortable "
        "there; the rest stays.",
    )
    foreground_scale: float = option(
        0.0,
        "Above 0 the near things get more of the depth and the far ones less, below 0 the other way "
        "round; 1 doubles the relief of the nearest and halves that of the farthest.",
        low=-2.0,
        high=2.0,
        step=0.1,
        advanced=True,
    )
    border: float = option(
        0.0,
        "Fade the effect out towards the left and right border, over this many percent of the width "
        "(more where divergence is so large that surfaces would tear), so that no border cuts off what "
        "stands in front of it; 0 is off.",
        low=0.0,
        high=25.0,
        step=0.5,
        advanced=True,
    )
    floating_window: bool = option(
        False,
        "Where a side border cuts off something in front of the screen, cover it by a black bar in "
        "one eye, which brings the border forward.",
        advanced=True,
    )
    fill: str = option(
        "stretch",
        "What the holes show: stretch repeats the background beside them; blend does, and mixes "
        "the rows so that no streaks show; inpaint takes what up to 12 frames before and after show there, "
        "as far as they do.",
        choices=("stretch", "blend", "inpaint"),
    )
    edges: str = option(
        "snap",
        "How a depth that is smaller than the frames is enlarged: snap puts its edges on the "
        "picture's; smooth only enlarges.",
        choices=("snap", "smooth"),
        advanced=True,
    )


OPTIONS = StereoOptions
COLOUR = 0.01  # mean difference between channels; a grey video decoded from 4:2:0 stays below 0.004
NO_DEPTH = (
    "The depth input of Stereo shows the picture, not a depth map. Connect the depth of Estimate Depth, "
    "and do not bypass that node."
)
FAITHFUL = False  # its output shows other things, or the same elsewhere


def context(options: StereoOptions) -> tuple[int, int]:
    """How many frames before and after one an excerpt gives the stage, beside those it lies between."""
    return (12, 12) if options.fill == "inpaint" else (0, 0)


def describe(options: StereoOptions, frames: ClipInfo, depth: ClipInfo) -> dict[str, ClipInfo]:
    """The pair, and for each eye the mask of invented pixels; the depth may have another size.

    ValueError where the frames are a pair or a depth map already, the depth is a pair, or a limit is asked
    for without a screen.
    """
    if options.limit and options.screen == "none":
        raise ValueError(
            "Stereo's limit needs a screen whose comfort it keeps; choose one for screen, or switch limit off."
        )
    if frames.views == 2:
        raise ValueError(
            "Stereo was given a clip that has two views already; connect a clip from before the first Stereo."
        )
    if frames.channels == 1:
        raise ValueError(
            "Stereo was given a depth map as its frames; connect the colour frames to clip and the depth to depth."
        )
    if depth.views == 2:
        raise ValueError("Stereo was given a depth of two views; connect the depth of the single-view clip.")
    holes = frames.replace(channels=1, views=1)
    return {"clip": frames.replace(views=2), "left_holes": holes, "right_holes": holes}


def check_depth(chunk: Tensor) -> None:
    """Raise ValueError if a depth chunk ``[..., C]`` has three channels that differ."""
    if chunk.shape[-1] < 3:
        return
    red, green, blue = chunk[..., :3].float().unbind(-1)
    if max((red - green).abs().mean().item(), (green - blue).abs().mean().item()) > COLOUR:
        raise ValueError(NO_DEPTH)
