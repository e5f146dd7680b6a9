"""BasicVSR++, BasicVSR and RealBasicVSR: x4 (or restored at the same size), then Lanczos to the exact size.

A frame depends on all frames of its shot, less on distant ones. Past frames are represented exactly; of the
following ones, at least ``AHEAD`` are used. A shot is restored window by window, so memory use does not grow
with its length. The options ``strength`` and ``radius`` apply to builtin only.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...core.clip import ClipInfo, Shot
from ...core.host import Host
from ...core.options import agree
from ...image.compute import Graphs, batch_size, free_memory, resolve_dtype
from ...image.host_copy import Download
from ...image.resize import Resizer, scaled_size
from ...models import weights
from ...nets import basicvsr
from . import VSROptions
from .basicvsr_track import Track, windows

log = logging.getLogger(__name__)

# frames used beyond those that a window completes; with random weights, the influence of later ones has
# mostly vanished
AHEAD = 12
MOST = 48  # frames that a window completes at most
LEAST = 8  # keeps the cost of the look-ahead below three times the work
# limit for the features of a window; larger frames get shorter windows
KEPT_BYTES = {"cpu": 3 << 30, "cuda": 12 << 30}
GPU_SHARE = 0.5  # of the free GPU memory; larger features are stored in system RAM
# pixels of a batch in steps that process frames independently
BATCH_PIXELS = {"cpu": 1 << 14, "cuda": 1 << 20}
MOST_TOGETHER = 16
# numbers in the features of a frame whose launches take longer than their arithmetic, on a large GPU: 480x270
FEW = 64 * 480 * 270
WORKING = 600  # numbers per input pixel while a feature is computed


def load(entry, options: VSROptions, host: Host) -> BasicVSRStage:
    path = host.weights(entry.kind, entry.file)
    state = weights.read(path)
    with weights.loading(path):
        net = basicvsr.load(state)
    return BasicVSRStage(net, options, host.device, entry.params.get("ahead", AHEAD))


def feature_type(precision: str, device: torch.device) -> torch.dtype:
    """Return the dtype; ``auto`` is float16 on a GPU: long-lived state needs more than bfloat16."""
    return (
        torch.float16 if precision == "auto" and device.type == "cuda" else resolve_dtype(precision, device)
    )


class BasicVSRStage:
    """Upscale frames ``[T, H, W, C]`` by ``factor``; alpha by Lanczos, one channel as grey."""

    joint = False

    def __init__(
        self,
        net: basicvsr.RealBasicVSR | basicvsr.Restorer,
        options: VSROptions,
        device: torch.device,
        ahead: int = AHEAD,
    ):
        self.net = net.typed(feature_type(options.precision, device))
        self.options, self.device, self.ahead = options, device, ahead
        self.nets: list[nn.Module] = [net]
        self._resize = Resizer()
        self.core: basicvsr.Restorer = net.basicvsr if isinstance(net, basicvsr.RealBasicVSR) else net
        self.forget()

    def forget(self) -> None:
        """Drop graphs recorded for a model that has been moved."""
        on_gpu = self.device.type == "cuda"
        self.core.runs = (
            {name: Graphs(step, FEW, True) for name, step in self.core.steps().items()} if on_gpu else {}
        )

    def memory(self, frames: ClipInfo) -> int:
        """Return the bytes that a window needs in addition to the model; offloadable ones up to a limit."""
        height, width = self._padded(frames.height, frames.width)
        kept = (
            0
            if self.options.offload == "on"
            else self._frame_bytes(height, width) * (self._window(height, width) + self.ahead)
        )
        large = 3 * 64 * min(16 * height * width, 16 * basicvsr.STRIP.get(self.device.type, 1 << 16))
        return kept + (WORKING * height * width // self._shrinks**2 + large) * self.core.dtype.itemsize

    def retuned(self, options: VSROptions) -> BasicVSRStage | None:
        """Return this model with other options, or None if they require loading another."""
        return (
            BasicVSRStage(self.net, options, self.device, self.ahead)
            if agree(options, self.options, "model", "precision")
            else None
        )

    def delay(self, frames: ClipInfo) -> int:
        """Return the most frames it buffers: a window and its look-ahead."""
        return self._window(*self._padded(frames.height, frames.width)) + self.ahead

    def __call__(self, shot: Shot, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        height, width = shot.info.height, shot.info.width
        track = Track(self.net, self.options.cleaning, self._keep(height, width))
        number = shot.start
        waiting: deque[Tensor] = deque()
        for added, count in windows(frames, self._window(*self._padded(height, width)), self.ahead):
            track.add(self._batches(added))
            waiting += added
            for restored in self._restored(track, count, number):
                yield self._finished(restored, waiting.popleft())
                number += 1

    @property
    def _shrinks(self) -> int:
        """The ratio of frame size to feature size."""
        return 4 // self.core.scale

    def _padded(self, height: int, width: int) -> tuple[int, int]:
        multiple, smallest = self.core.multiple, self.core.smallest
        high, wide = (max(smallest, -(-side // multiple) * multiple) for side in (height, width))
        return high, wide

    def _frame_bytes(self, height: int, width: int) -> int:
        return (
            self.core.kept
            * self.core.width
            * (height // self._shrinks)
            * (width // self._shrinks)
            * self.core.dtype.itemsize
        )

    def _window(self, height: int, width: int) -> int:
        fits = (
            KEPT_BYTES.get(self.device.type, KEPT_BYTES["cpu"]) // self._frame_bytes(height, width)
            - self.ahead
        )
        return self.options.window or min(max(LEAST, fits), MOST)

    def _keep(self, height: int, width: int) -> basicvsr.Keep:
        """Return the function that stores a feature: on the device or in system RAM."""
        height, width = self._padded(height, width)
        needed = self._frame_bytes(height, width) * (self._window(height, width) + self.ahead)
        free, offload = free_memory(self.device), self.options.offload
        if offload == "auto" and free is not None and needed > GPU_SHARE * free:
            log.info(
                "Features (%d MB) are stored in system RAM, because the GPU has only %d MB free",
                needed >> 20,
                free >> 20,
            )
            offload = "on"
        return (lambda feature: feature.cpu()) if offload == "on" else (lambda feature: feature)

    def _batches(self, frames: list[Tensor]) -> list[Tensor]:
        """Return frames as images ``[n, 3, H, W]``, padded for the model; the batch depends on size only."""
        height, width = self._padded(*frames[0].shape[:2])
        size = batch_size(self.device, height * width, BATCH_PIXELS, MOST_TOGETHER)
        images = [
            padded(colors(frame[None]).to(self.device).float().movedim(-1, 1), height, width)
            for frame in frames
        ]
        return [torch.cat(images[first : first + size]) for first in range(0, len(images), size)]

    def _restored(self, track: Track, count: int, number: int) -> Iterator[Tensor]:
        """Yield the next ``count`` results; if half precision fails, compute the rest in float32."""
        done = 0
        while done < count:
            for restored, broken in self._checked(islice(track.restored(count), done, None)):
                if bool(broken.wait()):
                    break
                yield restored
                done += 1
            if done < count:
                self._use_float32(track, number + done)

    def _checked(self, frames: Iterable[Tensor]) -> Iterator[tuple[Tensor, Download]]:
        """Yield frames, and whether they are broken; on a GPU one frame later, so that it has more to do."""
        waiting: deque[tuple[Tensor, Download]] = deque()
        for frame in frames:
            waiting.append((frame, Download(~frame.isfinite().all())))
            if len(waiting) > (self.device.type == "cuda"):
                yield waiting.popleft()
        yield from waiting

    def _use_float32(self, track: Track, number: int) -> None:
        if self.core.dtype == torch.float32:
            raise RuntimeError(
                f"frame {number} is not finite, in float32 too. Check the weights and the driver, or use "
                "another model."
            )
        log.warning("frame %d is not finite in half precision; continuing in float32", number)
        self.net.typed(torch.float32)
        self.forget()
        track.recompute()

    def _finished(self, restored: Tensor, frame: Tensor) -> Tensor:
        """Return a result ``[1, 3, H', W']`` as a chunk of the output size."""
        height, width = frame.shape[:2]
        wide, tall = scaled_size(width, height, self.options.factor)
        image = restored[..., : height * self.core.scale, : width * self.core.scale].movedim(1, -1)
        image = image.clamp(0, 1)
        if image.shape[1:3] != (tall, wide):
            image = self._resize(image, tall, wide)
        if frame.shape[-1] < 3:
            image = image.mean(-1, keepdim=True)
        if frame.shape[-1] > 3:
            image = torch.cat(
                [image, self._resize(frame[None, ..., 3:].to(self.device).float(), tall, wide)], -1
            )
        return image.to(torch.float32 if image.device.type == "cpu" else torch.float16)


def colors(frames: Tensor) -> Tensor:
    """Return frames as ``[T, H, W, 3]``, without alpha, a single channel three times."""
    return frames[..., :3] if frames.shape[-1] >= 3 else frames[..., :1].expand(*frames.shape[:-1], 3)


def padded(image: Tensor, height: int, width: int) -> Tensor:
    """Pad an image ``[1, 3, h, w]`` on the right and at the bottom: mirrored, repeated if it is too small."""
    for mode in ("reflect", "replicate"):
        missing = (width - image.shape[-1], height - image.shape[-2])
        across, down = (
            missing
            if mode == "replicate"
            else (min(gap, side - 1) for gap, side in zip(missing, image.shape[:-3:-1]))
        )
        if across or down:
            image = F.pad(image, (0, across, 0, down), mode)
    return image
