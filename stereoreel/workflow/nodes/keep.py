"""Keep Frames: stores a clip's frames on disk while a film is rendered in units."""

from ...core.clip import apply
from ...core.keep import Keep
from ...media.paths import check_name
from ..node import CLIP_OUT, DEPTHS, Call, Node, Outputs, Socket


def build(call: Call) -> Outputs:
    folder = call.settings.folder
    check_name(folder, "folder")
    return dict(apply(Keep(folder, call.name), call.clip()))


NODE = Node(
    "StereoReelKeep",
    "Keep Frames",
    "keep",
    "Store the output of upstream stages, such as ten hours of depth, so that downstream changes do not "
    "recompute it. Encode Video stores it while it renders the film in units (resume).",
    (Socket("clip", DEPTHS, "The frames or the depth to store, without alpha."),),
    (CLIP_OUT,),
    module="core.keep",
    build=build,
    aliases=("cache frames", "store frames", "checkpoint", "intermediate frames"),
    group="3D",
)
