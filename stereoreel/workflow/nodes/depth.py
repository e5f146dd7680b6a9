"""Estimate Depth: by a model or from another node, with views of the depth to look at."""

from ...core.clip import Clip, Recipe, apply
from ...core.tensor_source import TensorSource
from ...stages.depth.burned_text import TextMask
from ...stages.depth.given import Given
from ...stages.depth.views import Colors, Histogram
from ...stages.stereo.parallax import ScreenPlane
from ..build import clips_of
from ..node import CLIP_IN, DEPTHS, FRAMES, MASKS, Call, Node, Outputs, Socket


def build(call: Call) -> Outputs:
    clips, given = clips_of(call), [] if call.inputs.get("text") is None else [mask_of(call)]
    if call.inputs.get("depth") is not None:
        depth = apply(Given(call.settings, call.name), *clips, *given)["clip"]
    else:
        depth = apply(call.plan.over(clips), *clips, *given)["clip"]
    text = apply(TextMask(f"{call.name}, text"), call.clip())["clip"]
    return {"depth": depth, **views(depth, call.settings.invert, call.name), "text": text}


def mask_of(call: Call) -> Clip:
    """Return the mask of text with a frame for each of the clip's.

    Raise ValueError for another number of frames, unless it is a MASK or an IMAGE of one.
    """
    text, frames = call.clip("text"), call.clip().info.frames
    if text.info.frames == 1 < frames and isinstance(text.maker, TensorSource):
        return Clip(text.maker.repeated(frames))
    if (count := text.info.frames) != frames:
        raise ValueError(
            f"text has {count} frame{'s' * (count > 1)}, but clip has {frames}. Connect a mask of every "
            "frame, or a MASK of one for all; a VIDEO needs as many as clip."
        )
    return text


def views(depth: Clip, inverted: bool, name: str) -> dict[str, Clip]:
    """Return views of a depth clip to look at, computed on demand."""
    recipes: dict[str, Recipe] = {
        "colors": Colors(inverted, f"{name}, colors"),
        "histogram": Histogram(ScreenPlane, inverted, f"{name}, histogram"),
    }
    return {port: apply(recipe, depth)["clip"] for port, recipe in recipes.items()}


NODE = Node(
    "StereoReelDepth",
    "Estimate Depth",
    "depth",
    "One depth map per frame, temporally stable within a shot; white is near. The builtin model is a "
    "preview-quality prior, not a trained network.",
    (
        CLIP_IN,
        Socket(
            "depth",
            f"{DEPTHS},DA3_GEOMETRY,MOGE_GEOMETRY",
            "Depth from another node, or geometry from ComfyUI's core nodes. No model runs then; "
            "this depth is stabilised and aligned with the frames' edges.",
            optional=True,
            instead=True,
        ),
        Socket(
            "text",
            DEPTHS,
            "A mask of burned-in text, white, if you know better than `burned_text`: of every frame or one "
            "for all, of any size. Each connected block gets one plane.",
            optional=True,
        ),
    ),
    (
        Socket("depth", FRAMES, "One depth map per frame, white is near."),
        Socket(
            "colors",
            "VIDEO",
            "The depth in colours, to look at: light yellow is near, black is far. "
            "Connect the depth to Stereo, not these.",
        ),
        Socket(
            "histogram",
            "VIDEO",
            "A depth histogram per frame, with the zero-parallax plane that Stereo's auto chooses.",
        ),
        Socket(
            "text",
            MASKS,
            "Where subtitles, titles and logos are burned into the frames: white on their strokes and boxes.",
        ),
    ),
    build=build,
    aliases=(
        "depth map",
        "depth anything",
        "video depth",
        "zoedepth",
        "midas",
        "depth estimation",
        "2d to 3d",
        "3d",
    ),
    group="3D",
)
