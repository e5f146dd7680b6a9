"""Extract Video: a file, or the part of another clip that the options select."""

from ...media import open as video
from ...media.extract_options import chosen_file
from ..node import FPS_OUT, Call, Node, Outputs, Socket


def build(call: Call) -> Outputs:
    """Build the clip and its rate; ``call.videos`` finds the file."""
    settings, videos = call.settings, call.videos
    if videos is None:
        raise TypeError(f"{call.name} opens files. Pass videos.")
    tick, look = videos.tick, videos.look
    if call.inputs.get("clip"):
        clip = video.from_clip(call.clip(), settings, call.name, tick=tick, look=look)
    else:
        file = chosen_file(settings, videos.find)
        clip = video.open_file(file, settings, call.name, tick=tick, look=look, files=videos.files)
    return {"clip": clip, "fps": float(clip.info.fps)}


def misplaced(order: tuple[str, ...]) -> str | None:
    if not order or order[0] != NODE.kind or order.count(NODE.kind) > 1:
        return "An order begins with extract, once. Put extract at the beginning only."
    return None


NODE = Node(
    "StereoReelExtract",
    "Extract Video",
    "extract",
    "Open a video for the other StereoReel nodes. Frames are read on demand, so memory use does not depend "
    "on the length of the video.",
    (
        Socket(
            "clip",
            "VIDEO",
            "A VIDEO from another node, used instead of the file chosen below.",
            optional=True,
            instead=True,
        ),
    ),
    (Socket("clip", "VIDEO", "The video, with its audio, exact rate and cuts."), FPS_OUT),
    module="media.open",
    pairs=False,
    build=build,
    misplaced=misplaced,
    aliases=("load video", "open video", "import video", "video file", "video to frames", "ffmpeg", "mp4"),
    group="Source",
)
