"""What every depth network needs around it: one scale and a calm range over a shot, and the frames' own edges."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Protocol

import torch
from torch import Tensor, nn

from ...core.clip import ClipInfo, Shot
from ...image.compute import number_type, together
from ...image.edge_snap import snap
from ...image.resize import resize
from . import DepthOptions
from .windows import SteadyRange

# metres added to a distance before it is inverted, so that what is very near does not take the whole range
NEAREST = 0.1

BATCH_PIXELS = {"cpu": 518 * 924, "cuda": 8 * 518 * 924}


class DepthNetwork(Protocol):
    """A network as the stage sees it; ``aligned`` says that all it tells of a shot has one scale and shift."""

    nets: list[nn.Module]
    aligned: bool

    def size(self, info: ClipInfo) -> tuple[int, int]:
        """Height and width of the pictures it wants of a clip."""

    def memory(self, height: int, width: int) -> int:
        """Bytes that its work on such pictures takes, beside its weights."""

    def inverse_depth(self, pictures: Iterator[Tensor]) -> Iterator[Tensor]:
        """Of the pictures of one shot, ``[T, 3, h, w]`` in 0..1, their inverse depth ``[T, h, w]``, larger is nearer, in order."""


class DepthStage:
    """Depth ``[T, H, W, 1]``, near = 1, of frames ``[T, H, W, C]``; same size, same count, same rate."""

    joint = False

    def __init__(self, network: DepthNetwork, options: DepthOptions, device: torch.device):
        self.network, self.options, self.device, self.nets = network, options, device, network.nets

    def memory(self, info: ClipInfo) -> int:
        return self.network.memory(*self.network.size(info))

    def __call__(self, shot: Shot, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        waiting: deque[Tensor] = deque()  # the frames whose depth is not known yet
        calm = SteadyRange(aligned=self.network.aligned)
        for raw in self.network.inverse_depth(self._seen(frames, waiting, self.network.size(shot.info))):
            for depth in calm(raw):
                yield self._finished(depth, waiting.popleft())[None]

    def _seen(
        self, frames: Iterable[Tensor], waiting: deque[Tensor], size: tuple[int, int]
    ) -> Iterator[Tensor]:
        """Pictures as the network takes them, while the frames wait for their depth."""
        for chunk in frames:
            waiting.extend(chunk)
            yield resize(chunk[..., :3].to(self.device).float(), *size, method="bilinear").movedim(-1, 1)

    def _finished(self, depth: Tensor, frame: Tensor) -> Tensor:
        """One frame's depth at its size, ``[H, W, 1]``."""
        return finished(depth, frame.to(self.device), self.options)


def finished(depth: Tensor, frame: Tensor, options: DepthOptions) -> Tensor:
    """Depth ``[h, w]`` in 0..1 as ``[H, W, 1]`` of a frame ``[H, W, C]``, as the options ``edges``, ``dilate`` and ``invert`` want it."""
    if options.edges == "snap":
        depth = snap(depth, frame, options.dilate)[..., None]
    else:
        depth = resize(depth[None, ..., None], *frame.shape[:2], method="bilinear")[0]
    return (1 - depth if options.invert else depth).to(frame.dtype)


def depth_type(precision: str, device: torch.device) -> torch.dtype:
    """As ``number_type``, but ``auto`` takes float16 on every GPU: the 8 bits of bfloat16 make steps in depth."""
    return torch.float16 if precision == "auto" and device.type == "cuda" else number_type(precision, device)


def depth_together(device: torch.device, height: int, width: int, most: int) -> int:
    """How many pictures a depth network sees at once."""
    return together(device, height * width, BATCH_PIXELS, most)


def batches(pictures: Iterable[Tensor], together: int) -> Iterator[Tensor]:
    """The pictures in batches by their place in the shot, however they come."""
    waiting: list[Tensor] = []
    for chunk in pictures:
        for picture in chunk:
            waiting.append(picture)
            if len(waiting) == together:
                yield torch.stack(waiting)
                waiting = []
    if waiting:
        yield torch.stack(waiting)
