"""Host interface to ComfyUI: its device, model folders, memory management, progress bar and cancel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from weakref import WeakKeyDictionary

import torch
from torch import nn

from ..stereoreel.core.file_cache import FileCache
from ..stereoreel.models import weights
from ..stereoreel.models.folders import folders, listed
from ._comfy import ModelPatcher, ProgressBar, VideoInput, folder_paths, model_management


class ComfyHost:
    """A host for one pull, on the thread of the pulling node.

    State shared between pulls belongs to the class: ``file_cache``, and ``adopted``, the clips of other
    packs' VIDEOs. All nodes that read one VIDEO share one clip, so a pull decodes it once.
    """

    file_cache = FileCache()
    adopted: WeakKeyDictionary[VideoInput, dict] = WeakKeyDictionary()

    def __init__(self):
        self.device: torch.device = model_management.get_torch_device()
        self._bar: ProgressBar | None = None

    def weights(self, kind: str, file: str) -> Path:
        file = weights.safe_name(file)
        for folder in folders(kind):
            if folder in folder_paths.folder_names_and_paths and (
                path := folder_paths.get_full_path(folder, file)
            ):
                return Path(path)
            if (path := Path(folder_paths.models_dir) / folder / file).is_file():
                return path
        raise FileNotFoundError(f"{file} is not in ComfyUI's models folders ({', '.join(folders(kind))}).")

    def files(self, kind: str, custom: bool = False) -> list[str]:
        return list(dict.fromkeys(name for folder in listed(kind, custom) for name in _files(folder)))

    def folder(self, kind: str) -> Path:
        first = folders(kind)[0]
        registered = folder_paths.folder_names_and_paths.get(first, ([],))[0]
        return Path(registered[0]) if registered else Path(folder_paths.models_dir) / first

    def place(self, nets: Sequence[nn.Module], memory: int) -> list[ModelPatcher]:
        if not nets:
            model_management.free_memory(memory, self.device)  # stages without networks need memory too
            return []
        offload = model_management.unet_offload_device()
        patchers = [ModelPatcher(net, load_device=self.device, offload_device=offload) for net in nets]
        model_management.load_models_gpu(patchers, memory_required=memory)
        return patchers

    def tick(self, done: int, total: int) -> None:
        model_management.throw_exception_if_processing_interrupted()
        if total:
            self._bar = self._bar or ProgressBar(total)
            self._bar.update_absolute(done, total)


def _files(folder: str) -> list[str]:
    """Return the weight files in a ComfyUI folder, including those in ComfyUI's own list."""
    plain = weights.listing(Path(folder_paths.models_dir) / folder)
    if folder not in folder_paths.folder_names_and_paths:
        return plain
    try:
        known = [name.replace("\\", "/") for name in folder_paths.get_filename_list(folder)]
    except OSError:  # a folder in its cached list has been removed
        known = [
            name for place in folder_paths.get_folder_paths(folder) for name in weights.listing(Path(place))
        ]
    return sorted({*plain, *filter(weights.is_weights, known)})


def working_type() -> torch.dtype:
    """Return the dtype of IMAGE batches in this ComfyUI (``--fp16-intermediates``)."""
    wanted = getattr(model_management, "intermediate_dtype", None)
    return wanted() if wanted else torch.float32


def working_device() -> torch.device:
    wanted = getattr(model_management, "intermediate_device", None)
    return wanted() if wanted else torch.device("cpu")


def scratch() -> Path:
    """Return ComfyUI's temp folder, which it empties at every start."""
    folder = Path(folder_paths.get_temp_directory())
    folder.mkdir(parents=True, exist_ok=True)
    return folder
