"""The host outside ComfyUI: the terminal, tests and clusters."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from torch import nn

from ..core.file_cache import FileCache
from . import weights
from .folders import enclosing_models, folders, listed

MODELS_VARIABLE = "STEREOREEL_MODELS"


class Headless:
    """A host for the terminal, tests and clusters, on the best device available.

    ``models`` is the only place searched if it is given. Otherwise it is what STEREOREEL_MODELS lists
    (separated as in PATH) or ``models`` in the current folder, and the models folder of the ComfyUI that
    contains the pack. Weights are in ``models/<kind>`` or as ComfyUI keeps them. Hosts of one job share a
    ``file_cache``.
    """

    def __init__(
        self,
        device: str | torch.device | None = None,
        models: Path | None = None,
        on_tick: Callable[[int, int], None] | None = None,
        file_cache: FileCache | None = None,
    ):
        self.device = device_named(device or best_device())
        self.models = [Path(models)] if models else models_folders()
        self._on_tick = on_tick
        self.file_cache = file_cache or FileCache()

    def weights(self, kind: str, file: str) -> Path:
        file = weights.safe_name(file)
        for folder in self._within(folders(kind)):
            if (folder / file).is_file():
                return folder / file
        raise FileNotFoundError(f"{file} is not in {self.folder(kind)}.")

    def files(self, kind: str, custom: bool = False) -> list[str]:
        places = self._within(listed(kind, custom))
        return list(dict.fromkeys(name for folder in places for name in weights.listing(folder)))

    def folder(self, kind: str) -> Path:
        """Return ComfyUI's folder if the models folder is ComfyUI's, so that its other nodes find a file."""
        first, own = self.models[0] / folders(kind)[0], self.models[0] / kind
        return first if first.is_dir() or self.models[0] == enclosing_models() else own

    def _within(self, names: Iterable[str]) -> list[Path]:
        return [root / name for root in self.models for name in names]

    def place(self, nets: Sequence[nn.Module], memory: int) -> object:
        for net in nets:
            net.to(self.device)
        return nets

    def tick(self, done: int, total: int) -> None:
        if self._on_tick:
            self._on_tick(done, total)


def models_folders() -> list[Path]:
    """Return the folders searched for models outside ComfyUI; the first stores new ones."""
    named = [Path(place) for place in os.environ.get(MODELS_VARIABLE, "").split(os.pathsep) if place]
    shared = [place for place in [enclosing_models()] if place]
    return [*named, *shared] if named else [*shared, Path.cwd() / "models"]


def device_named(name: str | torch.device) -> torch.device:
    """Return a device of this machine. Raise ValueError if there is none of that name."""
    device = None
    with suppress(RuntimeError):  # a word that is no device
        device = torch.device(name)
    counts = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available()), "cpu": 1}
    count = counts.get(device.type) if device else 0  # None: another backend, left to torch
    if device is None or (count is not None and (device.index or 0) >= count):
        available = [
            kind if place == 0 else f"{kind}:{place}"
            for kind, count in counts.items()
            for place in range(count)
        ]
        raise ValueError(f"Device '{name}' is not available. Available: {', '.join(available)}.")
    return device


def best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
