"""What each node is, in plain Python: its id, texts and sockets. The canvas, the terminal and the tests read this table.

Ids, socket names and defaults are public and frozen: sockets are only ever appended, so that saved graphs never break.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING

from ..core.options import Option
from ..models import catalog

if TYPE_CHECKING:
    from ..viewing.report import Report

FRAMES = "IMAGE,VIDEO"  # a union that ComfyUI's server and canvas both match against either type
DEPTHS = "IMAGE,VIDEO,MASK"
MASKS = "MASK,VIDEO"
RATE = "FLOAT,INT,STRING"


@dataclass(frozen=True)
class Socket:
    name: str
    type: str
    text: str
    optional: bool = False


@dataclass(frozen=True)
class Node:
    """A node's declaration; ``kind`` names the models and options of a stage.

    The options of a node that has no models are those of a module of the engine. ``pairs``: whether it takes IMAGE batches of
    stereo pairs, and so has the option ``packed``.
    """

    id: str
    name: str
    kind: str
    text: str
    inputs: tuple[Socket, ...]
    outputs: tuple[Socket, ...]
    output_node: bool = False
    module: str = ""
    pairs: bool = True

    @property
    def options(self) -> tuple[Option, ...]:
        return _options(self.kind, self.module, self.pairs)

    @property
    def report(self) -> Callable[..., Report]:
        """``report(clip, settings, host, label)`` of the node's module, with ``depth`` where it has such a socket."""
        return import_module(f"..{self.module}", __package__).report


# Graphs keep widgets by position, so that new options are appended; this one stands before those that a kind may get later.
PACKED = Option(
    "packed", "mono", "What an IMAGE batch shows: one picture a frame, or both eyes side by side. A VIDEO knows this itself.",
    choices=("mono", "full SBS"),
)


@lru_cache
def _options(kind: str, module: str, pairs: bool) -> tuple[Option, ...]:
    if module:
        options = import_module(f"..{module}", __package__).OPTIONS
        return (PACKED, *options) if pairs else options
    model, *others = catalog.options(kind)
    return (model, PACKED, *others) if pairs else (model, *others)


CLIP_IN = Socket("clip", FRAMES, "Frames: a VIDEO is worked on when somebody saves it, chunk by chunk; an IMAGE batch at once.")
CLIP_OUT = Socket("clip", FRAMES, "The frames, of the same type as the input.")
DEPTH_IN = Socket("depth", DEPTHS, "One depth map per frame of the clip, white is near. Any size; the length must be the clip's.")
DEPTH_OUT = Socket("depth", FRAMES, "One depth map per frame, white is near.")
FPS_IN = Socket(
    "fps", RATE, "The rate of an IMAGE batch, as a number or like 24000/1001 (24 where nothing is connected). A VIDEO knows its own.", True
)
FPS_OUT = Socket("fps", "FLOAT", "Frames per second.")
HOLES = "where this eye shows what the source never showed (white): feed it to an inpainting model, or ignore it."

