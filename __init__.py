"""StereoReel for ComfyUI: video in, sharper, smoother, stereoscopic video out."""

import sys

if __package__ and "folder_paths" in sys.modules:  # inside ComfyUI; not when pytest collects this folder
    from .nodes import WEB_DIRECTORY, comfy_entrypoint

    __all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
