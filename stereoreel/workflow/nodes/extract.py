"""Extract Video: a file, or the part of another clip that the options name."""

from ...media import open as video
from ..node import FPS_OUT, Call, Node, Outputs, Socket


def build(call: Call) -> Outputs:
    """The clip and its rate; a file is found by ``call.videos``."""
    settings, clip, videos = call.settings, call.inputs.get("clip"), call.videos
    how = {"tick": videos.tick, "look": videos.look}
    if clip:
        clip = video.from_clip(clip, settings, call.name, **how)
    else:
        clip = video.open_file(videos.find(settings.video), settings, call.name, **how, files=videos.files)
    return {"clip": clip, "fps": float(clip.info.fps)}


def misplaced(order: tuple[str, ...]) -> str | None:
    if not order or order[0] != NODE.kind or order.count(NODE.kind) > 1:
        return "An order begins with extract, once."
    return None


NODE = Node(
    "StereoReelExtract",
    "Extract Video",
    "extract",
    "Open a video for the other StereoReel nodes. Frames are read only when somebody needs them, "
    "so a two-hour film is no problem.",
    (
        Socket(
            "clip",
            "VIDEO",
            "A VIDEO from another node; when connected, it is used instead of the file chosen below.",
            optional=True,
            instead=True,
        ),
    ),
    (Socket("clip", "VIDEO", "The video, with its sound, its exact rate and its cuts."), FPS_OUT),
    module="media.open",
    pairs=False,
    build=build,
    misplaced=misplaced,
)
