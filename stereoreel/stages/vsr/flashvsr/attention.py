"""Locality-constrained sparse attention: which blocks of 128 tokens see which, and three exact ways to compute it.

All give the same; what differs is where they run. ``flex`` is FlexAttention with a block mask (a GPU with
Triton), ``gathered`` collects each query block's keys (anywhere), ``dense`` computes everything and hides
what is not seen (anywhere, for small frames). A query block that sees nothing gives zeros.
"""

from __future__ import annotations

import importlib.util
import inspect
import math
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from ....nets.flashvsr import HEAD, WINDOW
from .. import VSROptions

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

GATHERED_BYTES = {"cpu": 64 << 20, "cuda": 512 << 20}  # of keys and values that are collected at once
SHAPES = 6  # for which FlexAttention stays compiled; a frame size has two
DENSE = 0.9  # share of blocks seen from which collecting them saves nothing
SMALL = 4  # blocks of a frame so small that a GPU, too, may compute everything

Attention = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def nearby(rows: int, columns: int, reach: int) -> Tensor:
    """Which blocks ``[rows columns, rows columns]`` lie in a square of ``reach`` around each; it is cut off at the frame's borders."""
    row, column = torch.arange(rows).repeat_interleave(columns), torch.arange(columns).repeat(rows)
    down, right = row - row[:, None] + reach // 2, column - column[:, None] + reach // 2
    return (down >= 0) & (down < reach) & (right >= 0) & (right < reach)


def kept_blocks(height: int, width: int, sparsity: float) -> int:
    """How many pairs of blocks of one query slot rank before the threshold, for frames of so many pixels.

    The order of the operations is the original's, for the result is rounded down.
    """
    blocks = height * width // (WINDOW * 128)
    return int(blocks * blocks * (sparsity * 768 * 1280 / (height * width))) - 1


def selected(q: Tensor, k: Tensor, near: Tensor, keep: int) -> Tensor:
    """Which key blocks each query block sees, ``[heads, query blocks, key blocks]``, from the blocks' means ``[heads, slots, blocks, 128]``.

    Every query slot has its own threshold: the ``keep + 1``-th largest probability over all its pairs; what
    is larger is seen.
    """
    heads, slots, blocks, _ = q.shape
    scores = torch.einsum("hqd,hkd->hqk", q.flatten(1, 2), k.flatten(1, 2)) / math.sqrt(HEAD)
    scores = scores.view(heads, slots, blocks, -1, blocks).float().masked_fill(~near[:, None], -torch.inf)
    likely = scores.flatten(-2).softmax(-1).flatten(2)
    keep = max(0, min(keep, likely.shape[-1] - 1))
    threshold = likely.topk(keep + 1, sorted=False).values.amin(-1, keepdim=True)
    return (likely > threshold).view(heads, slots * blocks, -1)


def means(x: Tensor) -> Tensor:
    """The mean of every block of ``[heads, tokens, 128]``: ``[heads, blocks, 128]``."""
    return x.unflatten(1, (-1, WINDOW)).mean(2)


def dense(q: Tensor, k: Tensor, v: Tensor, seen: Tensor) -> Tensor:
    """Everything, then hidden: ``[heads, tokens, 128]`` of queries, keys and values of that shape, and ``seen`` of their blocks."""
    empty = ~seen.any(-1)
    mask = (seen | empty[..., None]).repeat_interleave(WINDOW, -1)[:, :, None]
    shape = (len(q), seen.shape[1], -1, HEAD)
    keys, values = (one[:, None].expand(shape) for one in (k, v))
    made = F.scaled_dot_product_attention(q.unflatten(1, (-1, WINDOW)), keys, values, mask)
    return made.masked_fill(empty[..., None, None], 0).flatten(1, 2)


