"""FlashVSR: a one-step diffusion transformer that streams, untiled, wherever PyTorch runs; see ``load`` for the options it heeds.

Of the kind's options ``strength`` and ``radius`` are builtin's.
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
from ....image.compute import free_memory, number_type
from ....image.resize import scaled_size
from ....nets.flashvsr import placed
from .. import VSROptions
from . import attention, plan
from .cache import kept_slots
from .denoise import Denoiser
from .one_shot import OneShot
from .stream import BEGIN, Beside, Decoding, Projection, schedule
from .weights import networks

log = logging.getLogger(__name__)


def load(entry, options: VSROptions, host: Host) -> FlashVSR:
    """The stage of a set of files; ``decoder``, ``color``, ``history``, ``store``, ``tile``, ``attention`` and the rest say how it runs."""
    nets = networks(entry, host, number_type(options.precision, host.device), options.decoder)
    return FlashVSR(*nets, options, host.device)


class FlashVSR:
    """Frames ``[T, H, W, C]`` at ``factor`` times the size; a shot's first 25 are read before the first comes out, then four ahead.

    ``[T, H, W, 4]`` keep their alpha, enlarged; one channel is worked on as gray. On a GPU a chunk is decoded
    while the next one is already denoised, so that frames come out eight later and the device never waits for
    whoever takes them; not so live. Both are done on streams of their own: who takes frames, or looks at
    those that are given, waits for nothing that comes after them.
    """

    joint = False

    def __init__(self, dit, projector, decoder, options: VSROptions, device: torch.device):
        self.dit, self.projector, self.decoder, self.options, self.device = (
            dit,
            projector,
            decoder,
            options,
            device,
        )
        self.nets, self.dtype, self.overlapped = [dit, projector, decoder], dit.dtype, device.type == "cuda"
        # for all shots: memory that a stream has used is kept for that stream
        self.ahead, self.beside = Beside(device), Beside(device)
        self.plans: dict[tuple[int, int], plan.Plan] = {}
        # whose shots have ended: their memory and recorded graphs serve later ones
        self.idle: list[Denoiser] = []
        self.known: WeakSet[Denoiser] = WeakSet()
        if options.compile:
            dit.project, dit.finish = (
                torch.compile(half, dynamic=False) for half in (dit.project, dit.finish)
            )
        # flex is compiled in any case; this takes seconds
        elif attention.has_triton(device) and options.attention in ("auto", "flex"):
            dit.project = partial(dit.project, place=torch.compile(placed, dynamic=False))

    def memory(self, frames: ClipInfo) -> int:
        """Bytes that it would like beside its networks, no more than the GPU has; two eyes are worked on in turn, each with its own."""
        room = None
        if self.device.type == "cuda":
            own = sum(
                tensor.numel() * tensor.element_size() for net in self.nets for tensor in net.parameters()
            )
            room = (torch.cuda.mem_get_info(self.device)[1] - own) // frames.views
        return frames.views * self._fitted(*self.sizes(frames.width, frames.height)[1], room).bytes

    def retuned(self, options: VSROptions) -> FlashVSR | None:
        """These networks under other options; None where they ask for others."""
        same = (
            agree(options, self.options, "model", "precision", "decoder", "compile") and not options.compile
        )
        return FlashVSR(self.dit, self.projector, self.decoder, options, self.device) if same else None

    def delay(self, frames: ClipInfo) -> int:
        """Frames that a live shot holds back at most: all but the last of the first group."""
        return BEGIN - 1

    def forget(self) -> None:
        """Let graphs go that were recorded for networks where they lay."""
        for one in self.known:
            one.forget()

    def sizes(self, width: int, height: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Height and width that come out, and those that the network sees."""
        width, height = scaled_size(width, height, self.options.factor)
        return (height, width), tuple(-(-edge // plan.MULTIPLE) * plan.MULTIPLE for edge in (height, width))

    def __call__(self, shot: Shot, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        work, made = None, deque()
        try:
            for group, due in schedule(frames):
                with self.ahead.taking(group):
                    if work is None:
                        work, first = self._first(group, due, shot.info.views)
                    made.append(work(group, due) if first is None else first)
                first = None
                if len(made) > (self.overlapped and not shot.live):
                    yield made.popleft()()
            if made:
                yield made.popleft()()
        finally:
            self.idle += [work.denoise] if work else []

    def _first(self, group: Tensor, due: int, views: int) -> tuple[OneShot, Callable[[], Tensor]]:
        """A shot's first group begun; where memory does not last, more and more frugally."""
        while True:
            try:
                work = self.begin(group.shape[2], group.shape[1], views)
                return work, work(group, due)
            except torch.OutOfMemoryError:
                if not self._spare(*self.sizes(group.shape[2], group.shape[1])[1]):
                    raise
            work = None  # the error is gone by now, and with it what held the memory
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def _spare(self, height: int, width: int) -> bool:
        """Go on with the next plan that takes less; False where there is none."""
        last = self.plans[height, width]
        made = self._fitted(height, width, last.bytes - 1)
        self.plans[height, width], self.idle = made, []
        log.warning("memory ran out; %s", made.line(height, width, None))
        return made.bytes < last.bytes

    def begin(self, width: int, height: int, views: int = 1) -> OneShot:
        """What one shot remembers; memory and recorded graphs are those of a shot that has ended, where there is one."""
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
        return OneShot(denoise, Projection(self.projector), decode, self.beside, size, self.options.color)

    def _plan(self, height: int, width: int, views: int) -> plan.Plan:
        """The same for every shot and for both eyes, as the memory that is free at the first one allows."""
        if (height, width) not in self.plans:
            free = free_memory(self.device)
            free = None if free is None else free // views
            self.plans[height, width] = made = self._fitted(height, width, free)
            path, why = attention.path(
                self.options, self.device, *plan.regions(height, width, made.tile)[0], made.kept + 1
            )
            log.info("%s; attention: %s (%s)", made.line(height, width, free), path, why)
        return self.plans[height, width]

    def _fitted(self, height: int, width: int, free: int | None) -> plan.Plan:
        options = self.options
        work = plan.Work(height, width, self.dit.family, self.dtype, options.decoder)
        return plan.make(work, free, kept_slots(options.history), options.store, options.tile)
