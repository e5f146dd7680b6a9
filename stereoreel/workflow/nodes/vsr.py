"""Video Super Resolution: a larger clip, each frame with the help of its neighbours."""

from ..build import model
from ..node import CLIP_IN, CLIP_OUT, Node

NODE = Node(
    "StereoReelVSR",
    "Video Super Resolution",
    "vsr",
    "Upscale with the help of neighbouring frames: less noise and less flicker than frame by frame. "
    "The first choice for noisy sources.",
    (CLIP_IN,),
    (CLIP_OUT,),
    build=model,
)
