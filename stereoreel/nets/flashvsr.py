"""FlashVSR's diffusion transformer: Wan 2.1 T2V 1.3B with sparse streaming attention.

It runs once, at full noise. Zhuang et al., FlashVSR: Towards Real-Time Diffusion-Based Streaming Video
Super-Resolution, CVPR 2026; Wan: Open and Advanced Large-Scale Video Generative Models, 2025 (both
Apache-2.0). ``WanDiT`` holds the published tensors. Because the text and the time are always the same,
``folded`` bakes them in: gates become part of the linear layers before them, scales and shifts the weights of
the norms, the text's keys and values constants. Layers that only computed those are dropped, and queries,
keys and values come from one product.

Tokens are kept in windows of 2 latent frames x 8 x 8 from the first layer to the last: they are reordered
once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .strict import Unfit, load_strict

HEAD = 128  # channels of one attention head
SIDE = 8  # tokens along a window's row and column
PAIR = 2  # latent frames of a window
WINDOW = PAIR * SIDE * SIDE  # tokens of a window: one block of the attention
PATCH = 2  # latent pixels of a token, along a row and a column
STEP = 1000.0  # the only timestep: full noise
EPSILON = 1e-6
BASE = 10000.0  # of the rotary angles and of the timestep's
ROTARY = (44, 42, 42)  # channels of a head turned by time, row and column

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Family:
    """Sizes of a network; the defaults are the published one's."""

    width: int = 1536
    blocks: int = 30
    inner: int = 8960
    text: int = 4096
    frequencies: int = 256
    channels: int = 16

    @property
    def heads(self) -> int:
        return self.width // HEAD


def detect(state: Mapping[str, Tensor]) -> Family:
    """Return the sizes of a state dict. Raise ValueError if it is not such a network's."""
    needed = (
        "patch_embedding.weight",
        "blocks.0.ffn.0.weight",
        "text_embedding.0.weight",
        "time_embedding.0.weight",
    )
    if missing := [key for key in needed if key not in state]:
        raise Unfit(f"This file is not FlashVSR's diffusion transformer: it lacks {missing[0]}.")
    patch, inner, text, time = (state[key].shape for key in needed)
    blocks = len({key.split(".")[1] for key in state if key.startswith("blocks.")})
    return Family(patch[0], blocks, inner[0], text[1], time[1], patch[1])


def load(state: Mapping[str, Tensor]) -> WanDiT:
    """Return the network of a published state dict, tensors unchanged. Raise ValueError if it is not one."""
    family = detect(state)
    with torch.device("meta"):
        net = WanDiT(family)
    return load_strict(net, state, "FlashVSR's diffusion transformer")


class RMSNorm(nn.Module):
    """RMS norm over all heads together."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, EPSILON)


class Attention(nn.Module):
    """Attention of a block: among its own tokens, or to the text's."""

    q: nn.Linear
    k: nn.Linear
    v: nn.Linear
    o: nn.Linear

    def __init__(self, width: int):
        super().__init__()
        for name in ("q", "k", "v", "o"):
            setattr(self, name, nn.Linear(width, width))
        self.norm_q, self.norm_k = RMSNorm(width), RMSNorm(width)


class Block(nn.Module):
    """The published tensors of one block."""

    def __init__(self, width: int, inner: int):
        super().__init__()
        self.self_attn, self.cross_attn = Attention(width), Attention(width)
        self.norm3 = nn.LayerNorm(width, EPSILON)
        self.ffn = nn.Sequential(nn.Linear(width, inner), nn.GELU("tanh"), nn.Linear(inner, width))
        self.modulation = nn.Parameter(torch.randn(1, 6, width) / width**0.5)


class Head(nn.Module):
    """The published tensors of the last layer."""

    def __init__(self, width: int, outputs: int):
        super().__init__()
        self.head = nn.Linear(width, outputs)
        self.modulation = nn.Parameter(torch.randn(1, 2, width) / width**0.5)


