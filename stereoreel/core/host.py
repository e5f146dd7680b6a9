"""Host interface for stages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from .file_cache import FileCache


class Host(Protocol):
    """``device`` to compute on, ``weights`` to load, ``place`` for networks, ``tick`` to report and cancel.

    ``file_cache`` holds known facts of files.
    """

    @property
    def device(self) -> torch.device: ...

    @property
    def file_cache(self) -> FileCache: ...

    def weights(self, kind: str, file: str) -> Path:
        """Return the path of a model's file.

        Raise FileNotFoundError if it is missing, ValueError for a name that leads out of the models folders.
        """
        ...

    def files(self, kind: str, custom: bool = False) -> list[str]:
        """Return every file of weights in the folders of a kind, as ``sub/x.pth``.

        ``custom`` leaves out folders that are full of models of other kinds.
        """
        ...

    def folder(self, kind: str) -> Path:
        """Return where new weights are stored; the folder need not exist."""
        ...

    def place(self, nets: Sequence[nn.Module], memory: int) -> object:
        """Move networks to the device, with ``memory`` bytes free for their work.

        The pull keeps the returned object until its end.
        """
        ...

    def tick(self, done: int, total: int) -> None:
        """Report progress after every chunk of frames, or of bytes during a download; raise to cancel.

        Long work calls it in between, with the last values, or with 0 of 0, which reports no progress.
        """
        ...


class Polling:
    """A host whose progress is not reported, for work within other work; it can still be cancelled."""

    def __init__(self, host: Host):
        self._host = host

    def __getattr__(self, name: str):
        return getattr(self._host, name)

    def tick(self, done: int, total: int) -> None:
        self._host.tick(0, 0)
