"""Preview Stereo: a few frames to look at before rendering."""

from ..node import CLIP_IN, DEPTHS, Node, Socket

NODE = Node(
    "StereoReelPreview",
    "Preview Stereo",
    "preview",
    "Preview a few frames of the clip before rendering: as wiggle, anaglyph, side by side or one view, "
    "with a depth overlay, or in a headset. Only those frames, and the context that their stages need, are "
    "computed.",
    (
        CLIP_IN,
        Socket("depth", DEPTHS, "The depth for the overlay, one map per frame of the clip.", True),
    ),
    (),
    output_node=True,
    module="viewing.preview",
    aliases=("3d preview", "anaglyph", "wiggle", "headset", "vr", "side by side", "sbs", "preview"),
)