class WanDiT(nn.Module):
    """The published tensors under their published names; ``folded`` creates the network that runs."""

    def __init__(self, family: Family = Family()):
        super().__init__()
        self.family, width = family, family.width
        self.patch_embedding = nn.Conv3d(family.channels, width, (1, PATCH, PATCH), (1, PATCH, PATCH))
        self.text_embedding = nn.Sequential(
            nn.Linear(family.text, width), nn.GELU("tanh"), nn.Linear(width, width)
        )
        self.time_embedding = nn.Sequential(
            nn.Linear(family.frequencies, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.time_projection = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))
        self.blocks = nn.ModuleList(Block(width, family.inner) for _ in range(family.blocks))
        self.head = Head(width, family.channels * PATCH**2)

    @torch.no_grad()
    def folded(self, prompt: Tensor, dtype: torch.dtype) -> FoldedDiT:
        """Return the network for one text ``[1, tokens, channels]``, in ``dtype``.

        Its own tensors are released one by one, so it ends empty.
        """
        text = through(self.text_embedding, prompt.reshape(1, -1, prompt.shape[-1]).float())
        time = through(self.time_embedding, timestep(self.family.frequencies))
        turns = through(self.time_projection, time).view(6, -1)
        blocks = []
        for _ in range(self.family.blocks):
            block, self.blocks = self.blocks[0], self.blocks[1:]
            assert isinstance(block, Block)
            blocks.append(FoldedBlock(block.float(), turns, text, dtype))
        return FoldedDiT(self.family, self.patch_embedding.float(), blocks, self.head.float(), time, dtype)


class FoldedBlock(nn.Module):
    """One block with the time and the text baked in.

    ``turns`` ``[6, width]`` are the time's shifts, scales and gates.
    """

    def __init__(self, block: Block, turns: Tensor, text: Tensor, dtype: torch.dtype):
        super().__init__()
        shift, scale, gate, shift2, scale2, gate2 = block.modulation[0] + turns
        own, cross, order = block.self_attn, block.cross_attn, halves_order(len(shift))
        up, _, down = block.ffn
        assert isinstance(up, nn.Linear) and isinstance(down, nn.Linear)
        weights = {
            "norm1": (1 + scale, shift),
            "qkv": join((own.q, order), (own.k, order), (own.v, None)),
            "out": gated(own.o, gate),
            "norm_q": (own.norm_q.weight[order],),
            "norm_k": (own.norm_k.weight[order],),
            "norm3": (block.norm3.weight, block.norm3.bias),
            "cross_q": (cross.q.weight, cross.q.bias),
            "cross_norm": (cross.norm_q.weight,),
            "cross_kv": (split_heads(cross.norm_k(cross.k(text))), split_heads(cross.v(text))),
            "cross_out": (cross.o.weight, cross.o.bias),
            "norm2": (1 + scale2, shift2),
            "up": (up.weight, up.bias),
            "down": gated(down, gate2),
        }
        for name, tensors in weights.items():
            setattr(self, name, nn.ParameterList(frozen(tensor, dtype) for tensor in tensors))

    def of(self, *names: str) -> list[Tensor]:
        """Return the tensors of these layers, in order."""
        return [tensor for name in names for tensor in getattr(self, name)]


