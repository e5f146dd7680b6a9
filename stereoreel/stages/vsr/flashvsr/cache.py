"""Key-value cache of the diffusion transformer: the last slots of every block, each two latent frames.

A chunk's own keys and values overwrite the slot that drops out after it, so nothing is moved or joined. If
that does not fit in the device's memory, slots are stored in 8 bits, or in system RAM, and joined for one
block at a time.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ....nets.flashvsr import HEAD, WINDOW
from .attention import means

FIRST = 3  # slots of a shot's first chunk; every later chunk has one


class Slots:
    """Positions in a ring: chunk ``index`` writes to ``written`` and reads the first ``seen``."""

    def __init__(self, index: int, capacity: int):
        numbers = range(FIRST) if index == 0 else [index + FIRST - 1]
        self.written = [number % capacity for number in numbers]
        self.seen = min(numbers[-1] + 1, capacity)


def kept_slots(kv_ratio: float) -> int:
    """Return how many slots stay after a chunk: at most one is dropped, at least two of three stay."""
    return max(FIRST - 1, int(kv_ratio))


class Ring:
    """Keys and values of ``kept`` slots and the chunk's own, for every block, on the device."""

    def __init__(
        self, blocks: int, heads: int, windows: int, kept: int, dtype: torch.dtype, device: torch.device
    ):
        self.capacity, self.windows = kept + 1, windows
        shape = (blocks, heads, self.capacity, windows * WINDOW, HEAD)
        self.keys, self.values = (torch.empty(shape, dtype=dtype, device=device) for _ in range(2))
        self.means = torch.empty(blocks, heads, self.capacity, windows, HEAD, dtype=dtype, device=device)
        # index of a chunk's slot, in a tensor so that a recorded graph reads it
        self.place = torch.zeros(1, dtype=torch.long, device=device)
        self.slots = Slots(0, self.capacity)

    @property
    def steady(self) -> bool:
        """Whether all following chunks have the shapes of this one."""
        return len(self.slots.written) == 1 and self.slots.seen == self.capacity

    @staticmethod
    def bytes(blocks: int, heads: int, windows: int, kept: int, size: int) -> tuple[int, int]:
        """Return bytes on the device: permanent, and the working memory of one block."""
        return 2 * blocks * heads * (kept + 1) * windows * WINDOW * HEAD * size, 0

    def begin(self, index: int) -> None:
        """Prepare for a chunk."""
        self.slots = Slots(index, self.capacity)
        if index:
            self.place.fill_(self.slots.written[0])

    def exchange(self, block: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Store a chunk's keys and values; return all that it reads in a block, and the keys' means.

        Keys and values are ``[heads, tokens, 128]``.
        """
        result = []
        for ring, own in ((self.keys, k), (self.values, v), (self.means, means(k))):
            own = own.unflatten(1, (len(self.slots.written), -1))
            if len(self.slots.written) == 1:
                ring[block].index_copy_(1, self.place, own)
            else:
                ring[block][:, : len(self.slots.written)].copy_(own)
            result.append(ring[block][:, : self.slots.seen])
        return result[0].flatten(1, 2), result[1].flatten(1, 2), result[2]


class Packed:
    """Like ``Ring``, but only one block's slots are unpacked; the others stay in 8 bits or system RAM.

    ``store`` is int8 or cpu. In 8 bits every token of every head has its own scale. The slots of the next
    block are loaded while one block computes.
    """

    steady = False  # loaded slots have a different address every time

    def __init__(
        self,
        store: str,
        blocks: int,
        heads: int,
        windows: int,
        kept: int,
        dtype: torch.dtype,
        device: torch.device,
    ):
        eight, away = store == "int8", store == "cpu"
        self.capacity, self.windows, self.dtype, self.device, self.eight = kept, windows, dtype, device, eight
        home = torch.device("cpu") if away else device
        pinned = away and device.type == "cuda"
        shape = (blocks, 2, kept, heads, windows * WINDOW)
        self.stored = torch.empty(
            *shape, HEAD, dtype=torch.int8 if eight else dtype, device=home, pin_memory=pinned
        )
        self.scales = (  # one per token and head in 8 bits, else empty
            torch.empty(*shape if eight else (0,), 1, dtype=torch.float32, device=home, pin_memory=pinned)
        )
        self.means = torch.empty(blocks, heads, kept, windows, HEAD, dtype=dtype, device=device)
        self.copies = torch.cuda.Stream(device) if pinned else None
        self.fetched: dict[int, tuple] = {}
        self.index, self.before, self.written = 0, 0, [0]

    @staticmethod
    def bytes(blocks: int, heads: int, windows: int, kept: int, size: int, store: str) -> tuple[int, int]:
        """Return bytes on the device: permanent, and the working memory of one block."""
        eight, away = store == "int8", store == "cpu"
        slot = 2 * heads * windows * WINDOW * HEAD
        stored = kept * slot * (1 if eight else size)
        return 0 if away else blocks * stored, (kept + 1) * slot * size + (
            2 * stored if away else 4 * kept * slot
        )

    def begin(self, index: int) -> None:
        """Prepare for a chunk."""
        self.index, self.fetched = index, {}
        self.before = 0 if index == 0 else min(index + FIRST - 1, self.capacity)
        numbers = range(max(0, FIRST - self.capacity), FIRST) if index == 0 else [index + FIRST - 1]
        self.written = [number % self.capacity for number in numbers]
        if index:
            self._fetch(0)

    def exchange(self, block: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See ``Ring.exchange``."""
        own = means(k).unflatten(1, (-1, self.windows))
        if self.index == 0:
            keys, values, middle = k, v, own
        else:
            earlier = self._taken(block)
            keys, values = (torch.cat([old, new], 1) for old, new in zip(earlier, (k, v)))
            middle = torch.cat([self.means[block][:, : self.before], own], 1)
        self._store(block, k, v, own)
        return keys, values, middle

    def _fetch(self, block: int) -> None:
        """Start copying a block's slots to the device, asynchronously."""
        if block >= len(self.stored):
            return
        packed = (self.stored, self.scales) if self.eight else (self.stored,)
        parts = [one[block][:, : self.before] for one in packed]
        if self.copies is None:
            self.fetched[block] = (*(part.to(self.device) for part in parts), None)
            return
        self.copies.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self.copies):
            moved = [part.to(self.device, non_blocking=True) for part in parts]
            self.fetched[block] = (*moved, self.copies.record_event())

    def _taken(self, block: int) -> tuple[Tensor, Tensor]:
        """Return a block's earlier keys and values ``[heads, tokens, 128]``; start to copy the next."""
        *parts, arrived = self.fetched.pop(block)
        if arrived is not None:
            torch.cuda.current_stream(self.device).wait_event(arrived)
            for part in parts:
                part.record_stream(torch.cuda.current_stream(self.device))
        self._fetch(block + 1)
        both = (parts[0].float() * parts[1]).to(self.dtype) if self.eight else parts[0]
        keys, values = both.transpose(1, 2).flatten(2, 3)
        return keys, values

    def _store(self, block: int, k: Tensor, v: Tensor, own: Tensor) -> None:
        """Store the chunk's own slots; of a shot's first three, those that later chunks read."""
        count = len(self.written)
        both = torch.stack([k, v]).unflatten(2, (own.shape[1], -1))[:, :, -count:].transpose(1, 2)
        if self.eight:
            scale = both.abs().amax(-1, keepdim=True).float().clamp_min(1e-12) / 127
            both = (both.float() / scale).round().to(torch.int8)
        for number, place in enumerate(self.written):
            # each part is contiguous there: a copy to system RAM is asynchronous, without a staging buffer
            for part in (0, 1):
                self.stored[block, part, place].copy_(
                    both[part, number], non_blocking=self.copies is not None
                )
                if self.eight:
                    self.scales[block, part, place].copy_(
                        scale[part, number], non_blocking=self.copies is not None
                    )
            self.means[block][:, place] = own[:, own.shape[1] - count + number]


def cache(
    store: str, blocks: int, heads: int, windows: int, kept: int, dtype: torch.dtype, device: torch.device
) -> Ring | Packed:
    """Return the cache: on the ``device``, there in ``int8``, or on the ``cpu``."""
    if store == "device":
        return Ring(blocks, heads, windows, kept, dtype, device)
    return Packed(store, blocks, heads, windows, kept, dtype, device)
