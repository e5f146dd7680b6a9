"""FlashVSR's projector: condition the diffusion transformer on the upscaled frames, one feature per token.

Its 3-D convolutions have 4 frames and stride 2, so each is a plain convolution over 4 frames stacked in
channels: the same numbers, a fraction of the time and memory.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .strict import load_strict

SQUARE = 16  # pixels of a token, along a row and a column
CLIP = 4  # frames of a latent step
TAPS, STRIDE = 4, 2  # of the convolutions, in time
PREFIXES = ("LQ_proj_in.", "lq_proj_in.", "module.")


def load(state: Mapping[str, Tensor]) -> Projector:
    """Return the projector of a published state dict with any prefix. Raise ValueError if it is not one."""
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): tensor for key, tensor in state.items()}
    shapes = [
        state[key].shape[0] if key in state else 1
        for key in ("conv1.weight", "conv2.weight", "linear_layers.0.weight")
    ]
    with torch.device("meta"):
        net = Projector(*shapes)
    return load_strict(net, state, "FlashVSR's projector")


class Norm(nn.Module):
    """Normalise to length sqrt(C) along the channels, which come last."""

    def __init__(self, channels: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.silu(F.normalize(x, dim=-1) * len(self.gamma) ** 0.5 * self.gamma.flatten())


class Projector(nn.Module):
    """Features of frames ``[T, 3, H, W]`` in -1..1, a multiple of 16 along both sides, in clips of four.

    In version 1.1 (``causal``) each clip reads the last two frames of the one before it. In version 1 it
    reads its own last two instead, because its weights were trained so, and nothing is carried on. The first
    frame of a shot fills a clip of its own, which gives no features.
    """

    def __init__(self, first: int = 2048, second: int = 3072, width: int = 1536):
        super().__init__()
        self.conv1 = nn.Conv3d(3 * SQUARE**2, first, (TAPS, 3, 3))
        self.norm1 = Norm(first)
        self.conv2 = nn.Conv3d(first, second, (TAPS, 3, 3))
        self.norm2 = Norm(second)
        self.linear_layers = nn.ModuleList([nn.Linear(second, width)])
        self.causal = True

    def stacked(self) -> Projector:
        """Convert the kernels to frames stacked in channels, for inference; modifies this projector."""
        for name in ("conv1", "conv2"):
            conv = getattr(self, name)
            flat = nn.Conv2d(TAPS * conv.in_channels, conv.out_channels, 3, device="meta")
            weight = rearrange(conv.weight, "out c t h w -> out (t c) h w")
            flat.weight = nn.Parameter(
                weight.contiguous(memory_format=torch.channels_last), requires_grad=False
            )
            flat.bias = conv.bias
            setattr(self, name, flat)
        return self

    def forward(
        self, frames: Tensor, history: tuple[Tensor, ...] | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return features ``[clips, h, w, width]`` and the state for the next call.

        ``history`` is None if ``frames`` begin a shot. A shot begins with 1 + 4 n frames and continues with
        multiples of four.
        """
        begins = history is None
        past = history or ()
        if begins:
            frames = torch.cat([frames[:1].expand(CLIP - 1, -1, -1, -1), frames])
        x = F.pixel_unshuffle(frames, SQUARE).movedim(1, -1)
        if not self.causal:
            return self._apart(x[CLIP:] if begins else x), ()
        x = torch.cat([x[:1].expand(2, -1, -1, -1) if begins else past[0], x])
        y = self.norm1(convolved(self.conv1, x))
        y = y if begins else torch.cat([past[1], y])
        return self._feature(convolved(self.conv2, y)), (x[-2:].clone(), y[-2:].clone())

    def _apart(self, x: Tensor) -> Tensor:
        """Convolve clips of which each is its own past."""
        clips = x.unflatten(0, (-1, CLIP))
        y = self.norm1(convolved(self.conv1, torch.cat([clips[:, 2:], clips], 1).flatten(0, 1), CLIP + 2))
        pairs = y.unflatten(0, (-1, 2))
        return self._feature(convolved(self.conv2, torch.cat([pairs, pairs], 1).flatten(0, 1), CLIP))

    def _feature(self, x: Tensor) -> Tensor:
        return self.linear_layers[0](self.norm2(x))


def convolved(conv: nn.Conv3d | nn.Conv2d, x: Tensor, length: int | None = None) -> Tensor:
    """Convolve ``[T, H, W, C]``, edges repeated; with ``length`` each sequence of so many frames alone."""
    # concatenated, not padded: padding on a GPU moves the channels first, the convolution last again
    for axis in (1, 2):
        x = torch.cat([x.narrow(axis, 0, 1), x, x.narrow(axis, x.shape[axis] - 1, 1)], axis)
    parts = x.unflatten(0, (-1, length or len(x)))
    count = (parts.shape[1] - TAPS) // STRIDE + 1
    if isinstance(conv, nn.Conv3d):
        result = F.conv3d(parts.movedim(-1, 1), conv.weight, conv.bias, (STRIDE, 1, 1))
        return rearrange(result, "clips c t h w -> (clips t) h w c")
    windows = torch.cat(
        [parts[:, tap : tap + STRIDE * (count - 1) + 1 : STRIDE] for tap in range(TAPS)], -1
    ).flatten(0, 1)
    return conv(windows.movedim(-1, 1)).movedim(1, -1)
