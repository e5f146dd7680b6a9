"""FlashVSR: a streaming one-step diffusion transformer, untiled, on any device that PyTorch supports.

The options ``strength`` and ``radius`` apply to builtin only.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from weakref import WeakSet

import torch
from torch import Tensor

from ....core.clip import ClipInfo, Shot
from ....core.host import Host
from ....core.options import agree
from ....image.compute import free_memory, resolve_dtype
from ....image.resize import scaled_size
from ....nets.flashvsr import placed
from .. import VSROptions
from . import attention, plan
from .cache import kept_slots
from .denoise import Denoiser
from .one_shot import OneShot
from .stream import BEGIN, Decoding, Projection, SideStream, schedule
from .weights import networks

log = logging.getLogger(__name__)


def load(entry, options: VSROptions, host: Host) -> FlashVSR:
    """Return the stage of a set of files."""
    dtype = resolve_dtype(options.precision, host.device)
    dit, projector, decoder = networks(entry, host, dtype, options.decoder)
    return FlashVSR(dit, projector, decoder, options, host.device)


class FlashVSR:
    """Upscale frames ``[T, H, W, C]`` by ``factor``; reads 25 frames first, then four ahead.

    ``[T, H, W, 4]`` keep their alpha, upscaled; one channel is processed as grey. On a GPU, except in live
    sessions, a chunk is decoded while the next one is denoised: results come eight frames later, and the
    device never waits for the consumer. Both run on separate streams, so a consumer that synchronises on its
    frames, or on those it passed in, does not wait for later work.
    """

    joint = False

    def __init__(self, dit, projector, decoder, options: VSROptions, device: torch.device):
        self.dit, self.projector, self.decoder = dit, projector, decoder
        self.options, self.device = options, device
        self.nets, self.dtype, self.overlapped = [dit, projector, decoder], dit.dtype, device.type == "cuda"
        # for all shots: memory that a stream has used is kept for that stream
        self.ahead, self.side = SideStream(device), SideStream(device)
        self.plans: dict[tuple[int, int], plan.Plan] = {}
        # of finished shots: later ones reuse their memory and recorded graphs
        self.idle: list[Denoiser] = []
        self.known: WeakSet[Denoiser] = WeakSet()
        if options.compile:
            dit.project, dit.finish = (
                torch.compile(half, dynamic=False) for half in (dit.project, dit.finish)
            )
        # flex is compiled anyway; this takes seconds
        elif attention.has_triton(device) and options.attention in ("auto", "flex"):
            dit.project = partial(dit.project, place=torch.compile(placed, dynamic=False))

    def memory(self, frames: ClipInfo) -> int:
        """Return the bytes it wants in addition to its models, at most what the GPU has.

        The left and right views are processed in turn, each with its own memory.
        """
        room = None
        if self.device.type == "cuda":
            own = sum(
                tensor.numel() * tensor.element_size() for net in self.nets for tensor in net.parameters()
            )
            room = (torch.cuda.mem_get_info(self.device)[1] - own) // frames.views
        return frames.views * self._fitted(*self.sizes(frames.width, frames.height)[1], room).bytes

    def retuned(self, options: VSROptions) -> FlashVSR | None:
        """Return these models with other options, or None if they require loading others."""
        same = (
            agree(options, self.options, "model", "precision", "decoder", "compile") and not options.compile
        )
        return FlashVSR(self.dit, self.projector, self.decoder, options, self.device) if same else None

    def delay(self, frames: ClipInfo) -> int:
        """Return the most frames a live shot buffers: all but the last of the first group."""
        return BEGIN - 1

    def forget(self) -> None:
        """Drop graphs recorded for models at their former memory addresses."""
        for one in self.known:
            one.forget()

    def sizes(self, width: int, height: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return the output height and width, and those of the model input."""
        width, height = scaled_size(width, height, self.options.factor)
        high, wide = (-(-edge // plan.MULTIPLE) * plan.MULTIPLE for edge in (height, width))
        return (height, width), (high, wide)

    def __call__(self, shot: Shot, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        work: OneShot | None = None
        results: deque[Callable[[], Tensor]] = deque()
        try:
            for group, due in schedule(frames):
                with self.ahead.taking(group):
                    if work is None:
                        work, result = self._first(group, due, shot.info.views)
                    else:
                        result = work(group, due)
                    results.append(result)
                del result
                if len(results) > (self.overlapped and not shot.live):
                    yield results.popleft()()
            if results:
                yield results.popleft()()
        finally:
            self.idle += [work.denoise] if work else []

    def _first(self, group: Tensor, due: int, views: int) -> tuple[OneShot, Callable[[], Tensor]]:
        """Start a shot with its first group; if memory runs out, retry with ever less."""
        while True:
            work: OneShot | None = None
            try:
                work = self.begin(group.shape[2], group.shape[1], views)
                return work, work(group, due)
            except torch.OutOfMemoryError:
                if not self._spare(*self.sizes(group.shape[2], group.shape[1])[1]):
                    raise
            work = None  # the error, which held the memory, is gone by now
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def _spare(self, height: int, width: int) -> bool:
        """Switch to the next plan that takes less memory; return False if there is none."""
        last = self.plans[height, width]
        smaller = self._fitted(height, width, last.bytes - 1)
        self.plans[height, width], self.idle = smaller, []
        log.warning("Out of memory; %s", smaller.line(height, width, None))
        return smaller.bytes < last.bytes

    def begin(self, width: int, height: int, views: int = 1) -> OneShot:
        """Return the state of one shot; it reuses memory and recorded graphs of a finished one, if any."""
        size, inner = self.sizes(width, height)
        fitting = [one for one in self.idle if one.size == inner]
        self.idle = fitting[1:]
        denoise = (
            fitting[0]
            if fitting
            else Denoiser(self.dit, *inner, self._plan(*inner, views), self.options, self.device)
        )
        self.known.add(denoise)
        decode = Decoding(self.decoder, self.options.decoder == "tiny")
        return OneShot(denoise, Projection(self.projector), decode, self.side, size, self.options.color)

    def _plan(self, height: int, width: int, views: int) -> plan.Plan:
        """Return the plan for all shots and both views, by the memory that is free at the first shot."""
        if (height, width) not in self.plans:
            free = free_memory(self.device)
            free = None if free is None else free // views
            self.plans[height, width] = output = self._fitted(height, width, free)
            area = plan.regions(height, width, output.tile)[0]
            path, why = attention.path(self.options, self.device, *area, output.kept + 1)
            log.info("%s; attention: %s (%s)", output.line(height, width, free), path, why)
        return self.plans[height, width]

    def _fitted(self, height: int, width: int, free: int | None) -> plan.Plan:
        options = self.options
        work = plan.Work(height, width, self.dit.family, self.dtype, options.decoder)
        return plan.make(work, free, kept_slots(options.history), options.store, options.tile)
