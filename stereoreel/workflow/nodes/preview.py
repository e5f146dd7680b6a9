"""Preview Stereo: a few frames to look at before anything is rendered."""

from ..node import CLIP_IN, DEPTHS, Node, Socket

NODE = Node(
    "StereoReelPreview",
    "Preview Stereo",
    "preview",
    "Look before you render: a few frames of the whole clip, as wiggle, anaglyph, side by side or single eye, with the "
    "depth over them, or in a headset. Only those frames are computed, and what their stages need around them.",
    (
        CLIP_IN,
        Socket("depth", DEPTHS, "The depth to lay over the pictures, one map per frame of the clip.", True),
    ),
    (),
    output_node=True,
    module="viewing.preview",
)
