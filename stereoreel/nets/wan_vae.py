"""The decoder of Wan 2.1's video autoencoder: latents to frames, causal, one latent at a time.

Wan: Open and Advanced Large-Scale Video Generative Models, 2025 (Apache-2.0). The earlier frames that a
causal convolution needs are passed in and returned, so a stream may be split anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .strict import load_strict

LATENTS = 16
MEAN = (-0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
        0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921)  # fmt: skip
DEVIATION = (2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
             3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160)  # fmt: skip
TAPS = 3  # of the causal convolutions, in time
ENCODER = ("encoder.", "conv1.")
PREFIXES = ("model.", "first_stage_model.", "vae.")

History = dict[str, Tensor]


def load(state: Mapping[str, Tensor]) -> WanDecoder:
    """Return the decoder of a published state dict with any prefix; the encoder is left out.

    Raise ValueError if it is not one.
    """
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): tensor for key, tensor in state.items()}
    state = {key: tensor for key, tensor in state.items() if not key.startswith(ENCODER)}
    head = state.get("decoder.head.0.gamma")
    with torch.device("meta"):
        net = WanDecoder(len(head) if head is not None else 1)
    return load_strict(net, state, "Wan 2.1's video decoder")


class Causal(nn.Conv3d):
    """A convolution over each frame and the two before; ``history`` holds its last input, under its name."""

    def __init__(self, inputs: int, outputs: int, size: tuple[int, int, int]):
        super().__init__(inputs, outputs, size, padding=(0, size[1] // 2, size[2] // 2))
        self.name = ""

    # unlike Conv3d it also takes its history
    def forward(self, x: Tensor, history: History) -> Tensor:  # type: ignore[override]
        if self.kernel_size[0] > 1:
            last = history.get(self.name)
            if last is None:
                last = x.new_zeros(*x.shape[:2], TAPS - 1, *x.shape[3:])
            x = torch.cat([last, x], 2)
            history[self.name] = x[:, :, 1 - TAPS :].clone()
        return super().forward(x)


class Norm(nn.Module):
    """Normalise to length sqrt(C) along the channels."""

    def __init__(self, channels: int, dims: int = 3):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels, *[1] * dims))

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=1) * len(self.gamma) ** 0.5 * self.gamma


class Residual(nn.Module):
    """Two causal convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.residual = nn.Sequential(
            Norm(inputs),
            nn.SiLU(),
            Causal(inputs, outputs, (3, 3, 3)),
            Norm(outputs),
            nn.SiLU(),
            nn.Dropout(0.0),
            Causal(outputs, outputs, (3, 3, 3)),
        )
        self.shortcut = Causal(inputs, outputs, (1, 1, 1)) if inputs != outputs else None

    def forward(self, x: Tensor, history: History) -> Tensor:
        result = through(self.residual, x, history)
        return result + (x if self.shortcut is None else self.shortcut(x, history))


class Attention(nn.Module):
    """One head over the positions of each frame."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = Norm(channels, 2)
        self.to_qkv, self.proj = nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, history: History) -> Tensor:
        frames = x[0].transpose(0, 1)
        q, k, v = rearrange(self.to_qkv(self.norm(frames)), "t (qkv c) h w -> qkv t 1 (h w) c", qkv=3)
        seen = rearrange(F.scaled_dot_product_attention(q, k, v), "t 1 (h w) c -> t c h w", h=frames.shape[2])
        return x + self.proj(seen).transpose(0, 1)[None]


class Resample(nn.Module):
    """Double the size, halve the channels.

    With ``time`` it also outputs two frames for each, except the first of a stream.
    """

    def __init__(self, channels: int, time: bool):
        super().__init__()
        self.resample = nn.Sequential(nn.Identity(), nn.Conv2d(channels, channels // 2, 3, padding=1))
        self.time_conv = Causal(channels, 2 * channels, (3, 1, 1)) if time else None
        self.name = ""

    def forward(self, x: Tensor, history: History) -> Tensor:
        if self.time_conv is not None:
            if self.name in history:
                x = rearrange(self.time_conv(x, history), "b (two c) t h w -> b c (t two) h w", two=2)
            history[self.name] = x.new_empty(0)
        frames = F.interpolate(x[0].transpose(0, 1), scale_factor=2.0, mode="nearest-exact")
        return self.resample(frames).transpose(0, 1)[None]


class Decoder(nn.Module):
    """The published layers, of which ``base`` is the channels of the last."""

    def __init__(self, base: int):
        super().__init__()
        wide = 4 * base
        self.conv1 = Causal(LATENTS, wide, (3, 3, 3))
        self.middle = nn.Sequential(Residual(wide, wide), Attention(wide), Residual(wide, wide))
        layers: list[nn.Module] = []
        last = wide
        for place, channels in enumerate((wide, wide, 2 * base, base)):
            layers += [Residual(last if number == 0 else channels, channels) for number in range(3)]
            if place < 3:
                layers.append(Resample(channels, time=place < 2))
            last = channels // 2
        self.upsamples = nn.Sequential(*layers)
        self.head = nn.Sequential(Norm(base), nn.SiLU(), Causal(base, 3, (3, 3, 3)))


class WanDecoder(nn.Module):
    """Frames in -1..1 from latents of the diffusion transformer."""

    def __init__(self, base: int = 96):
        super().__init__()
        self.conv2, self.decoder = nn.Conv3d(LATENTS, LATENTS, 1), Decoder(base)
        # not in the file, so they have values while the rest is on the meta device
        for name, numbers in (("scale", DEVIATION), ("mean", MEAN)):
            self.register_buffer(
                name, torch.tensor(numbers, device="cpu").view(1, -1, 1, 1), persistent=False
            )
        for name, module in self.named_modules():
            if isinstance(module, Causal | Resample):
                module.name = name

    def forward(self, latents: Tensor, history: History | None) -> tuple[Tensor, History]:
        """Return frames ``[4 T, 3, 8 h, 8 w]`` of ``[T, 16, h, w]`` and the new history.

        At the start of a stream (no history) they are three fewer.
        """
        result, history = [], dict(history or {})
        for latent in latents.split(1):
            x = self.conv2((latent * self.scale + self.mean).transpose(0, 1)[None])
            x = self.decoder.conv1(x, history)
            for layers in (self.decoder.middle, self.decoder.upsamples, self.decoder.head):
                x = through(layers, x, history)
            result.append(x[0].transpose(0, 1))
        return torch.cat(result).clamp(-1, 1), history


def through(layers: nn.Sequential, x: Tensor, history: History) -> Tensor:
    """Apply layers one after the other; those with memory get the history."""
    for layer in layers:
        x = layer(x, history) if isinstance(layer, Causal | Residual | Attention | Resample) else layer(x)
    return x