class FoldedDiT(nn.Module):
    """Latents of noise to those of the video, chunk by chunk; ``attend`` holds earlier chunks' state.

    ``project`` and ``finish`` are the two halves of a block around its attention, so that they may be
    compiled.
    """

    def __init__(
        self,
        family: Family,
        patch: nn.Conv3d,
        blocks: list[FoldedBlock],
        head: Head,
        time: Tensor,
        dtype: torch.dtype,
    ):
        super().__init__()
        self.family, self.dtype = family, dtype
        shift, scale = head.modulation[0] + time
        assert patch.bias is not None
        self.patch = nn.ParameterList([frozen(patch.weight.flatten(1), dtype), frozen(patch.bias, dtype)])
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.ParameterList(
            frozen(tensor, dtype) for tensor in (1 + scale, shift, head.head.weight, head.head.bias)
        )
        self.project: Callable[..., tuple[Tensor, Tensor, Tensor]] = project
        self.finish: Callable[..., Tensor] = finish

    def forward(
        self, noise: Tensor, features: Tensor, turned: tuple[Tensor, Tensor], attend: Attend
    ) -> Tensor:
        """Return latents ``[frames, C, h, w]`` of ``noise`` of that shape (h, w multiples of 16).

        ``features`` are ``[tokens, width]``. ``turned`` are cosines and sines ``[tokens, 64]``;
        ``attend(block, q, k, v)`` takes and returns ``[heads, tokens, 128]``. Features and angles are in
        window order, see ``windowed``.
        """
        frames, _, height, width = noise.shape
        x = F.linear(windowed(tokens(noise)), *self.patch) + features
        for index, block in enumerate(self.blocks):
            assert isinstance(block, FoldedBlock)
            q, k, v = self.project(x, *turned, *block.of("norm1", "qkv", "norm_q", "norm_k"))
            attended = attend(index, q, k, v)
            x = self.finish(
                x,
                attended,
                *block.of(
                    "out", "norm3", "cross_q", "cross_norm", "cross_kv", "cross_out", "norm2", "up", "down"
                ),
            )
        gain, shift, weight, bias = self.head
        result = F.linear(F.layer_norm(x, gain.shape, gain, shift, EPSILON), weight, bias)
        return noise - pixels(unwindowed(result, frames, height // PATCH, width // PATCH))


def project(
    x: Tensor,
    cos: Tensor,
    sin: Tensor,
    gain: Tensor,
    shift: Tensor,
    weight: Tensor,
    bias: Tensor,
    norm_q: Tensor,
    norm_k: Tensor,
    place: Callable | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries, keys and values ``[heads, tokens, 128]`` of tokens ``[tokens, width]``.

    Queries and keys are rotated by their position. ``place`` may be a compiled ``placed``.
    """
    return (place or placed)(
        F.linear(F.layer_norm(x, gain.shape, gain, shift, EPSILON), weight, bias), cos, sin, norm_q, norm_k
    )


def placed(
    joined: Tensor, cos: Tensor, sin: Tensor, norm_q: Tensor, norm_k: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Split and rotate the product that holds queries, keys and values ``[tokens, 3 width]``."""
    q, k, v = joined.chunk(3, -1)
    q, k = (
        rotate(F.rms_norm(one, norm.shape, norm, EPSILON), cos, sin)
        for one, norm in ((q, norm_q), (k, norm_k))
    )
    return q, k, rearrange(v, "n (heads d) -> heads n d", d=HEAD)


def finish(
    x: Tensor,
    attended: Tensor,
    out: Tensor,
    out_bias: Tensor,
    gain3: Tensor,
    shift3: Tensor,
    query: Tensor,
    query_bias: Tensor,
    norm: Tensor,
    text_k: Tensor,
    text_v: Tensor,
    cross: Tensor,
    cross_bias: Tensor,
    gain2: Tensor,
    shift2: Tensor,
    up: Tensor,
    up_bias: Tensor,
    down: Tensor,
    down_bias: Tensor,
) -> Tensor:
    """Compute the rest of a block after its attention ``[heads, tokens, 128]``.

    This is the attention to the text and the layers of each token.
    """
    x = x + F.linear(rearrange(attended, "heads n d -> n (heads d)"), out, out_bias)
    q = F.rms_norm(
        F.linear(F.layer_norm(x, gain3.shape, gain3, shift3, EPSILON), query, query_bias),
        norm.shape,
        norm,
        EPSILON,
    )
    q = rearrange(q, "n (heads d) -> heads n d", d=HEAD)
    seen = F.scaled_dot_product_attention(q[None], text_k[None], text_v[None])[0]
    x = x + F.linear(rearrange(seen, "heads n d -> n (heads d)"), cross, cross_bias)
    inner = F.gelu(
        F.linear(F.layer_norm(x, gain2.shape, gain2, shift2, EPSILON), up, up_bias), approximate="tanh"
    )
    return x + F.linear(inner, down, down_bias)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Apply the rotary embedding to ``[tokens, width]``; return ``[heads, tokens, 128]``.

    Heads hold first the even, then the odd channels.
    """
    even, odd = x.float().unflatten(-1, (-1, 2, HEAD // 2)).unbind(-2)
    cos, sin = cos[:, None], sin[:, None]
    return torch.cat([even * cos - odd * sin, even * sin + odd * cos], -1).to(x.dtype).transpose(0, 1)


class Angles:
    """Cosines and sines ``[tokens, 64]`` of latent frames of ``height`` x ``width`` tokens, in window order.

    The angles are exact and the results float32; any number of frames works, because nothing is read from a
    table.
    """

    def __init__(self, height: int, width: int, device: torch.device):
        self.device = device
        # others may lack float64; a copy to a GPU would block
        self.home = device if device.type == "cuda" else torch.device("cpu")
        self.row, self.column = self._of(range(height), ROTARY[1]), self._of(range(width), ROTARY[2])

    def _of(self, numbers: range, channels: int) -> tuple[Tensor, Tensor]:
        speed = BASE ** -(torch.arange(0, channels, 2, dtype=torch.float64, device=self.home) / channels)
        angle = torch.outer(
            torch.arange(numbers.start, numbers.stop, dtype=torch.float64, device=self.home), speed
        )
        return angle.cos().float().to(self.device), angle.sin().float().to(self.device)

    def __call__(self, first: int, frames: int) -> tuple[Tensor, Tensor]:
        """Return those of ``frames`` latent frames from number ``first`` on."""
        time = self._of(range(first, first + frames), ROTARY[0])
        cosines, sines = (windowed(spread(*parts)) for parts in zip(time, self.row, self.column))
        return cosines, sines


def spread(time: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Return per-frame, per-row and per-column values ``[count, channels]`` at every token.

    The result is ``[frames, height, width, channels]``.
    """
    shape = (len(time), len(row), len(column), -1)
    return torch.cat(
        [
            time[:, None, None].expand(shape),
            row[None, :, None].expand(shape),
            column[None, None].expand(shape),
        ],
        -1,
    )


def tokens(latents: Tensor) -> Tensor:
    """Return 2 x 2 squares of latents ``[T, C, H, W]`` as ``[T, H / 2, W / 2, 4 C]``.

    The channels are in the order of the patch embedding's weight.
    """
    return F.pixel_unshuffle(latents, PATCH).movedim(1, -1)


def pixels(tokens_out: Tensor) -> Tensor:
    """Return the head's output ``[T, H / 2, W / 2, (row, column, channel)]`` as latents ``[T, C, H, W]``."""
    return rearrange(tokens_out, "t h w (row column c) -> t c (h row) (w column)", row=PATCH, column=PATCH)


def windowed(x: Tensor) -> Tensor:
    """Return ``[T, H, W, C]`` as ``[T H W, C]`` in window order.

    The order is pairs of frames, in them rows and columns of windows, in those frame, row, column.
    """
    return rearrange(x, "(pairs t) (tall row) (wide column) c -> (pairs tall wide t row column) c",
                     t=PAIR, row=SIDE, column=SIDE)  # fmt: skip


def unwindowed(x: Tensor, frames: int, height: int, width: int) -> Tensor:
    """Invert ``windowed``."""
    return rearrange(x, "(pairs tall wide t row column) c -> (pairs t) (tall row) (wide column) c",
                     pairs=frames // PAIR, tall=height // SIDE, t=PAIR, row=SIDE, column=SIDE)  # fmt: skip


def timestep(channels: int) -> Tensor:
    """Return the sinusoid of the one timestep, ``[1, channels]``: cosines first."""
    speed = BASE ** -(torch.arange(channels // 2, dtype=torch.float64) / (channels // 2))
    return torch.cat([(STEP * speed).cos(), (STEP * speed).sin()])[None].float()


def through(layers: nn.Module, x: Tensor) -> Tensor:
    """Apply layers to a tensor, in float32, on the layers' device."""
    return layers.float()(x.to(next(layers.parameters()).device))


def halves_order(width: int) -> Tensor:
    """Return an order of channels that puts a head's even ones before its odd ones.

    Rotations then need no interleaving, and products do not change.
    """
    return rearrange(torch.arange(width), "(heads pairs two) -> (heads two pairs)", pairs=HEAD // 2, two=2)


def join(*layers: tuple[nn.Linear, Tensor | None]) -> tuple[Tensor, Tensor]:
    """Merge several linear layers into one, each with its outputs in an order."""
    orders = [slice(None) if order is None else order for _, order in layers]
    weight, bias = (
        torch.cat([getattr(layer, name)[order] for (layer, _), order in zip(layers, orders)])
        for name in ("weight", "bias")
    )
    return weight, bias


def gated(layer: nn.Linear, gate: Tensor) -> tuple[Tensor, Tensor]:
    """Fold a gate into the linear layer that it multiplies."""
    return layer.weight * gate[:, None], layer.bias * gate


def split_heads(x: Tensor) -> Tensor:
    """Return ``[1, tokens, width]`` as ``[heads, tokens, 128]``."""
    return rearrange(x, "1 n (heads d) -> heads n d", d=HEAD).contiguous()


def frozen(tensor: Tensor, dtype: torch.dtype) -> nn.Parameter:
    """Return a copy as a parameter that is not trained."""
    return nn.Parameter(tensor.detach().to(dtype, copy=True), requires_grad=False)
