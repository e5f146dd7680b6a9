"""FlashVSR's tiny decoder: latents and upscaled frames to images, causal, a few latent steps at a time.

After Ollin Boer Bohan's TAEHV (MIT). Everything but the memory blocks reads one frame only, so the steps of a
chunk are a batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .strict import load_strict

STEP = 4  # frames of a latent step
SQUARE = 8  # pixels of a latent one, along a row and a column
LATENTS = 16
CONDITION = 3 * STEP * SQUARE**2
DROPPED = 3  # frames that the first latent step outputs before the first one
PREFIXES = ("tc_decoder.", "TCDecoder.", "module.")
# most pixels per batch of the last, full-size layers; a larger frame runs alone
AT_ONCE = 1 << 21


def load(state: Mapping[str, Tensor]) -> TCDecoder:
    """Return the decoder of a published state dict with any prefix. Raise ValueError if it is not one."""
    for prefix in PREFIXES:
        if all(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): tensor for key, tensor in state.items()}
    state = {key: tensor for key, tensor in state.items() if not key.startswith("encoder.")}  # it never runs
    widths = [
        state[key].shape[0] if key in state else 1
        for key in (f"decoder.{index}.weight" for index in (1, 10, 16, 22))
    ]
    with torch.device("meta"):
        net = TCDecoder(*widths)
    return load_strict(net, state, "FlashVSR's TCDecoder")


class Memory(nn.Module):
    """A residual block that also reads its input of one step earlier."""

    def __init__(self, width: int):
        super().__init__()
        convs = [
            nn.Conv2d(2 * width, width, 3, padding=1),
            *(nn.Conv2d(width, width, 3, padding=1) for _ in range(2)),
        ]
        self.conv = nn.Sequential(convs[0], nn.ReLU(), convs[1], nn.ReLU(), convs[2])

    def forward(self, x: Tensor, last: Tensor) -> Tensor:
        earlier = torch.cat([last, x[:-1]])
        return F.relu(self.conv(torch.cat([x, earlier], 1)) + x)


class Grow(nn.Module):
    """Turn one step into ``times`` steps."""

    def __init__(self, width: int, times: int):
        super().__init__()
        self.conv, self.times = nn.Conv2d(width, width * times, 1, bias=False), times

    def forward(self, x: Tensor) -> Tensor:
        result = self.conv(x)
        if self.times == 1:
            return result
        steps = rearrange(result, "t (times c) h w -> (t times) h w c", times=self.times)  # in one copy
        return steps.movedim(-1, 1)


class FusedUpsample(nn.Module):
    """Double the size by repetition, then apply a 3x3 convolution, both as one 2x2 convolution.

    It outputs the four pixels that each one becomes: the same numbers for 4/9 of the multiplications, without
    the enlarged image. ``relu`` includes the activation that follows in some places.
    """

    def __init__(self, conv: nn.Conv2d, relu: bool = False):
        super().__init__()
        self.relu = relu
        weight = conv.weight.detach().float()
        # the first of two neighbours sees the pixel before and itself twice, the second itself twice and the
        # next
        for axis in (2, 4):
            before, same, after = weight.unbind(axis)
            weight = torch.stack(
                [torch.stack([before, same + after], axis), torch.stack([before + same, after], axis)]
            )
        weight = rearrange(weight, "column row out c h w -> (row column out) c h w")
        weight = weight.to(conv.weight.dtype, memory_format=torch.channels_last)
        self.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        parts = F.conv2d(x, self.weight, padding=1).unflatten(1, (2, 2, -1))
        shape = len(x), parts.shape[3], 2 * height, 2 * width
        result = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
        for row in (0, 1):
            for column in (0, 1):
                part, place = (
                    parts[:, row, column, :, row : row + height, column : column + width],
                    result[:, :, row::2, column::2],
                )
                place.copy_(part.clamp_min_(0) if self.relu else part)
        return result


class Limit(nn.Module):
    """Limit to -3..3, softly."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / 3) * 3


class TCDecoder(nn.Module):
    """Frames about 0..1 from latents; ``history`` holds the last input of each of the nine memory blocks."""

    def __init__(self, *widths: int):
        super().__init__()
        a, b, c, d = widths or (512, 256, 128, 128)
        plain = partial(nn.Conv2d, kernel_size=3, padding=1, bias=False)
        self.decoder = nn.Sequential(
            Limit(), nn.Conv2d(CONDITION + LATENTS, a, 3, padding=1), nn.ReLU(), plain(a, a), nn.ReLU(),
            *(Memory(a) for _ in range(3)), nn.Identity(), Grow(a, 1), plain(a, b),
            *(Memory(b) for _ in range(3)), nn.Identity(), Grow(b, 2), plain(b, c),
            *(Memory(c) for _ in range(3)), nn.Identity(), Grow(c, 2), plain(c, d),
            nn.ReLU(), plain(d, d), nn.ReLU(), nn.Conv2d(d, 3, 3, padding=1),
        )  # fmt: skip
        self.enlarge: nn.Module = nn.Upsample(scale_factor=2.0)

    def joined(self) -> TCDecoder:
        """Merge each upsampling with the convolution after it, for inference; modifies this decoder."""
        for place in (10, 16, 22):
            convolution = self.decoder[place]
            assert isinstance(convolution, nn.Conv2d)
            self.decoder[place] = FusedUpsample(convolution, relu=place == 22)
        self.enlarge = self.decoder[23] = nn.Identity()
        return self

    def forward(
        self, latents: Tensor, frames: Tensor, history: tuple[Tensor, ...] | None
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return images ``[frames, 3, H, W]`` and the new history.

        Inputs are latents ``[T, 16, H / 8, W / 8]`` and upscaled frames ``[4 T, 3, H, W]``. At the start of a
        shot ``history`` is None, and ``frames`` are three fewer.
        """
        begins = history is None
        past = history or ()
        if begins:
            frames = torch.cat([frames[:1].expand(DROPPED, -1, -1, -1), frames])
        x = torch.cat([stacked(frames), latents], 1).contiguous(memory_format=torch.channels_last)
        kept = []
        for layer in self.decoder[:20]:
            if isinstance(layer, Memory):
                kept.append(x[-1:].clone(memory_format=torch.channels_last))
                x = layer(x, torch.zeros_like(x[:1]) if begins else past[len(kept) - 1])
            elif isinstance(layer, Grow):
                x = self.enlarge(layer(x))  # a 1x1 layer before upsampling: a quarter of the work
            else:
                x = layer(x)
        return self._last(x, begins), tuple(kept)

    def _last(self, x: Tensor, begins: bool) -> Tensor:
        """Run the full-size layers, which read single frames, a few frames at a time to save memory."""
        x = self.decoder[21](x)[DROPPED if begins else 0 :]
        together = max(1, AT_ONCE // (4 * x.shape[-2] * x.shape[-1]))
        return torch.cat([self._pictures(part) for part in x.split(together)])

    def _pictures(self, x: Tensor) -> Tensor:
        x = self.enlarge(x)
        for layer in self.decoder[22:]:
            x = layer(x)
        return x


def stacked(frames: Tensor) -> Tensor:
    """Return frames ``[4 T, 3, H, W]`` as ``[T, 768, H / 8, W / 8]``.

    The channels are in the order colour, frame, row, column.
    """
    return F.pixel_unshuffle(rearrange(frames, "(t step) c h w -> t (c step) h w", step=STEP), SQUARE)