def gathered(q: Tensor, k: Tensor, v: Tensor, seen: Tensor) -> Tensor:
    """Query blocks that see about as many blocks are computed together, over the keys that they see."""
    heads, blocks, _ = seen.shape
    counts = seen.sum(-1).flatten()
    order = counts.argsort(descending=True, stable=True)
    first = torch.argsort(~seen.flatten(0, 1), stable=True, dim=-1)  # of each row, the blocks seen come first
    keys, values, queries = (one.unflatten(1, (-1, WINDOW)) for one in (k, v, q))
    made = torch.zeros_like(queries).flatten(0, 1)
    sizes = counts[order].tolist()
    budget = GATHERED_BYTES.get(q.device.type, GATHERED_BYTES["cpu"]) // (
        2 * WINDOW * HEAD * q.element_size()
    )
    at = 0
    while at < len(sizes) and sizes[at]:
        stop = min(len(sizes), at + max(1, budget // sizes[at]))
        while not sizes[stop - 1] or 2 * sizes[stop - 1] < sizes[at]:  # so that at most half is padding
            stop -= 1
        rows = order[at:stop]
        head, places = rows // blocks, first[rows, : sizes[at]]
        mask = None
        if sizes[stop - 1] < sizes[at]:
            mask = (torch.arange(sizes[at], device=q.device) < counts[rows, None]).repeat_interleave(
                WINDOW, -1
            )[:, None, None]
        taken = (one[head[:, None], places].flatten(1, 2)[:, None] for one in (keys, values))
        made[rows] = F.scaled_dot_product_attention(queries.flatten(0, 1)[rows][:, None], *taken, mask)[:, 0]
        at = stop
    return made.view(heads, -1, HEAD)


def flex(q: Tensor, k: Tensor, v: Tensor, seen: Tensor) -> Tensor:
    """FlexAttention over a block mask in which every block that is seen is seen whole."""
    compiled, shapes = _flex()
    if (shape := (q.shape, k.shape, q.dtype, q.device)) not in shapes and len(shapes) >= SHAPES:
        torch.compiler.reset()  # before there are more of one function than torch keeps
        shapes.clear()
    shapes.add(shape)
    return compiled(q[None], k[None], v[None], block_mask=block_mask(seen))[0]


def block_mask(seen: Tensor) -> BlockMask:
    """``seen`` as FlexAttention's mask, without the table for a backward pass; every block is seen whole or not at all."""
    from torch.nn.attention.flex_attention import BlockMask

    counts = seen.sum(-1, dtype=torch.int32)[None]
    places = torch.argsort(seen.to(torch.int8), descending=True, stable=True, dim=-1).to(torch.int32)[None]
    lengths = tuple(WINDOW * blocks for blocks in seen.shape[1:])
    extra = {"seq_lengths": lengths, "compute_q_blocks": False}
    extra = {
        name: extra[name]
        for name in extra.keys() & inspect.signature(BlockMask.from_kv_blocks).parameters.keys()
    }
    return BlockMask.from_kv_blocks(
        torch.zeros_like(counts), torch.zeros_like(places), counts, places, BLOCK_SIZE=WINDOW, **extra
    )


@lru_cache(1)
def _flex() -> tuple[Callable, set]:
    """The compiled function, and the shapes it was compiled for. Not compiled it would see every block, so it is compiled whole or fails."""
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention, dynamic=False, fullgraph=True), set()


def has_triton(device: torch.device) -> bool:
    """Whether what torch compiles for a device runs there."""
    return device.type == "cuda" and importlib.util.find_spec("triton") is not None


def choose(path: str, device: torch.device, blocks: int, slots: int, keep: int) -> tuple[str, str]:
    """The path that runs for frames of so many blocks, and why in a few words; ValueError where the one asked for cannot run."""
    if path == "flex" and not has_triton(device):
        raise ValueError("attention flex needs a CUDA or ROCm GPU and Triton; choose auto.")
    if path != "auto":
        return path, "asked for"
    if has_triton(device) and torch.cuda.get_device_capability(device) >= (8, 0):
        return "flex", "a GPU with Triton"
    share = min(1.0, keep / (blocks * blocks * slots))
    if share >= DENSE and (device.type == "cpu" or blocks <= SMALL):
        return "dense", f"{share:.0%} of the blocks are seen"
    return "gathered", f"{share:.0%} of the blocks are seen, and no Triton"


def path(
    options: VSROptions, device: torch.device, top: int, bottom: int, left: int, right: int, slots: int
) -> tuple[str, str]:
    """``choose`` for an area of so many pixels that sees so many slots."""
    height, width = bottom - top, right - left
    return choose(
        options.attention,
        device,
        height * width // (WINDOW * 128),
        slots,
        kept_blocks(height, width, options.sparsity),
    )


def attention(path: str) -> Attention:
    """The function of a path."""
    return {"flex": flex, "gathered": gathered, "dense": dense}[path]
