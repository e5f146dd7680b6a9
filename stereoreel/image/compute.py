"""How a network is run: its dtype, its memory layout, and its launch as one graph if the device can.

Only the middle of a network is worth computing in half precision: its first and last convolutions cost next
to nothing, and in bfloat16 they would round the image itself to 8 bits.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ..core import cancel

log = logging.getLogger(__name__)

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PRECISIONS = ("auto", *TYPES)
Item = TypeVar("Item")
Result = TypeVar("Result")
WORKERS = "stereoreel-compute"
GRAPHS = 4  # shapes to keep launches for; a clip has one or two, and each holds its own working memory


def resolve_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Resolve ``auto``: bfloat16 if the hardware computes in it, else float16 on a GPU, else float32."""
    if precision != "auto":
        return TYPES[precision]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float16
    if device.type == "cpu":
        return torch.bfloat16 if cpu_computes_bfloat16() else torch.float32
    return torch.float16


def cpu_computes_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 natively (AVX512-BF16 or AMX).

    Elsewhere it is emulated and slower than float32.
    """
    asked = (
        getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )
    return any(question() for question in asked if question)


def half_precision(net: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Convert the middle of a network to ``dtype``; its first and last convolutions stay in float32.

    It takes and returns float32. For networks that are a chain of convolutions with skips around them;
    modifies ``net`` in place.
    """
    convolutions = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
    net.to(dtype)
    if dtype != torch.float32:
        first, last = convolutions[0].float(), convolutions[-1].float()
        first.register_forward_hook(lambda module, given, out: out.to(dtype))
        last.register_forward_pre_hook(lambda module, given: (given[0].float(),))
    return net


class Graphs:
    """A function of tensors (and plain values) as one CUDA graph per shape; elsewhere a ``Spread``.

    The first call with a shape runs it a few times to warm up and records it; with ``repeated``, the second
    one, so that shapes which come once cost nothing. More than ``most`` numbers in the first tensor keep the
    device busy for longer than their launches take, and are not recorded. If recording fails, the log says so
    once, and the function runs as it is; for lack of memory, only with this shape. It must not read a value
    from the device, and its networks must not move. It returns a tensor or a tuple of them.
    """

    def __init__(self, run: Callable, most: float = math.inf, repeated: bool = False):
        self.run, self.most, self.repeated = run, most, repeated
        self._met: set[tuple] = set()
        self._too_large: set[tuple] = set()
        self._refused = False
        self.recorded: OrderedDict[tuple, tuple[torch.cuda.CUDAGraph, list, Tensor | tuple]] = OrderedDict()

    def __call__(self, first: Tensor, *others: Any) -> Any:  # what ``run`` returns
        if first.device.type != "cuda":
            return Spread(self.run)(first, *others)
        given = (first, *others)
        key = tuple((one.shape, one.dtype, one.device) if isinstance(one, Tensor) else one for one in given)
        if key not in self.recorded and not self._recorded(key, first, given):
            return self.run(*given)
        self.recorded.move_to_end(key)
        graph, own, result = self.recorded[key]
        for mine, theirs in zip(own, given):
            if isinstance(mine, Tensor) and isinstance(theirs, Tensor):
                mine.copy_(theirs)
        graph.replay()
        return result.clone() if isinstance(result, Tensor) else tuple(tensor.clone() for tensor in result)

    def _recorded(self, key: tuple, first: Tensor, given: tuple) -> bool:
        """Record the function for these shapes; return whether it is."""
        if self._refused or key in self._too_large or first.numel() > self.most:
            return False
        if self.repeated and key not in self._met:
            self._met = {*list(self._met)[1 - GRAPHS :], key}
            return False
        while len(self.recorded) >= GRAPHS:
            self.recorded.popitem(last=False)
        try:
            self.recorded[key] = self._record(first.device, given)
        except RuntimeError as error:
            if is_out_of_memory(error):
                self.forget()
                self._too_large.add(key)
                return False
            self._refused = True
            reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
            log.warning("A model runs without CUDA graphs, because recording one failed (%s).", reason)
        return key in self.recorded

    def _record(
        self, device: torch.device, given: tuple
    ) -> tuple[torch.cuda.CUDAGraph, list, Tensor | tuple]:
        own = [one.clone() if isinstance(one, Tensor) else one for one in given]
        side_stream = torch.cuda.Stream(device)
        side_stream.wait_stream(torch.cuda.current_stream(device))
        # libraries choose kernels and allocate workspaces now, which they cannot while recording
        with torch.cuda.stream(side_stream):
            for _ in range(3):
                self.run(*own)
        torch.cuda.current_stream(device).wait_stream(side_stream)
        graph = torch.cuda.CUDAGraph()
        # On a stream of this device: torch's own belongs to the device that was current first. The work of
        # other threads is not recorded.
        with torch.cuda.graph(graph, stream=torch.cuda.Stream(device), capture_error_mode="thread_local"):
            result = self.run(*own)
        return graph, own, result

    def forget(self) -> None:
        """Release all recorded graphs and their memory."""
        self.recorded.clear()
        self._met.clear()


