"""The four things a stage may ask of the place it runs in, and the place where there is no ComfyUI."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import nn


class Host(Protocol):
    """``device`` to compute on, ``weights`` to load, ``place`` for networks, ``tick`` for progress and cancel."""

    device: torch.device

    def weights(self, kind: str, file: str) -> Path:
        """Where a model's file is; FileNotFoundError says how to get it."""
        ...

    def place(self, nets: Sequence[nn.Module], memory: int) -> object:
        """Put networks on the device, with ``memory`` bytes free for their work; the pull keeps what is returned until its end."""
        ...

    def tick(self, done: int, total: int) -> None:
        """Called after every chunk; raises to cancel."""
        ...


class Headless:
    """A host for the terminal, tests and clusters: the best device there is, weights in ``models/<kind>`` folders."""

    def __init__(self, device: str | torch.device | None = None, models: Path | None = None,
                 on_tick: Callable[[int, int], None] | None = None):
        self.device = torch.device(device or best_device())
        self.models = Path(models or os.environ.get("STEREOREEL_MODELS") or Path.cwd() / "models")
        self._on_tick = on_tick

    def weights(self, kind: str, file: str) -> Path:
        for folder in (self.models / kind, self.models):
            if (folder / file).is_file():
                return folder / file
        raise FileNotFoundError(f"{file} is not in {self.models / kind}.")

    def place(self, nets: Sequence[nn.Module], memory: int) -> object:
        for net in nets:
            net.to(self.device)
        return nets

    def tick(self, done: int, total: int) -> None:
        if self._on_tick:
            self._on_tick(done, total)


def best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
