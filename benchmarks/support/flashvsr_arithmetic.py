"""Count the arithmetic and memory traffic of a FlashVSR chunk on tensors without data.

`benchmarks/flashvsr.py --arithmetic` prints it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from stereoreel.nets import flashvsr
from stereoreel.stages.vsr.flashvsr import FlashVSR, attention, plan
from stereoreel.stages.vsr.flashvsr.stream import STEP

# bfloat16 operations per second of an H100 or H200: published, and reached in practice
PEAK, DENSE = 990e12, 790e12
BANDWIDTH = 4.8e12  # bytes per second of an H200's memory, published


class Bounds(TorchDispatchMode):
    """Count the bytes of operations that run one by one, and the least seconds they need.

    An operation needs the longer of its arithmetic and its memory traffic.
    """

    def __init__(self, work: FlopCounterMode):
        super().__init__()
        self.work, self.bytes, self.seconds = work, 0, 0.0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        before = self.work.get_total_flops()
        returned = function(*args, **(kwargs or {}))
        given, results = (
            [one for one in tree_leaves(some) if isinstance(one, Tensor)]
            for some in ((args, kwargs), returned)
        )
        places = {one.untyped_storage()._cdata for one in given}
        results = [one for one in results if one.untyped_storage()._cdata not in places]
        if "index_copy" in str(function):  # of a ring buffer that mostly stays unchanged
            given = [args[3], args[3]]
        if (results and "empty" not in str(function)) or function._schema.is_mutable:  # else it is a view
            moved = sum(
                min(one.numel() * one.element_size(), one.untyped_storage().nbytes())
                for one in (*given, *results)
            )
            self.bytes += moved
            self.seconds += max((self.work.get_total_flops() - before) / DENSE, moved / BANDWIDTH)
        return returned


def counted(function: Callable[..., Tensor], *given) -> tuple[Tensor, tuple[float, float, float]]:
    """Return the result and its operations, bytes and least seconds."""
    with FlopCounterMode(display=False) as work, Bounds(work) as bounds:
        result = function(*given)
    return result, (work.get_total_flops(), bounds.bytes, bounds.seconds)


def placed(joined: Tensor, *given: Tensor) -> list[Tensor]:
    """Move what the compiled layout of queries, keys and values moves: each of them once."""
    return [one.unflatten(-1, (-1, flashvsr.HEAD)).transpose(0, 1) for one in joined.clone().chunk(3, -1)]


def arithmetic(stage: FlashVSR, frames: Tensor, parts: Callable) -> dict:
    """Return the counts of each part of a steady chunk of eight frames, and the bytes kept between chunks.

    The stage and the frames are on the meta device.
    """
    stage.dit.project = partial(stage.dit.project, place=placed)
    work = stage.begin(frames.shape[2], frames.shape[1])
    chunk, ring, family = work.denoise.chunk, work.denoise.regions[0].cache, stage.dit.family
    chunk.attention = lambda q, k, v, seen: q.clone()  # counted below, from what it attends to
    figures = {name: some[-2] for name, some in parts(work, frames, counted).items()}
    near = attention.nearby(*(edge // plan.MULTIPLE for edge in work.denoise.size), stage.options.local_range)
    pairs = family.blocks * family.heads * min(chunk.keep, int(near.sum()) * ring.capacity)
    multiplied = pairs * 4 * flashvsr.WINDOW**2 * flashvsr.HEAD
    figures["attention"] = multiplied, 0, multiplied / DENSE
    figures["together"] = tuple(map(sum, zip(*figures.values())))
    kept = {
        "weights": [one for net in stage.nets for one in net.parameters()],
        "keys and values": [ring.keys, ring.values],
    }
    sizes = {name: sum(one.numel() * one.element_size() for one in some) for name, some in kept.items()}
    return {
        "chunk": figures,
        "bytes": {**sizes, "planned in addition to the weights": stage.plans[work.denoise.size].bytes},
    }


def show(figures: dict) -> None:
    """Print the result of ``arithmetic``, and the frame rates it allows."""
    for name, (work, moved, seconds) in figures["chunk"].items():
        print(f"  {name:10} {work / 1e12:7.2f} Tflop {moved / 1e9:7.2f} GB {1000 * seconds:7.2f} ms")
    print(f"  at most {STEP * PEAK / work:.0f} fps at {PEAK / 1e12:.0f} Tflop/s, {STEP * DENSE / work:.0f} "
          f"at {DENSE / 1e12:.0f}, "
          f"{STEP / seconds:.0f} if operations run one by one at {BANDWIDTH / 1e12:.1f} TB/s")  # fmt: skip
    print("  " + ", ".join(f"{name} {count / 2**30:.2f} GiB" for name, count in figures["bytes"].items()))
