"""Encode Video: writes the video file."""

from ..node import CLIP_IN, DEPTHS, FPS_IN, Node, Socket


def misplaced(order: tuple[str, ...]) -> str | None:
    if order[-1] != NODE.kind or order.count(NODE.kind) > 1:
        return "An order ends with encode, once. Put encode at the end only."
    return None


NODE = Node(
    "StereoReelEncode",
    "Encode Video",
    "encode",
    "Write the video file in chunks, with the source's audio. The file appears under its name when it is "
    "complete.",
    (
        CLIP_IN,
        Socket(
            "depth",
            DEPTHS,
            "Also write this depth, computed in the same pass: as a separate video, or in the same frames "
            "(rgbd).",
            True,
        ),
        FPS_IN,
        Socket("audio", "AUDIO", "Audio to use instead of the source's.", True),
    ),
    (Socket("video", "VIDEO", "The file that was written."),),
    output_node=True,
    module="media.write.options",
    sink=True,
    misplaced=misplaced,
    aliases=(
        "save video",
        "export video",
        "video combine",
        "ffmpeg",
        "h264",
        "h265",
        "hevc",
        "av1",
        "prores",
        "mp4",
        "film",
        "movie",
        "sbs",
        "side by side",
        "anaglyph",
        "vr180",
        "spatial video",
    ),
)
