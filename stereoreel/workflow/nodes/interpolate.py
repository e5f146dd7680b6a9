"""Interpolate Frames: a clip and its depth at another rate, with a confidence mask and the cuts."""

from ...core.clip import apply
from ..build import clips_of, format_cuts
from ..node import CLIP_IN, CLIP_OUT, DEPTHS, FPS_IN, FPS_OUT, FRAMES, MASKS, Call, Node, Outputs, Socket


def build(call: Call) -> Outputs:
    clips = clips_of(call)
    result = apply(call.plan, *clips)
    return {**result, "fps": float(result["clip"].info.fps), "cuts": format_cuts(clips[0].info.cuts)}


NODE = Node(
    "StereoReelInterpolate",
    "Interpolate Frames",
    "interpolate",
    "Make motion smoother: insert frames at exact times. Frames are never blended across a cut and the "
    "duration never changes. A connected depth is warped with the same motion.",
    (
        CLIP_IN,
        Socket("depth", DEPTHS, "One depth map per frame, to interpolate with the same motion.", True),
        FPS_IN,
    ),
    (
        CLIP_OUT,
        Socket("depth", FRAMES, "The input depth, at the new rate."),
        FPS_OUT,
        Socket(
            "confidence",
            MASKS,
            "Confidence per pixel: white is reliable, black where the two warped source frames disagree.",
        ),
        Socket("cuts", "STRING", "The input frames that begin a new shot, in the format of the option cuts."),
    ),
    build=build,
    aliases=(
        "fps",
        "60fps",
        "frame rate",
        "slow motion",
        "slowmo",
        "rife",
        "film interpolation",
        "frame interpolation",
        "smooth motion",
        "motion interpolation",
    ),
    title="Interpolate Frames (RIFE)",
    group="Quality",
)
