"""Interpolate Frames: a clip at another rate, its depth with it, and what is known of the result."""

from ...core.clip import apply
from ..build import clips_of, written
from ..node import CLIP_IN, CLIP_OUT, DEPTHS, FPS_IN, FPS_OUT, FRAMES, MASKS, Call, Node, Outputs, Socket


def build(call: Call) -> Outputs:
    clips = clips_of(call)
    made = apply(call.plan, *clips)
    return {**made, "fps": float(made["clip"].info.fps), "cuts": written(clips[0].info.cuts)}


NODE = Node(
    "StereoReelInterpolate",
    "Interpolate Frames",
    "interpolate",
    "Make motion smoother: more frames at exact times, never blended across a cut, and the duration never changes. "
    "Connect depth as well and it moves with the frames.",
    (
        CLIP_IN,
        Socket("depth", DEPTHS, "A depth map per frame that shall follow the same motion.", True),
        FPS_IN,
    ),
    (
        CLIP_OUT,
        Socket("depth", FRAMES, "The depth that was given, at the new rate."),
        FPS_OUT,
        Socket(
            "confidence",
            MASKS,
            "Where each frame is to be trusted (white), and where the frames it was made from disagree.",
        ),
        Socket(
            "cuts", "STRING", "The frames of the input that begin a new shot, as the option cuts takes them."
        ),
    ),
    build=build,
)
