"""Stereo: the pictures of a left and a right eye from one picture and its depth."""

from types import SimpleNamespace

from ..clip import ClipInfo
from ..options import Option

OPTIONS = (
    Option("divergence", 2.0, "How strong the effect is: the parallax between both eyes from the farthest to the nearest point, "
           "in percent of the width. 1 is gentle, 2 suits most screens, above 4 strains the eyes on a large one.", 0.0, 10.0, 0.1),
    Option("convergence_mode", "auto", "auto puts the screen half-way between the near and the far end of each scene and follows slowly; "
           "fixed uses `convergence`.", choices=("auto", "fixed")),
    Option("convergence", 0.5, "The depth that lies on the screen, when convergence_mode is fixed: at 0 everything stands out in front, "
           "at 1 everything lies behind.", 0.0, 1.0, 0.01),
    Option("view", "both", "Which eye is made: both move half each; left makes the left one and keeps the frames as the right eye; "
           "right makes the right one and keeps the frames as the left eye.", choices=("both", "left", "right")),
    Option("swap_eyes", False, "Exchange the two pictures (and their hole masks), for cross-eyed viewing."),
)


def describe(options: SimpleNamespace, frames: ClipInfo, depth: ClipInfo) -> dict[str, ClipInfo]:
    """The pair, and for each eye the mask of invented pixels; the depth may have another size.

    ValueError where the frames are a pair or a depth map already, or the depth is a pair.
    """
    if frames.views == 2:
        raise ValueError("Stereo was given a clip that has two views already; connect a clip from before the first Stereo.")
    if frames.channels == 1:
        raise ValueError("Stereo was given a depth map as its frames; connect the colour frames to clip and the depth to depth.")
    if depth.views == 2:
        raise ValueError("Stereo was given a depth of two views; connect the depth of the single-view clip.")
    holes = frames.replace(channels=1, views=1)
    return {"clip": frames.replace(views=2), "left_holes": holes, "right_holes": holes}
