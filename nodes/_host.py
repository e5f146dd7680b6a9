"""The host that ComfyUI is: its device, its model folders, its memory management, its progress bar and its cancel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from ._comfy import ModelPatcher, ProgressBar, folder_paths, model_management

# Folders where users already keep such files, beside models/<kind> of our own.
FOLDERS = {
    "upscale": ("upscale_models",),
    "vsr": ("vsr", "upscale_models", "diffusion_models"),
    "interpolate": ("frame_interpolation", "rife"),
    "depth": ("depthanything", "geometry_estimation"),
}


class ComfyHost:
    """A host for one pull, on the thread of the node that pulls."""

    def __init__(self):
        self.device: torch.device = model_management.get_torch_device()
        self._bar: ProgressBar | None = None
        self.preview = None  # the next tick's picture: ("JPEG", PIL image, longest side)

    def weights(self, kind: str, file: str) -> Path:
        for folder in (*FOLDERS.get(kind, ()), kind):
            if folder in folder_paths.folder_names_and_paths and (path := folder_paths.get_full_path(folder, file)):
                return Path(path)
            if (path := Path(folder_paths.models_dir) / folder / file).is_file():
                return path
        raise FileNotFoundError(f"{file} is not in ComfyUI's models folders ({', '.join((*FOLDERS.get(kind, ()), kind))}).")

    def place(self, nets: Sequence[nn.Module], memory: int) -> object:
        if not nets:
            model_management.free_memory(memory, self.device)  # stages without networks need room too
            return None
        offload = model_management.unet_offload_device()
        patchers = [ModelPatcher(net, load_device=self.device, offload_device=offload) for net in nets]
        model_management.load_models_gpu(patchers, memory_required=memory)
        return patchers

    def tick(self, done: int, total: int) -> None:
        model_management.throw_exception_if_processing_interrupted()
        if total:
            self._bar = self._bar or ProgressBar(total)
            self._bar.update_absolute(done, total, self.preview)
            self.preview = None


def working_type() -> torch.dtype:
    """The number type of IMAGE batches in this ComfyUI (``--fp16-intermediates``)."""
    wanted = getattr(model_management, "intermediate_dtype", None)
    return wanted() if wanted else torch.float32


def working_device() -> torch.device:
    wanted = getattr(model_management, "intermediate_device", None)
    return wanted() if wanted else torch.device("cpu")


def scratch() -> Path:
    """ComfyUI's temp folder, which it empties at every start."""
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    return folder
