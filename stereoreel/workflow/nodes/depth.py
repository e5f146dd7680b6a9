"""Estimate Depth: by a model, or as another node has found it; and the depth in pictures for people."""

from ...core.clip import Clip, apply
from ...stages.depth.given import Given
from ...stages.depth.views import Colors, Histogram
from ...stages.stereo.parallax import ScreenPlane
from ..build import clips_of, model
from ..node import CLIP_IN, DEPTHS, FRAMES, Call, Node, Outputs, Socket


def build(call: Call) -> Outputs:
    if call.inputs.get("depth") is not None:
        depth = apply(Given(call.settings, call.name), *clips_of(call))["clip"]
    else:
        depth = model(call)["clip"]
    return {"depth": depth, **views(depth, call.settings.invert, call.name)}


def views(depth: Clip, inverted: bool, name: str) -> dict[str, Clip]:
    """Depth as people look at it, drawn when somebody does."""
    pictures = {
        "colors": Colors(inverted, f"{name}, colors"),
        "histogram": Histogram(ScreenPlane, inverted, f"{name}, histogram"),
    }
    return {port: apply(view, depth)["clip"] for port, view in pictures.items()}


NODE = Node(
    "StereoReelDepth",
    "Estimate Depth",
    "depth",
    "One depth map per frame, white is near, steady over a shot. The builtin model is a preview-quality prior, "
    "not a trained network.",
    (
        CLIP_IN,
        Socket(
            "depth",
            f"{DEPTHS},DA3_GEOMETRY,MOGE_GEOMETRY",
            "Depth that another node has found, also core's geometry: "
            "then no model runs, and it is made steady and given the frames' edges.",
            optional=True,
            instead=True,
        ),
    ),
    (
        Socket("depth", FRAMES, "One depth map per frame, white is near."),
        Socket(
            "colors",
            "VIDEO",
            "The depth in colours, to look at: light yellow is near, black is far. "
            "Stereo wants the depth, not these.",
        ),
        Socket(
            "histogram",
            "VIDEO",
            "One picture a frame: how much of it lies how deep, and where Stereo's auto puts the screen.",
        ),
    ),
    build=build,
)
