"""Compare Clips: two clips in one frame."""

from ...viewing.compare import compare
from ..node import CLIP_IN, CLIP_OUT, FRAMES, Call, Node, Outputs, Socket


def build(call: Call) -> Outputs:
    return {"clip": compare(call.clip(), call.clip("other"), call.settings, call.name)}


NODE = Node(
    "StereoReelCompare",
    "Compare Clips",
    "compare",
    "Combine two clips into one, to compare them by eye: split screen, side by side, stacked, or their "
    "difference. Sizes and rates may differ.",
    (CLIP_IN, Socket("other", FRAMES, "The clip to compare with, of the same aspect ratio.")),
    (CLIP_OUT,),
    module="viewing.compare",
    build=build,
    aliases=(
        "before after",
        "split screen",
        "compare videos",
        "difference",
        "side by side",
        "video comparer",
    ),
)
