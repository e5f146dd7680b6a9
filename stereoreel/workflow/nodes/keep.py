"""Keep Frames: a clip whose frames stay on disk while a film is made in units."""

from ...core.clip import apply
from ...core.keep import Keep
from ...media.paths import check_name
from ..node import CLIP_OUT, DEPTHS, Call, Node, Outputs, Socket


def build(call: Call) -> Outputs:
    folder = call.settings.folder
    check_name(folder, "folder")
    return dict(apply(Keep(folder, call.name), call.inputs["clip"]))


NODE = Node(
    "StereoReelKeep",
    "Keep Frames",
    "keep",
    "Keep what a stage made, such as ten hours of depth, so that a change behind it does not make it again. "
    "Encode Video keeps it while it makes the film in units (resume).",
    (Socket("clip", DEPTHS, "The frames, or a depth, to keep; without alpha."),),
    (CLIP_OUT,),
    module="core.keep",
    build=build,
)
