"""The stage around every depth model: one scale and a stable range per shot, aligned with image edges."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.clip import ClipInfo, Shot
from ...image.compute import Graphs, batch_size, resolve_dtype
from ...image.edge_snap import snap
from ...image.host_copy import upload
from ...image.resize import Resizer
from . import DepthOptions
from .light import SteadyLight
from .preprocess import LONGEST, NATIVE
from .windows import SteadyRange, match

log = logging.getLogger(__name__)

# metres added to a distance before it is inverted, so that very near objects do not take the complete range
NEAREST = 0.1

# numbers in the input whose launches take longer than their arithmetic: two frames of 518 lines, 16:9
FEW = 2 * 3 * 518 * 924
FEW_SHOWN = 3 * 1920 * 1080  # the same in a frame whose edges are aligned
BATCH_PIXELS = {"cpu": 518 * 924, "cuda": 8 * 518 * 924}


class DepthNetwork(Protocol):
    """Model interface of the stage.

    ``aligned`` if all its depth of a shot has one scale and shift; ``corners`` if the centres of the corner
    pixels of its depth are those of the frame, as where its layers upsample that way.
    """

    @property
    def nets(self) -> Sequence[nn.Module]: ...

    @property
    def aligned(self) -> bool: ...

    @property
    def corners(self) -> bool: ...

    def size(self, info: ClipInfo) -> tuple[int, int]:
        """Return the height and width of its input for a clip."""
        ...

    def input(self, frames: Tensor, height: int, width: int) -> Tensor:
        """Return frames ``[T, H, W, 3]``, float32 in 0..1, as its input ``[T, 3, height, width]``."""
        ...

    def memory(self, height: int, width: int) -> int:
        """Return the bytes it needs for input of this size, in addition to its weights."""
        ...

    def inverse_depth(
        self, pictures: Iterator[Tensor], frame: tuple[int, int] | None = None
    ) -> Iterator[Tensor]:
        """Yield inverse depth ``[T, h, w]`` (larger is nearer) of images ``[T, 3, h, w]`` in 0..1.

        ``frame`` is the height and width of the clip, at which a model may return it if no edges are snapped.
        """
        ...


class DepthStage:
    """Depth ``[T, H, W, 1]``, near = 1, of frames ``[T, H, W, C]``; same size, count and rate."""

    joint = False

    def __init__(self, network: DepthNetwork, options: DepthOptions, device: torch.device):
        self.network, self.options, self.device = network, options, device
        self.nets: list[nn.Module] = list(network.nets)
        self._noted = False
        self._resizer = Resizer()
        on_gpu = device.type == "cuda"
        self._fit = Graphs(match) if on_gpu else match
        self._align = Graphs(snap_to, FEW_SHOWN, True) if on_gpu else snap_to

    def memory(self, info: ClipInfo) -> int:
        return self.network.memory(*self.network.size(info))

    def forget(self) -> None:
        """Drop graphs recorded for a model that has been moved."""
        if hasattr(self.network, "forget"):
            self.network.forget()
        for one in (self._fit, self._align):
            if isinstance(one, Graphs):
                one.forget()

    def __call__(self, shot: Shot, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        self._note(shot.info)
        waiting: deque[Tensor] = deque()  # the frames whose depth is pending
        steady = SteadyRange(aligned=self.network.aligned, fit=self._fit)
        light = SteadyLight(self._inputs(frames, waiting, self.network.size(shot.info)))
        for level in light.dark():
            frame = waiting.popleft()
            yield self._finished(frame.new_full(frame.shape[:2], level), frame)[None]
        raw = self.network.inverse_depth(light.pictures(), (shot.info.height, shot.info.width))
        for depth in light.every(depth for chunk in raw for depth in steady(chunk)):
            yield self._finished(depth, waiting.popleft())[None]

    def _note(self, info: ClipInfo) -> None:
        """Log once if frames are so long that the model reads them smaller than at ``resolution``."""
        wanted, edges = self.options.resolution, (info.height, info.width)
        if self._noted or wanted == NATIVE or max(edges) <= LONGEST * min(edges):
            return
        side = min(self.network.size(info))
        if side >= int(wanted):
            return
        self._noted = True
        log.info(
            "Depth reads frames of %dx%d at a short side of %d pixels, not %s, as they are longer than %d:1.",
            info.width,
            info.height,
            side,
            wanted,
            LONGEST,
        )

    def _inputs(
        self, frames: Iterable[Tensor], waiting: deque[Tensor], size: tuple[int, int]
    ) -> Iterator[Tensor]:
        """Yield model input, and queue the frames for their depth."""
        for chunk in frames:
            waiting.extend(chunk)
            colors = upload(chunk[..., :3], self.device).float()
            yield self.network.input(colors, *size)

    def _finished(self, depth: Tensor, frame: Tensor) -> Tensor:
        """Return one frame's depth at its size, ``[H, W, 1]``."""
        frame, corners = frame.to(self.device), self.network.corners
        return finished(depth, frame, self.options, self._resizer, corners, self._align)


def snap_to(frame: Tensor, depth: Tensor, dilate: int) -> Tensor:
    """Return depth ``[h, w]`` at the size of a frame, aligned with its edges; see ``snap``."""
    return snap(depth, frame, dilate)


def finished(
    depth: Tensor,
    frame: Tensor,
    options: DepthOptions,
    resizer: Resizer,
    corners: bool = False,
    align: Callable[[Tensor, Tensor, int], Tensor] = snap_to,
) -> Tensor:
    """Return depth ``[h, w]`` in 0..1 as ``[H, W, 1]`` of a frame ``[H, W, C]``.

    The options ``edges``, ``dilate`` and ``invert`` apply. ``corners`` see ``DepthNetwork``; ``align`` is
    ``snap_to``, or that recorded, and finds the edges of the frame itself.
    """
    if options.edges == "snap":
        depth = align(frame, depth, options.dilate)[..., None]
    elif corners:
        depth = F.interpolate(
            depth.float()[None, None], frame.shape[:2], mode="bilinear", align_corners=True
        )[0, 0, ..., None]
    else:
        depth = resizer(depth[None, ..., None], frame.shape[0], frame.shape[1], method="bilinear")[0]
    return (1 - depth if options.invert else depth).to(frame.dtype)


def depth_type(precision: str, device: torch.device) -> torch.dtype:
    """Like ``resolve_dtype``, but ``auto`` is never bfloat16, whose 8 bits cause steps in depth.

    On a CPU that computes in it, it would save a tenth of the time (float32 there).
    """
    if precision == "auto" and device.type in ("cuda", "cpu"):
        return torch.float16 if device.type == "cuda" else torch.float32
    return resolve_dtype(precision, device)


def depth_batch_size(device: torch.device, height: int, width: int, most: int) -> int:
    """Return the batch size of a depth model."""
    return batch_size(device, height * width, BATCH_PIXELS, most)


def batches(pictures: Iterable[Tensor], together: int) -> Iterator[Tensor]:
    """Yield the images in batches by their index in the shot, independent of chunks."""
    waiting: list[Tensor] = []
    for chunk in pictures:
        for picture in chunk:
            waiting.append(picture)
            if len(waiting) == together:
                yield torch.stack(waiting)
                waiting = []
    if waiting:
        yield torch.stack(waiting)
