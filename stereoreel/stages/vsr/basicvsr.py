"""BasicVSR++, BasicVSR and RealBasicVSR: x4 (or restored at the same size) from the whole shot, then Lanczos to the very pixel.

A frame depends on all frames of its shot, ever less on those far away. What comes before is remembered
exactly; of what follows, ``AHEAD`` frames are seen at least. A shot is restored window by window, so that
memory does not grow with it. Of the kind's options ``strength`` and ``radius`` are builtin's.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.clip import ClipInfo, Shot
from ...core.host import Host
from ...core.options import agree
from ...image.compute import free_memory, number_type, together
from ...image.resize import resize, scaled_size
from ...models import weights
from ...nets import basicvsr
from . import VSROptions
from .basicvsr_track import Track, windows

log = logging.getLogger(__name__)

# frames seen beyond those that a window finishes; random weights forget most of what lies further within so
# many
AHEAD = 12
MOST = 48  # frames that a window finishes
LEAST = 8  # so that frames seen ahead do not cost more than three times the work
# of features that a window may hold; larger frames get shorter windows
KEPT_BYTES = {"cpu": 3 << 30, "cuda": 12 << 30}
GPU_SHARE = 0.5  # of its free memory that they may take before they wait in the computer's
# pixels that are worked on together where frames do not wait for each other
BATCH_PIXELS = {"cpu": 1 << 14, "cuda": 1 << 20}
MOST_TOGETHER = 16
WORKING = 600  # numbers a pixel of the input needs while a feature is found


def load(entry, options: VSROptions, host: Host) -> BasicVSRStage:
    path = host.weights(entry.kind, entry.file)
    state = weights.read(path)
    with weights.loading(path):
        net = basicvsr.load(state)
    return BasicVSRStage(net, options, host.device, entry.params.get("ahead", AHEAD))


def feature_type(precision: str, device: torch.device) -> torch.dtype:
    """``auto`` takes float16 on a GPU: what is remembered over many frames wants finer steps than those of bfloat16."""
    return torch.float16 if precision == "auto" and device.type == "cuda" else number_type(precision, device)


class BasicVSRStage:
    """Frames ``[T, H, W, C]`` at ``factor`` times the size; alpha is enlarged by Lanczos, one channel is worked on as gray."""

    joint = False

    def __init__(
        self,
        net: basicvsr.RealBasicVSR | basicvsr.Restorer,
        options: VSROptions,
        device: torch.device,
        ahead: int = AHEAD,
    ):
        self.net, self.options, self.device, self.ahead = (
            net.typed(feature_type(options.precision, device)),
            options,
            device,
            ahead,
        )
        self.nets, self.core = [net], getattr(net, "basicvsr", net)

    def memory(self, frames: ClipInfo) -> int:
        """Bytes that a window of these frames needs, beside the network; what may wait elsewhere counts up to a limit."""
        height, width = self._padded(frames.height, frames.width)
        kept = (
            0
            if self.options.offload == "on"
            else self._frame_bytes(height, width) * (self._window(height, width) + self.ahead)
        )
        large = 3 * 64 * min(16 * height * width, 16 * basicvsr.STRIP.get(self.device.type, 1 << 16))
        return kept + (WORKING * height * width // self._shrinks**2 + large) * self.core.dtype.itemsize

    def retuned(self, options: VSROptions) -> BasicVSRStage | None:
        """These networks under other options; None where they ask for others."""
        return (
            BasicVSRStage(self.net, options, self.device, self.ahead)
            if agree(options, self.options, "model", "precision")
            else None
        )

    def delay(self, frames: ClipInfo) -> int:
        """Frames that it holds back at most: a window, and those seen beyond it."""
        return self._window(*self._padded(frames.height, frames.width)) + self.ahead

    def __call__(self, shot: Shot, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        height, width = shot.info.height, shot.info.width
        track = Track(self.net, self.options.cleaning, self._keep(height, width))
        number, waiting = shot.start, deque()
        for added, count in windows(frames, self._window(*self._padded(height, width)), self.ahead):
            track.add(self._batches(added))
            waiting += added
            for made in self._restored(track, count, number):
                yield self._finished(made, waiting.popleft())
                number += 1

    @property
    def _shrinks(self) -> int:
        """By how much features are smaller than the picture."""
        return 4 // self.core.scale

    def _padded(self, height: int, width: int) -> tuple[int, int]:
        multiple, smallest = self.core.multiple, self.core.smallest
        return tuple(max(smallest, -(-side // multiple) * multiple) for side in (height, width))

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
        """Where features wait."""
        height, width = self._padded(height, width)
        needed, free = (
            self._frame_bytes(height, width) * (self._window(height, width) + self.ahead),
            free_memory(self.device),
        )
        short = self.options.offload == "auto" and free is not None and needed > GPU_SHARE * free
        if short:
            log.info(
                "features (%d MB) wait in the computer's memory, because the GPU has only %d MB free",
                needed >> 20,
                free >> 20,
            )
        return (
            (lambda feature: feature.cpu())
            if short or self.options.offload == "on"
            else (lambda feature: feature)
        )

    def _batches(self, frames: list[Tensor]) -> list[Tensor]:
        """Frames as pictures ``[n, 3, H, W]`` of a size that the network takes; how many together goes by their size only."""
        height, width = self._padded(*frames[0].shape[:2])
        size = together(self.device, height * width, BATCH_PIXELS, MOST_TOGETHER)
        pictures = [
            padded(colors(frame[None]).to(self.device).float().movedim(-1, 1), height, width)
            for frame in frames
        ]
        return [torch.cat(pictures[first : first + size]) for first in range(0, len(pictures), size)]

    def _restored(self, track: Track, count: int, number: int) -> Iterator[Tensor]:
        """The next ``count`` results; where half precision fails, the rest is made in float32."""
        done = 0
        while done < count:
            for made in islice(track.restored(count), done, None):
                if not made.isfinite().all():
                    break
                yield made
                done += 1
            if done < count:
                self._soften(track, number + done)

    def _soften(self, track: Track, number: int) -> None:
        if self.core.dtype == torch.float32:
            raise RuntimeError(
                f"frame {number} is not finite, in float32 too; check the weights and the driver, or use another model."
            )
        log.warning("frame %d is not finite in half precision; going on in float32", number)
        self.net.typed(torch.float32)
        track.renew()

    def _finished(self, made: Tensor, frame: Tensor) -> Tensor:
        """A result ``[1, 3, H', W']`` as a chunk of the wanted size."""
        height, width = frame.shape[:2]
        wide, tall = scaled_size(width, height, self.options.factor)
        picture = made[..., : height * self.core.scale, : width * self.core.scale].movedim(1, -1)
        picture = picture.clamp(0, 1)
        if picture.shape[1:3] != (tall, wide):
            picture = resize(picture, tall, wide)
        if frame.shape[-1] < 3:
            picture = picture.mean(-1, keepdim=True)
        if frame.shape[-1] > 3:
            picture = torch.cat(
                [picture, resize(frame[None, ..., 3:].to(self.device).float(), tall, wide)], -1
            )
        return picture.to(torch.float32 if picture.device.type == "cpu" else torch.float16)


def colors(frames: Tensor) -> Tensor:
    """Frames ``[T, H, W, 3]`` of those that may have alpha, or one channel only."""
    return frames[..., :3] if frames.shape[-1] >= 3 else frames[..., :1].expand(*frames.shape[:-1], 3)


def padded(image: Tensor, height: int, width: int) -> Tensor:
    """A picture ``[1, 3, h, w]`` made larger to the right and below: mirrored, and repeated where it is too small for that."""
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
