"""Stereo Comfort: how comfortable a stereo pair is to watch, and the pair tinted by its parallax."""

from ...viewing.comfort import overlay
from ..node import FRAMES, Call, Node, Outputs, Socket


def build(call: Call) -> Outputs:
    """Build the overlay; the report exists after the node has run."""
    return {"overlay": overlay(call.clip(), call.settings, call.name)}


NODE = Node(
    "StereoReelComfort",
    "Stereo Comfort",
    "comfort",
    "Reports how comfortable a stereo pair is to watch: its parallax in percent, pixels, millimetres and "
    "degrees, the frames beyond a screen's limits, and a page that shows them. Accepts any pair: one from "
    "Stereo is measured by its depth, any other by matching its two views.",
    (
        Socket(
            "clip",
            FRAMES,
            "A stereo pair: the clip of Stereo, or an IMAGE batch of pairs with packed set to full SBS.",
        ),
    ),
    (
        Socket("report", "STRING", "The findings in a few lines."),
        Socket("figures", "STRING", "All numbers, as JSON."),
        Socket(
            "page",
            "IMAGE",
            "Verdict and score, the parallax over time, the least comfortable moments, and a histogram.",
        ),
        Socket(
            "overlay",
            "VIDEO",
            "Each frame in grey, orange in front of the screen and blue behind it; computed on demand.",
        ),
    ),
    output_node=True,
    module="viewing.comfort",
    build=build,
    aliases=("parallax", "eye strain", "stereo check", "3d comfort", "disparity"),
)
