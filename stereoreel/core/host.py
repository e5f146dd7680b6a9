"""Host interface for stages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from .file_cache import FileCache


class Host(Protocol):
    """``device`` to compute on, ``weights`` to load, ``place`` for networks, ``tick`` for progress and
    cancel.

    ``file_cache`` has what was found out about files.
    """

    @property
    def device(self) -> torch.device: ...

    @property
    def file_cache(self) -> FileCache: ...

    def weights(self, kind: str, file: str) -> Path:
        """Where a model's file is; FileNotFoundError where it is not, ValueError for a name that leads out of
        the models folders.
        """
        ...

    def files(self, kind: str) -> list[str]:
        """Every file of weights in the folders of a kind, as ``sub/x.pth``."""
        ...

    def folder(self, kind: str) -> Path:
        """Where new weights go; the folder need not exist."""
        ...

    def place(self, nets: Sequence[nn.Module], memory: int) -> object:
        """Put networks on the device, with ``memory`` bytes free for their work; the pull keeps what is
        returned until its end.
        """
        ...

    def tick(self, done: int, total: int) -> None:
        """Called after every chunk of frames, or of bytes while weights are fetched; raises to cancel.

        Work that takes long asks in between: with what it said last, or with 0 of 0, which is no progress.
        """
        ...