def batch_size(device: torch.device, pixels: int, enough: Mapping[str, int], most: int) -> int:
    """Return how many images of ``pixels`` make a batch.

    ``enough`` pixels keep a type of device busy, and a CPU wants one image per core.
    """
    cores = torch.get_num_threads() if device.type == "cpu" else 1
    return min(max(enough.get(device.type, enough["cpu"]) // pixels, cores), most)


class Spread:
    """A function of batches (and plain values); on a CPU, every core computes a part of the batch.

    On other devices it is the function itself. It returns a batch or a tuple of them.
    """

    def __init__(self, run: Callable):
        self.run = run

    def __call__(self, first: Tensor, *others: Any) -> Any:  # what ``run`` returns
        count = min(len(first), torch.get_num_threads())
        if first.device.type != "cpu" or count < 2:
            return self.run(first, *others)
        given = (first, *others)
        parts = zip(*(one.tensor_split(count) if isinstance(one, Tensor) else [one] * count for one in given))
        result = parallel_map(lambda part: self.run(*part), parts)
        return torch.cat(result) if isinstance(result[0], Tensor) else tuple(map(torch.cat, zip(*result)))


def parallel_map(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Return ``function`` of every item, in order, several computed concurrently; for work on the CPU.

    An operation shared among cores ends when the last one has done its share, thousands of times per image;
    concurrent pieces of work do not wait for each other. If one fails, or all are cancelled, the others stop
    at their next ``check``.
    """
    items, threads = list(items), torch.get_num_threads()
    count = min(len(items), threads)
    # workers that wait for workers would deadlock
    if count < 2 or threading.current_thread().name.startswith(WORKERS):
        return [_with_cancel(function, item) for item in items]
    # threads do not inherit these
    inference, grad = torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    over = threading.Event()

    def run_alone(item: Item) -> Result:
        with torch.inference_mode(inference), torch.set_grad_enabled(grad), cancel.stopped_by(over):
            return _with_cancel(function, item)

    pool = _workers(count, threads)
    futures = [pool.submit(run_alone, item) for item in items]
    try:
        cancel.wait_all(futures)
        return [future.result() for future in futures]
    finally:
        over.set()
        for future in futures:
            future.cancel()


def _with_cancel(function: Callable[[Item], Result], item: Item) -> Result:
    cancel.check()
    return function(item)


@lru_cache(4)
def _workers(count: int, threads: int) -> ThreadPoolExecutor:
    """Return workers that share ``threads`` cores evenly."""
    started = threading.Barrier(count)
    pool = ThreadPoolExecutor(count, WORKERS, initializer=_take, initargs=(threads // count,))
    list(pool.map(lambda _: started.wait(), range(count)))
    torch.set_num_threads(threads)  # also the initial setting of later threads
    return pool


def _take(cores: int) -> None:
    """Set how many cores this thread uses."""
    torch.get_num_threads()  # the first call initialises the thread; an earlier setting would be lost
    torch.set_num_threads(cores)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether an error says that the device or the computer is out of memory."""
    return (
        isinstance(error, torch.OutOfMemoryError)
        or "can't allocate memory" in str(error)
        or "out of memory" in str(error).lower()
    )


def free_memory(device: torch.device) -> int | None:
    """Return the bytes a network may take on a GPU now, including torch's unused cache.

    None if the device does not say.
    """
    if device.type != "cuda":
        return None
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused
