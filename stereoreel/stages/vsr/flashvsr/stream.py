"""One shot through FlashVSR, chunk by chunk: 25 frames first, then 8 at a time; 21 and then 8 come out.

Latent frame t depends on frames up to 4 t + 1 ... 4 t + 4 and decodes to frames 4 t - 3 ... 4 t, so the model
looks four frames ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .plan import LARGE, MULTIPLE

# frames of a shot's first chunk, of every later one, and the look-ahead
BEGIN, STEP, AHEAD = 25, 8, 4
LATENTS = 2  # latent frames that are decoded together


def schedule(frames: Iterable[Tensor]) -> Iterator[tuple[Tensor, int]]:
    """Yield a shot's frames in groups of 25 and then 8, and how many are output after each.

    The last frame is repeated to complete a group. Groups depend on frame numbers only, not on chunks.
    """
    waiting: list[Tensor] = []
    received = given = 0
    size, due = BEGIN, BEGIN - AHEAD
    for chunk in frames:
        waiting.append(chunk)
        received += len(chunk)
        while sum(map(len, waiting)) >= size:
            everything = torch.cat(waiting)
            yield everything[:size], due
            last, waiting, given = everything[-1:], [everything[size:]], given + due
            size = due = STEP
    while given < received:
        everything = torch.cat(waiting)
        last = everything[-1:] if len(everything) else last
        due = min(due, received - given)
        yield torch.cat([everything, last.expand(size - len(everything), -1, -1, -1)]), due
        waiting, given, size, due = [everything[:0]], given + due, STEP, STEP


class Projection:
    """The projector over one shot."""

    def __init__(self, net: nn.Module):
        self.net, self.history = net, None

    def __call__(self, frames: Tensor) -> Tensor:
        """Return the features of a group of upscaled frames, eight at a time, the shot's first one extra."""
        output, alone = [], len(frames) % STEP  # a shot's first frame is a clip of its own
        for part in frames.split([alone + STEP, *[STEP] * (len(frames) // STEP - 1)]):
            feature, self.history = self.net(part, self.history)
            output.append(feature)
        return torch.cat(output)


class Decoding:
    """The decoder over one shot: two latent frames at a time, one if frames are large."""

    def __init__(self, net: nn.Module, conditioned: bool):
        self.net, self.conditioned, self.history = net, conditioned, None

    def __call__(self, latents: Tensor, frames: Tensor) -> Tensor:
        """Decode a chunk's latents, with their upscaled frames, to images ``[T, 3, H, W]`` in -1..1."""
        together = 1 if frames.shape[-2] * frames.shape[-1] > LARGE else LATENTS
        output, at = [], 0
        for part in latents.split(together):
            if not self.conditioned:
                pictures, self.history = self.net(part, self.history)
            else:
                count = 4 * len(part) - (3 if self.history is None else 0)
                pictures, self.history = self.net(part, frames[at : at + count], self.history)
                pictures, at = pictures * 2 - 1, at + count
            output.append(pictures)
        return torch.cat(output)


class SideStream:
    """A separate CUDA stream parallel to the main one; on other devices, work runs immediately."""

    def __init__(self, device: torch.device):
        self.device, self.stream = device, torch.cuda.Stream(device) if device.type == "cuda" else None

    @contextmanager
    def taking(self, *given: Tensor) -> Generator[None, None, None]:
        """Context that queues work on this stream, after all earlier work; ``given`` stay alive."""
        if self.stream is None:
            yield
            return
        for tensor in given:
            if tensor.is_cuda:
                tensor.record_stream(self.stream)
        self.stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self.stream):
            yield

    def __call__(self, work: Callable[..., Tensor], *given: Tensor) -> Callable[[], Tensor]:
        """Start ``work`` on tensors; return a function for the result, which waits on the device only."""
        with self.taking(*given):
            output = work(*given)
            done = self.stream.record_event() if self.stream else None

        def result() -> Tensor:
            if done is not None:
                current = torch.cuda.current_stream(self.device)
                current.wait_event(done)
                output.record_stream(current)
            return output

        return result


def enlarge(frames: Tensor, height: int, width: int, device: torch.device) -> Tensor:
    """Resize frames ``[T, H, W, C]`` to ``[T, C, height, width]``, float32, 0..1, by Pillow's bicubic."""
    images = frames.to(device).float().movedim(-1, 1)
    if images.shape[-2:] == (height, width):
        return images
    home = torch.device("cpu") if device.type == "mps" else device  # MPS lacks the antialiased kernel
    return (
        F.interpolate(images.to(home), (height, width), mode="bicubic", antialias=True)
        .clamp_(0, 1)
        .to(device)
    )


def padded(images: Tensor) -> Tensor:
    """Pad to multiples of 128 on the right and at the bottom: mirrored as far as possible, then repeated."""
    height, width = images.shape[-2:]
    down, right = -height % MULTIPLE, -width % MULTIPLE
    mirrored = (0, min(right, width - 1), 0, min(down, height - 1))
    images = F.pad(images, mirrored, "reflect") if any(mirrored) else images
    rest = (0, right - mirrored[1], 0, down - mirrored[3])
    return F.pad(images, rest, "replicate") if any(rest) else images
