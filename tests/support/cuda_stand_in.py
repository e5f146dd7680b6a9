"""A simulated CUDA device: fake tensors, with streams, events and graphs that track synchronisation.

``Device`` records every operation. It raises if a stream uses what another has not finished, if memory is
freed while another stream may still use it, if devices or dtypes are mixed, or if a value is read. ``waits``
lists the copies that would block.

``counted`` measures a piece of work: launches, bytes across the bus, memory that torch's pools would have to
ask the driver for, and waits of the host. With a function ``answer``, reading a value is such a wait instead
of an error, unless the value has arrived by a copy whose event the host has waited for.
"""

import math
from collections import Counter
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensor, FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves

CUDA = torch.device("cuda", 0)
BLOCK = 512  # bytes: torch's pools hand out multiples
# operations that read a value, and the dtype of what they read
READING = {
    torch.ops.aten._local_scalar_dense.default: lambda tensor: tensor.dtype,
    torch.ops.aten.equal.default: lambda tensor: torch.bool,
}

# operations in which the host reads a value on the way
WAITING = {torch.ops.aten.nanmedian.default}


class Event:
    """A point in a stream's work; ``synchronize`` drains the device if nothing was queued after it."""

    def __init__(self, device):
        self.device, self.stream, self.seen = device, device.main, Counter()

    def record(self, stream=None):
        self.stream = stream or self.device.current
        self.seen = self.stream.seen.copy()

    def synchronize(self):
        self.device.reached |= self.seen
        if self.stream.seen[self.stream] == self.seen[self.stream]:
            self.device.waits.append("an event after which nothing is queued")


class Stream:
    """How far it has got, and how far it has waited for every other stream."""

    def __init__(self, device=None):
        self.seen = Counter()

    def step(self):
        self.seen[self] += 1
        return self.seen[self]

    def record_event(self):
        return SimpleNamespace(seen=self.seen.copy())

    def wait_event(self, event):
        self.seen |= event.seen

    def wait_stream(self, other):
        self.seen |= other.seen


class Place:
    """A piece of memory: its owner, the last use of each part by each stream, and the streams it serves."""

    def __init__(self, owner, weak, pinned=False):
        self.owner, self.weak, self.pinned, self.stays, self.pool = owner, weak, pinned, False, None
        self.used, self.recorded = {}, {owner}


class Cost(NamedTuple):
    """What a piece of work costs: ``up`` and ``down`` are bytes to and from the device."""

    launches: int
    up: int
    down: int
    allocations: int
    waits: list

    def a_frame(self, frames):
        return (
            f"{self.launches / frames:.0f} launches, {(self.up + self.down) / frames / 1024:.1f} KiB a frame"
        )


class Op(NamedTuple):
    """An operation: tensors as (device, shape, strides, dtype), other arguments, and existing memory."""

    name: str
    given: list
    made: list
    plain: list
    known: list


class Graph:
    """Operations recorded for it, accounted for again at every replay."""

    def __init__(self, device):
        self.device, self.uses = device, []

    def replay(self):
        self.device.replays += 1
        self.device.launches += 1
        for uses in self.uses:
            self.device.touch(uses)


