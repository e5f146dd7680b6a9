"""Encode Video: the film, written."""

from ..node import CLIP_IN, DEPTHS, FPS_IN, Node, Socket


def misplaced(order: tuple[str, ...]) -> str | None:
    if order[-1] != NODE.kind or order.count(NODE.kind) > 1:
        return "An order ends with encode, once."
    return None


NODE = Node(
    "StereoReelEncode",
    "Encode Video",
    "encode",
    "Write the video file, chunk by chunk, with the source's sound. The file appears under its name only when it is "
    "complete.",
    (
        CLIP_IN,
        Socket(
            "depth",
            DEPTHS,
            "Also write this depth as a video of its own, computed in the same pass, or into the "
            "picture (rgbd).",
            True,
        ),
        FPS_IN,
        Socket("audio", "AUDIO", "Sound to use instead of the source's own.", True),
    ),
    (Socket("video", "VIDEO", "The file that was written."),),
    output_node=True,
    module="media.write.options",
    sink=True,
    misplaced=misplaced,
)
