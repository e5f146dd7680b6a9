"""Stereo Pair: the left and right views, together and alone, with masks of their disocclusions."""

from ...core.clip import apply
from ...core.transforms import Eye
from ...stages.stereo.bar_text import BarText
from ..build import clips_of
from ..node import CLIP_IN, DEPTHS, FRAMES, MASKS, Call, Node, Outputs, Socket
from .depth import NODE as DEPTH

HOLES = "disocclusions, which the source does not show (white). Optional input for an inpainting model."


def build(call: Call) -> Outputs:
    clips = clips_of(call)
    text = [apply(BarText(f"{call.name}, text"), clips[0])["clip"]] if clips[0].info.bars else []
    result = apply(call.plan.over(clips), *clips, *text)
    eyes = {
        name: apply(Eye(eye, call.name), result["clip"])["clip"] for eye, name in enumerate(("left", "right"))
    }
    return {**result, **eyes}


def misplaced(order: tuple[str, ...]) -> str | None:
    stereo, depth = NODE.kind, DEPTH.kind
    if order.count(stereo) > 1:
        return "Stereo renders two views from one and cannot run twice. Name it once."
    if stereo in order and depth not in order[: order.index(stereo)]:
        return "Stereo needs a depth map. Put depth somewhere before stereo."
    if stereo in order and depth in order[order.index(stereo) :]:
        return "Depth after stereo is not used. Put depth before stereo."
    return None


NODE = Node(
    "StereoReelStereo",
    "Stereo Pair",
    "stereo",
    "Render the left and right views from frames and their depth.",
    (
        CLIP_IN,
        Socket(
            "depth",
            DEPTHS,
            "One depth map per frame of the clip; white is near. Any size, but as many frames as the clip.",
        ),
    ),
    (
        Socket(
            "clip", FRAMES, "Left and right views: a VIDEO of two views, or a full side-by-side IMAGE batch."
        ),
        Socket("left", FRAMES, "The left view alone."),
        Socket("right", FRAMES, "The right view alone."),
        Socket("left_holes", MASKS, f"Left view: {HOLES}"),
        Socket("right_holes", MASKS, f"Right view: {HOLES}"),
    ),
    pairs=False,
    build=build,
    misplaced=misplaced,
    aliases=(
        "3d",
        "2d to 3d",
        "sbs",
        "side by side",
        "stereoscopic",
        "vr",
        "vr180",
        "headset",
        "quest",
        "vision pro",
        "anaglyph",
        "left right",
        "3d movie",
    ),
    title="3D Stereo Pair",
    group="3D",
)
