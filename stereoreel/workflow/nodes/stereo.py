"""Stereo Pair: both eyes, each eye alone, and what neither source frame showed."""

from ...core.clip import apply
from ...core.transforms import Eye
from ...stages.stereo import NO_DEPTH
from ..build import model
from ..node import CLIP_IN, DEPTHS, FRAMES, MASKS, Call, Node, Outputs, Socket
from .depth import NODE as DEPTH

HOLES = (
    "where this eye shows what the source never showed (white): feed it to an inpainting model, or ignore it."
)


def build(call: Call) -> Outputs:
    if call.inputs["depth"] is call.inputs["clip"]:  # a bypassed Depth node hands its clip on
        raise ValueError(f"{call.name}: {NO_DEPTH}")
    made = model(call)
    eyes = {
        name: apply(Eye(eye, call.name), made["clip"])["clip"] for eye, name in enumerate(("left", "right"))
    }
    return {**made, **eyes}


def misplaced(order: tuple[str, ...]) -> str | None:
    stereo, depth = NODE.kind, DEPTH.kind
    if order.count(stereo) > 1:
        return "Stereo makes two eyes of one and cannot run twice; name it once."
    if stereo in order and depth not in order[: order.index(stereo)]:
        return "Stereo needs a depth map; put depth somewhere before stereo."
    if stereo in order and depth in order[order.index(stereo) :]:
        return "Depth after stereo has no use; put depth before stereo."
    return None


NODE = Node(
    "StereoReelStereo",
    "Stereo Pair",
    "stereo",
    "Make the pictures for the left and the right eye from frames and their depth.",
    (
        CLIP_IN,
        Socket(
            "depth",
            DEPTHS,
            "One depth map per frame of the clip, white is near. Any size; the length must be the clip's.",
        ),
    ),
    (
        Socket("clip", FRAMES, "Both eyes: a VIDEO of two views, or a full side-by-side IMAGE batch."),
        Socket("left", FRAMES, "The left eye alone."),
        Socket("right", FRAMES, "The right eye alone."),
        Socket("left_holes", MASKS, f"Left eye: {HOLES}"),
        Socket("right_holes", MASKS, f"Right eye: {HOLES}"),
    ),
    pairs=False,
    build=build,
    misplaced=misplaced,
)
