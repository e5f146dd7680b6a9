"""Locality-constrained sparse attention between blocks of 128 tokens, and three exact ways to compute it.

All give the same result; they differ in where they run. ``flex`` is FlexAttention with a block mask (a GPU
with Triton), ``gathered`` collects each query block's keys (any device), ``dense`` computes everything and
masks the rest (any device, for small frames). A query block without keys gives zeros.
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

GATHERED_BYTES = {"cpu": 64 << 20, "cuda": 512 << 20}  # of keys and values collected at a time
SHAPES = 6  # for which FlexAttention stays compiled; a frame size has two
DENSE = 0.9  # fraction of blocks attended to, from which collecting them saves nothing
SMALL = 4  # blocks of a frame so small that dense is fine on a GPU too

Attention = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def nearby(rows: int, columns: int, reach: int) -> Tensor:
    """Return the mask ``[rows columns, rows columns]`` of blocks in a square of ``reach`` around each.

    The square is cut off at the frame's borders.
    """
    row, column = torch.arange(rows).repeat_interleave(columns), torch.arange(columns).repeat(rows)
    down, right = row - row[:, None] + reach // 2, column - column[:, None] + reach // 2
    return (down >= 0) & (down < reach) & (right >= 0) & (right < reach)


def kept_blocks(height: int, width: int, sparsity: float) -> int:
    """Return how many block pairs of one query slot rank above the threshold, for frames of this size.

    The order of operations is the original's, because the result is rounded down.
    """
    blocks = height * width // (WINDOW * 128)
    return int(blocks * blocks * (sparsity * 768 * 1280 / (height * width))) - 1


def selected(q: Tensor, k: Tensor, near: Tensor, keep: int) -> Tensor:
    """Return the mask ``[heads, query blocks, key blocks]``, of means ``[heads, slots, blocks, 128]``.

    Every query slot has its own threshold: the ``keep + 1``-th largest probability over all its pairs. Larger
    ones are selected.
    """
    heads, slots, blocks, _ = q.shape
    scores = torch.einsum("hqd,hkd->hqk", q.flatten(1, 2), k.flatten(1, 2)) / math.sqrt(HEAD)
    scores = scores.view(heads, slots, blocks, -1, blocks).float().masked_fill(~near[:, None], -torch.inf)
    likely = scores.flatten(-2).softmax(-1).flatten(2)
    keep = max(0, min(keep, likely.shape[-1] - 1))
    threshold = likely.topk(keep + 1, sorted=False).values.amin(-1, keepdim=True)
    return (likely > threshold).view(heads, slots * blocks, -1)


def means(x: Tensor) -> Tensor:
    """Return the mean of every block of ``[heads, tokens, 128]``: ``[heads, blocks, 128]``."""
    return x.unflatten(1, (-1, WINDOW)).mean(2)


def dense(q: Tensor, k: Tensor, v: Tensor, seen: Tensor) -> Tensor:
    """Compute all pairs and mask: queries, keys, values and result are ``[heads, tokens, 128]``."""
    empty = ~seen.any(-1)
    mask = (seen | empty[..., None]).repeat_interleave(WINDOW, -1)[:, :, None]
    shape = (len(q), seen.shape[1], -1, HEAD)
    keys, values = (one[:, None].expand(shape) for one in (k, v))
    result = F.scaled_dot_product_attention(q.unflatten(1, (-1, WINDOW)), keys, values, mask)
    return result.masked_fill(empty[..., None, None], 0).flatten(1, 2)


def gathered(q: Tensor, k: Tensor, v: Tensor, seen: Tensor) -> Tensor:
    """Batch query blocks with similar numbers of selected key blocks, and compute only over these."""
    heads, blocks, _ = seen.shape
    counts = seen.sum(-1).flatten()
    order = counts.argsort(descending=True, stable=True)
    first = torch.argsort(~seen.flatten(0, 1), stable=True, dim=-1)  # in each row, selected blocks come first
    keys, values, queries = (one.unflatten(1, (-1, WINDOW)) for one in (k, v, q))
    result = torch.zeros_like(queries).flatten(0, 1)
    sizes = counts[order].tolist()
    budget = GATHERED_BYTES.get(q.device.type, GATHERED_BYTES["cpu"]) // (
        2 * WINDOW * HEAD * q.element_size()
    )
    at = 0
    while at < len(sizes) and sizes[at]:
        stop = min(len(sizes), at + max(1, budget // sizes[at]))
        while not sizes[stop - 1] or 2 * sizes[stop - 1] < sizes[at]:  # at most half is padding
            stop -= 1
        rows = order[at:stop]
        head, places = rows // blocks, first[rows, : sizes[at]]
        mask = None
        if sizes[stop - 1] < sizes[at]:
            mask = (torch.arange(sizes[at], device=q.device) < counts[rows, None]).repeat_interleave(
                WINDOW, -1
            )[:, None, None]
        some_keys, some_values = (one[head[:, None], places].flatten(1, 2)[:, None] for one in (keys, values))
        some_queries = queries.flatten(0, 1)[rows][:, None]
        result[rows] = F.scaled_dot_product_attention(some_queries, some_keys, some_values, mask)[:, 0]
        at = stop
    return result.view(heads, -1, HEAD)


def flex(q: Tensor, k: Tensor, v: Tensor, seen: Tensor) -> Tensor:
    """Run FlexAttention with a block mask; a selected block counts completely."""
    compiled, shapes = _flex()
    if (shape := (q.shape, k.shape, q.dtype, q.device)) not in shapes and len(shapes) >= SHAPES:
        torch.compiler.reset()  # before torch's limit of compiled variants of one function
        shapes.clear()
    shapes.add(shape)
    return compiled(q[None], k[None], v[None], block_mask=block_mask(seen))[0]


def block_mask(seen: Tensor) -> BlockMask:
    """Return ``seen`` as FlexAttention's mask of complete blocks, without the table for a backward pass."""
    from torch.nn.attention.flex_attention import BlockMask

    counts = seen.sum(-1, dtype=torch.int32)[None]
    places = torch.argsort(seen.to(torch.int8), descending=True, stable=True, dim=-1).to(torch.int32)[None]
    lengths = tuple(WINDOW * blocks for blocks in seen.shape[1:])
    make: Callable[..., BlockMask] = BlockMask.from_kv_blocks  # its arguments differ by torch's version
    extra = {"seq_lengths": lengths, "compute_q_blocks": False}
    extra = {name: extra[name] for name in extra.keys() & inspect.signature(make).parameters.keys()}
    return make(
        torch.zeros_like(counts), torch.zeros_like(places), counts, places, BLOCK_SIZE=WINDOW, **extra
    )