class Device(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.main = self.current = Stream()
        self.places, self.ops, self.waits, self.recording, self.recorded, self.replays = (
            {},
            [],
            [],
            None,
            0,
            0,
        )
        self.answer = None  # what every value that the host reads shall be, by its dtype
        self.reached = Counter()  # how far the host knows the streams to be
        self.passing = set()  # keys of the places that may be given back
        self.launched = Counter()  # by the operations' names
        self.launches = self.up = self.down = self.allocations = 0
        self.pools = Counter()  # freed memory that torch keeps, by kind and size

    @contextmanager
    def counted(self):
        """Yield a list that gets the ``Cost`` of the block."""
        found, before = [], (self.launches, self.up, self.down, self.allocations)
        waits = len(self.waits)
        yield found
        after = (self.launches, self.up, self.down, self.allocations)
        found.append(Cost(*(end - begin for begin, end in zip(before, after)), self.waits[waits:]))

    def read(self, function, tensor):
        """Count a wait of the host for a value, unless the value has arrived."""
        place = self.places.get(key(tensor))
        if tensor.is_cuda:
            self.waits.append(str(function))
        elif place and any(self.reached[stream] < when for (stream, *_), when in place.used.items()):
            raise AssertionError("a value is read before it has arrived")

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if self.answer is not None and function in READING:
            self.read(function, args[0])
            with suppress(DataDependentOutputException):  # a constant
                return function(*args)
            return self.answer(READING[function](args[0]))
        if function in WAITING and args[0].is_cuda:
            self.waits.append(str(function))
        leaves = tree_leaves((args, kwargs))
        given = [one for one in leaves if isinstance(one, torch.Tensor)]
        made = function(*args, **kwargs)
        outs = [
            one
            for one in (made if isinstance(made, list | tuple) else [made])
            if isinstance(one, torch.Tensor)
        ]
        self.note(function, given, outs, kwargs, [one for one in leaves if not isinstance(one, torch.Tensor)])
        changed = [
            kwargs[name] if name in kwargs else args[at]
            for at, name in writes(function)
            if name in kwargs or at < len(args)
        ]
        held = set(map(key, given))
        new = [
            self.place(out, kwargs.get("pin_memory", False)) for out in outs if key(out) not in self.places
        ]
        view = outs and not changed and not new and all(key(out) in held for out in outs)
        # the host's own work belongs to no stream
        if not view and any(one.is_cuda for one in (*given, *outs)):
            if self.recording is None and (changed or outs) and "empty" not in str(function):
                self.launches += 1
                self.launched[str(function)] += 1
            used = [(self.place(one), *reach(one), any(one is other for other in changed)) for one in given]
            self.use([*used, *((place, 0, math.inf, True) for place in new)])
            del used
        del leaves, given, outs, changed, args, kwargs
        self.collect()
        return made

    def moved(self, net):
        """Return a network with its tensors on this device and their layout unchanged; they stay."""
        for part in net.modules():
            for some in (part._parameters, part._buffers):
                for name, one in some.items():
                    if one is not None:
                        there = torch.empty_strided(one.shape, one.stride(), dtype=one.dtype, device=CUDA)
                        some[name] = (
                            torch.nn.Parameter(there, requires_grad=False)
                            if some is part._parameters
                            else there
                        )
                        self.place(there).stays = True
        return net

    def note(self, function, given, outs, kwargs, plain):
        shapes = [
            [(one.device.type, tuple(one.shape), one.stride(), one.dtype) for one in some]
            for some in (given, outs)
        ]
        known = [key(one) if key(one) in self.places else None for one in given]
        self.ops.append(Op(str(function), *shapes, plain, known))
        kinds = {one.device.type for one in (*given, *outs)}
        if len(kinds) > 1 and self.recording is not None:
            raise AssertionError("a graph would hold what the computer has only now")
        if len(kinds) > 1 and "index" in str(function) and any(one.dim() for one in given if not one.is_cuda):
            self.waits.append(str(function))  # indices of the host are copied first
        if len(kinds) > 1 and "copy" in str(function):
            source = given[-1]
            size = source.numel() * source.element_size()
            self.up, self.down = self.up + size * outs[0].is_cuda, self.down + size * source.is_cuda
            pinned = source.device.type != "cpu" or self.place(source).pinned
            target = outs[0].device.type != "cpu" or self.place(outs[0]).pinned
            whole = "_to_copy" in str(function) or all(one.is_contiguous() or one.is_cuda for one in given)
            if not (pinned and target and whole and any(one is True for one in plain)):  # it is not blocking
                self.waits.append(str(function))

    @contextmanager
    def away(self):
        """Enter for the host's own work with real tensors."""
        with _disable_current_modes():
            yield

    def place(self, tensor, pinned=False):
        at = key(tensor)
        if at not in self.places:
            self.places[at] = Place(self.current, StorageWeakRef(tensor.untyped_storage()), pinned)
            self.places[at].stays = self.recording is not None  # a graph's memory is not shared
            self.passing.add(at)
            if tensor.is_cuda or pinned:
                size = -(-tensor.untyped_storage().nbytes() // BLOCK) * BLOCK
                pool = self.places[at].pool = ("pinned" if pinned else self.current, size)
                self.allocations += not self.pools[pool]
                self.pools[pool] -= self.pools[pool] > 0
        return self.places[at]

    def use(self, uses):
        if self.recording is None:
            self.touch(uses)
        else:  # nothing is done now
            self.recording.append(uses)

    def touch(self, uses):
        """Record an operation that reads or writes parts of places."""
        now = self.current.step()
        for place, begin, end, writes in uses:
            for (stream, other, last, wrote), when in place.used.items():
                if (writes or wrote) and begin < last and other < end and self.current.seen[stream] < when:
                    raise AssertionError("a stream does not wait for what another does with the same memory")
        for place, begin, end, writes in uses:
            place.used[self.current, begin, end, writes] = now

    def collect(self):
        """Return unreferenced places to their owners, which may reuse them immediately."""
        for at in [at for at in self.passing if self.places[at].stays or self.places[at].weak.expired()]:
            self.passing.remove(at)
            if self.places[at].stays:
                continue
            place = self.places.pop(at)
            if place.pool:
                self.pools[place.pool] += 1
            if place.pinned:  # torch sees to it
                continue
            for (stream, *_), when in place.used.items():
                if stream not in place.recorded and place.owner.seen[stream] < when:
                    raise AssertionError("memory is given back while another stream uses it")

    @contextmanager
    def on(self, stream):
        before, self.current = self.current, stream
        try:
            yield
        finally:
            self.current = before

    @contextmanager
    def graph(self, graph, **options):
        self.recorded += 1
        self.recording = graph.uses
        with self.on(Stream()):
            yield
        self.recording = None


@cache
def writes(function):
    """Return the arguments that an operation changes."""
    return [
        (at, argument.name)
        for at, argument in enumerate(function._schema.arguments)
        if argument.alias_info and argument.alias_info.is_write
    ]


def reach(tensor):
    """Return the first element of its memory that a tensor has, and the one after its last."""
    begin = tensor.storage_offset()
    return begin, begin + 1 + sum(
        (size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride())
    ) if tensor.numel() else begin


def key(tensor):
    return tensor.untyped_storage()._cdata


def usual(dtype):
    """Return the answer of ordinary pictures: they have contrast, and nothing is equal, dark or broken."""
    return dtype.is_floating_point


@contextmanager
def device(monkeypatch):
    """Replace torch's CUDA by the simulation of a GPU of generation 9 with 80 GB."""
    made = Device()
    answers = {
        "Stream": Stream,
        "Event": lambda **options: Event(made),
        "current_stream": lambda device=None: made.current,
        "stream": made.on,
        "graph": made.graph,
        "CUDAGraph": lambda: Graph(made),
        "get_device_capability": lambda device=None: (9, 0),
        "empty_cache": lambda: None,
        "mem_get_info": lambda device=None: (79 << 30, 80 << 30),
        "memory_reserved": lambda device=None: 0,
        "memory_allocated": lambda device=None: 0,
    }
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, answer)
    # which would hide the operations that others consist of
    monkeypatch.setattr(torch, "inference_mode", lambda mode=True: torch.no_grad() if mode else nullcontext())
    monkeypatch.setattr(
        torch.Tensor, "record_stream", lambda tensor, stream: made.place(tensor).recorded.add(stream)
    )
    numpy = torch.Tensor.numpy

    def values(tensor):
        if not isinstance(tensor, FakeTensor):
            return numpy(tensor)
        made.read("numpy", tensor)
        return np.full(tensor.shape, made.answer(tensor.dtype), str(tensor.dtype).removeprefix("torch."))

    monkeypatch.setattr(torch.Tensor, "numpy", values)
    with torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=False), made:
        yield made
