"""Compare Clips: two clips in one picture."""

from ...viewing.compare import compare
from ..node import CLIP_IN, CLIP_OUT, FRAMES, Call, Node, Outputs, Socket


def build(call: Call) -> Outputs:
    return {"clip": compare(call.inputs["clip"], call.inputs["other"], call.settings, call.name)}


NODE = Node(
    "StereoReelCompare",
    "Compare Clips",
    "compare",
    "Lay two clips into one picture, to judge by eye: split, beside each other, above each other, or what differs. "
    "Sizes and rates need not agree.",
    (CLIP_IN, Socket("other", FRAMES, "The clip to compare with; of the same proportions.")),
    (CLIP_OUT,),
    module="viewing.compare",
    build=build,
)
