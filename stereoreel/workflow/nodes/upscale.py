"""RealESRGAN Upscale: a larger clip, each frame upscaled independently."""

from ..build import model
from ..node import CLIP_IN, CLIP_OUT, Node

NODE = Node(
    "StereoReelRealESRGAN",
    "RealESRGAN Upscale",
    "upscale",
    "Upscale every frame independently: the fastest way to twice the size.",
    (CLIP_IN,),
    (CLIP_OUT,),
    build=model,
    aliases=("upscale", "video upscale", "esrgan", "super resolution", "enlarge", "2x"),
    group="Quality",
    title="Upscale Video (RealESRGAN)",
)