@lru_cache(1)
def _flex() -> tuple[Callable, set]:
    """Return the compiled function, and the shapes it was compiled for.

    Uncompiled it would attend to every block, so it is compiled completely or fails.
    """
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention, dynamic=False, fullgraph=True), set()


def has_triton(device: torch.device) -> bool:
    """Return whether code that torch compiles for a device runs there."""
    return device.type == "cuda" and importlib.util.find_spec("triton") is not None


def choose(path: str, device: torch.device, blocks: int, slots: int, keep: int) -> tuple[str, str]:
    """Return the path for frames of this many blocks, and the reason; raise ValueError if it cannot run."""
    if path == "flex" and not has_triton(device):
        raise ValueError("attention flex needs a CUDA or ROCm GPU and Triton. Choose auto.")
    if path != "auto":
        return path, "as requested"
    if has_triton(device) and torch.cuda.get_device_capability(device) >= (8, 0):
        return "flex", "a GPU with Triton"
    share = min(1.0, keep / (blocks * blocks * slots))
    if share >= DENSE and (device.type == "cpu" or blocks <= SMALL):
        return "dense", f"{share:.0%} of the blocks are selected"
    return "gathered", f"{share:.0%} of the blocks are selected, and no Triton"


def path(
    options: VSROptions, device: torch.device, top: int, bottom: int, left: int, right: int, slots: int
) -> tuple[str, str]:
    """Call ``choose`` for an area in pixels that attends to this many slots."""
    height, width = bottom - top, right - left
    return choose(
        options.attention,
        device,
        height * width // (WINDOW * 128),
        slots,
        kept_blocks(height, width, options.sparsity),
    )


def attention(path: str) -> Attention:
    """Return the function of a path."""
    return {"flex": flex, "gathered": gathered, "dense": dense}[path]