NODES: tuple[Node, ...] = (
    Node(
        "StereoReelExtract", "Extract Video", "extract",
        "Open a video for the other StereoReel nodes. Frames are read only when somebody needs them, "
        "so a two-hour film is no problem.",
        (Socket("clip", "VIDEO", "A VIDEO from another node; when connected, it is used instead of the file chosen below.", True),),
        (Socket("clip", "VIDEO", "The video, with its sound, its exact rate and its cuts."), FPS_OUT),
        module="media.open", pairs=False,
    ),
    Node(
        "StereoReelVSR", "Video Super Resolution", "vsr",
        "Upscale with the help of neighbouring frames: less noise and less flicker than frame by frame. The first choice for noisy sources.",
        (CLIP_IN,), (CLIP_OUT,),
    ),
    Node(
        "StereoReelRealESRGAN", "RealESRGAN Upscale", "upscale",
        "Upscale every frame by itself: the fastest way to twice the size.",
        (CLIP_IN,), (CLIP_OUT,),
    ),
    Node(
        "StereoReelInterpolate", "Interpolate Frames", "interpolate",
        "Make motion smoother: more frames at exact times, never blended across a cut, and the duration never changes. "
        "Connect depth as well and it moves with the frames.",
        (CLIP_IN, Socket("depth", DEPTHS, "A depth map per frame that shall follow the same motion.", True), FPS_IN),
        (CLIP_OUT, Socket("depth", FRAMES, "The depth that was given, at the new rate."), FPS_OUT,
         Socket("confidence", MASKS, "Where each frame is to be trusted (white), and where the frames it was made from disagree."),
         Socket("cuts", "STRING", "The frames of the input that begin a new shot, as the option cuts takes them.")),
    ),
    Node(
        "StereoReelDepth", "Estimate Depth", "depth",
        "One depth map per frame, white is near, steady over a shot. The builtin model is a preview-quality prior, not a trained network.",
        (CLIP_IN, Socket("depth", f"{DEPTHS},DA3_GEOMETRY,MOGE_GEOMETRY", "Depth that another node has found, also core's geometry: then no model "
                         "runs, and it is made steady and given the frames' edges.", True)),
        (
            DEPTH_OUT,
            Socket("colors", "VIDEO", "The depth in colours, to look at: light yellow is near, black is far. Stereo wants the depth, not these."),
            Socket("histogram", "VIDEO", "One picture a frame: how much of it lies how deep, and where Stereo's auto puts the screen."),
        ),
    ),
    Node(
        "StereoReelStereo", "Stereo Pair", "stereo",
        "Make the pictures for the left and the right eye from frames and their depth.",
        (CLIP_IN, DEPTH_IN),
        (
            Socket("clip", FRAMES, "Both eyes: a VIDEO of two views, or a full side-by-side IMAGE batch."),
            Socket("left", FRAMES, "The left eye alone."),
            Socket("right", FRAMES, "The right eye alone."),
            Socket("left_holes", MASKS, f"Left eye: {HOLES}"),
            Socket("right_holes", MASKS, f"Right eye: {HOLES}"),
        ),
        pairs=False,
    ),
    Node(
        "StereoReelEncode", "Encode Video", "encode",
        "Write the video file, chunk by chunk, with the source's sound. The file appears under its name only when it is complete.",
        (
            CLIP_IN,
            Socket("depth", DEPTHS, "Also write this depth as a video of its own, computed in the same pass, or into the picture (rgbd).", True),
            FPS_IN,
            Socket("audio", "AUDIO", "Sound to use instead of the source's own.", True),
        ),
        (Socket("video", "VIDEO", "The file that was written."),),
        output_node=True, module="media.write.options",
    ),
    Node(
        "StereoReelComfort", "Stereo Comfort", "comfort",
        "Tell how comfortable a stereo pair is to watch: its parallax in percent, pixels, millimetres and degrees, what lies beyond the limits "
        "of a screen, and a page that shows it. Any pair will do; one from Stereo is measured by its depth, another by matching its pictures.",
        (Socket("clip", FRAMES, "A pair: the clip of Stereo, or an IMAGE batch of pairs with packed at full SBS."),),
        (
            Socket("report", "STRING", "The findings in a few lines."),
            Socket("figures", "STRING", "Every number, as JSON."),
            Socket("page", "IMAGE", "The most straining frame, and the histogram of all frames that were looked at."),
            Socket("overlay", "VIDEO", "Every frame in gray, tinted where it stands in front (red) or lies behind (blue); when somebody looks."),
        ),
        output_node=True, module="viewing.comfort",
    ),
    Node(
        "StereoReelPreview", "Preview Stereo", "preview",
        "Look before you render: a few frames of the whole clip, as wiggle, anaglyph, side by side or single eye, with the depth over them, "
        "or in a headset. Only those frames are computed, and what their stages need around them.",
        (CLIP_IN, Socket("depth", DEPTHS, "The depth to lay over the pictures, one map per frame of the clip.", True)),
        (),
        output_node=True, module="viewing.preview",
    ),
    Node(
        "StereoReelCompare", "Compare Clips", "compare",
        "Lay two clips into one picture, to judge by eye: split, beside each other, above each other, or what differs. "
        "Sizes and rates need not agree.",
        (CLIP_IN, Socket("other", FRAMES, "The clip to compare with; of the same proportions.")),
        (CLIP_OUT,),
        module="viewing.compare",
    ),
    Node(
        "StereoReelKeep", "Keep Frames", "keep",
        "Keep what a stage made, such as ten hours of depth, so that a change behind it does not make it again. "
        "Encode Video keeps it while it makes the film in units (resume).",
        (Socket("clip", DEPTHS, "The frames, or a depth, to keep; without alpha."),), (CLIP_OUT,),
        module="core.keep",
    ),
    Node(
        "StereoReelAdvise", "Source Advisor", "advise",
        "Looks at a few pieces of a clip, tells what it is like (noise, compression, true resolution, repeats, motion), what to do with it and what "
        "that costs on this machine. Its page, dropped on the canvas, opens the recommended workflow.",
        (Socket("clip", FRAMES, "The source, before anything was done to it."),),
        (
            Socket("report", "STRING", "What it is like, what to do and why, what it costs, and an alternative."),
            Socket("figures", "STRING", "The same in numbers, as JSON."),
            Socket("page", "IMAGE", "All of it on one page, with four frames."),
            Socket("workflow", "STRING", "The recommended workflow, as a file for the canvas holds it."),
        ),
        output_node=True, module="analysis.advisor", pairs=False,
    ),
    Node(
        "StereoReelOrderLab", "Order Lab", "orders",
        "Measures in which order the stages suit a clip best: runs orders on a few places of it and tells what each costs, how steady, sharp and "
        "true to edges it is, and which one to take. The sheet shows where they differ most.",
        (Socket("clip", FRAMES, "The source, before anything was done to it."),),
        (
            Socket("report", "STRING", "A table of all figures, the order to take, how sure that is, and why."),
            Socket("figures", "STRING", "Every number, as JSON."),
            Socket("sheet", "IMAGE", "The places where the orders differ most, side by side, with their depth."),
            Socket("order", "STRING", "The order to take, as the terminal's workflows --order takes it."),
        ),
        output_node=True, module="analysis.order_lab", pairs=False,
    ),
)

BY_ID = {node.id: node for node in NODES}
