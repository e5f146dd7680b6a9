"""Stereo Comfort: how comfortable a pair is to watch, and the pair tinted by its parallax."""

from ...viewing.comfort import overlay
from ..node import FRAMES, Call, Node, Outputs, Socket


def build(call: Call) -> Outputs:
    """The overlay; the report is known when the node has run."""
    return {"overlay": overlay(call.inputs["clip"], call.settings, call.name)}


NODE = Node(
    "StereoReelComfort",
    "Stereo Comfort",
    "comfort",
    "Tell how comfortable a stereo pair is to watch: its parallax in percent, pixels, millimetres and degrees, what lies "
    "beyond the limits of a screen, and a page that shows it. Any pair will do; one from Stereo is measured by its depth, "
    "another by matching its pictures.",
    (
        Socket(
            "clip", FRAMES, "A pair: the clip of Stereo, or an IMAGE batch of pairs with packed at full SBS."
        ),
    ),
    (
        Socket("report", "STRING", "The findings in a few lines."),
        Socket("figures", "STRING", "Every number, as JSON."),
        Socket(
            "page", "IMAGE", "The most straining frame, and the histogram of all frames that were looked at."
        ),
        Socket(
            "overlay",
            "VIDEO",
            "Every frame in gray, tinted where it stands in front (red) or lies behind (blue); "
            "when somebody looks.",
        ),
    ),
    output_node=True,
    module="viewing.comfort",
    build=build,
)
