"""All ComfyUI names that the pack uses, from 0.3.64 up; only this file imports ComfyUI."""

import comfy.model_management as model_management
import folder_paths
from comfy.cli_args import args
from comfy.model_patcher import ModelPatcher
from comfy.utils import ProgressBar, common_upscale
from comfy_api.latest import ComfyExtension, Input, InputImpl, Types, io, ui
from comfy_execution.progress import get_progress_state
from server import PromptServer

VideoInput, VideoComponents, VideoFromFile = Input.Video, Types.VideoComponents, InputImpl.VideoFromFile

__all__ = [
    "ComfyExtension",
    "ModelPatcher",
    "ProgressBar",
    "PromptServer",
    "VideoComponents",
    "VideoFromFile",
    "VideoInput",
    "args",
    "common_upscale",
    "folder_paths",
    "get_progress_state",
    "io",
    "model_management",
    "ui",
]
