"""Video Super Resolution: a larger clip, each frame upscaled with information from its neighbours."""

from ..build import model
from ..node import CLIP_IN, CLIP_OUT, Node

NODE = Node(
    "StereoReelVSR",
    "Video Super Resolution",
    "vsr",
    "Upscale with information from neighbouring frames: less noise and flicker than frame by frame. "
    "Recommended for noisy sources.",
    (CLIP_IN,),
    (CLIP_OUT,),
    build=model,
    aliases=(
        "video upscale",
        "upscale video",
        "super resolution",
        "flashvsr",
        "denoise",
        "restore video",
        "sharpen video",
        "vsr",
    ),
    group="Quality",
)
