"""Fit a frame size into the available memory: complete frames if possible, tiles as the last resort.

Tiles are the only saving that is visible in the frame, so they come after fewer slots in the cache, slots in
8 bits and slots in system RAM.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from ....nets.flashvsr import Family
from .cache import FIRST, Packed, Ring

MULTIPLE = 128  # pixels: one window of tokens
OVERLAP = 256  # pixels that neighbouring tiles share
TILES = (1536, 1280, 1024, 768, 512)  # sides that are tried, in pixels
TOKEN = 16  # pixels of a token along each axis
ATTENTION = 1 << 30  # bytes for collected keys, masks and the compiled kernels' workspaces
PROJECTOR = 100_000  # numbers in memory per token while eight frames are projected
DECODER = {"tiny": 500, "full": 4000}  # numbers in memory per pixel while a latent frame is decoded
LARGE = 3 << 20  # from this many pixels on, latent frames are decoded one at a time instead of two
IMAGES = 40 * 3 * 4  # bytes per pixel of frames that wait or are being finished

Area = tuple[int, int, int, int]  # top, bottom, left, right


@dataclass(frozen=True)
class Work:
    """The work to plan: frames of ``height`` x ``width`` pixels, multiples of 128, by models of a family."""

    height: int
    width: int
    family: Family
    dtype: torch.dtype
    decoder: str = "tiny"


@dataclass(frozen=True)
class Plan:
    """Where slots are stored and how many, and the tile size (0: complete frames).

    ``bytes`` is the memory in addition to the models.
    """

    store: str
    kept: int
    tile: int
    bytes: int

    def line(self, height: int, width: int, free: int | None) -> str:
        """Describe the plan in one line."""
        place = {"device": "on the device", "int8": "in 8 bits", "cpu": "in system RAM"}[self.store]
        frames = f"tiles of {self.tile} pixels" if self.tile else "complete frames"
        there = "" if free is None else f" of {free / 2**30:.1f}"
        return (
            f"FlashVSR at {width}x{height}: {frames}, {self.kept} slots {place}, "
            f"{self.bytes / 2**30:.1f}{there} GiB in addition to the models"
        )


def make(work: Work, free: int | None, kept: int, store: str = "auto", tile: int = 0) -> Plan:
    """Return the first plan that fits in ``free`` bytes, or the smallest if none does; the first if None.

    ``store`` and ``tile`` fix these choices.
    """
    few = min(kept, FIRST - 1)
    ways = [("device", kept), ("device", few), ("int8", kept), ("int8", few), ("cpu", kept), ("cpu", few)]
    ways = [way for way in dict.fromkeys(ways) if store in ("auto", way[0])]
    ways = [way for way in ways if store == "auto" or way[1] == kept]
    tiles = [tile] if tile else [0, *(side for side in TILES if side < max(work.height, work.width))]
    for side, (where, slots) in product(tiles, ways):
        plan = Plan(where, slots, side, needed(work, where, slots, side))
        if free is None or plan.bytes <= free:
            break
    return plan


def needed(work: Work, store: str, kept: int, tile: int) -> int:
    """Return the bytes on the device in addition to the models."""
    height, width, family, size = work.height, work.width, work.family, work.dtype.itemsize
    areas = regions(height, width, tile)
    windows = max((bottom - top) * (right - left) for top, bottom, left, right in areas) // MULTIPLE**2
    one = (family.blocks, family.heads, windows, kept, size)
    stored, working = Ring.bytes(*one) if store == "device" else Packed.bytes(*one, store)
    tokens = windows * 128 * FIRST
    blocks = tokens * (2 * family.inner + 16 * family.width) * size
    projected = height * width // TOKEN**2 * PROJECTOR * size
    together = 1 if height * width > LARGE or work.decoder == "full" else 2
    decoded = height * width * DECODER[work.decoder] * size * together
    return (
        len(areas) * stored + working + ATTENTION + blocks + max(projected, decoded) + height * width * IMAGES
    )


def regions(height: int, width: int, tile: int, unit: int = 1) -> list[Area]:
    """Return the tiles, all of one size, in units of ``unit`` pixels; one if ``tile`` is 0 or large."""
    return [
        (top // unit, bottom // unit, left // unit, right // unit)
        for (top, bottom), (left, right) in product(cuts(height, tile), cuts(width, tile))
    ]


def cuts(length: int, tile: int) -> list[tuple[int, int]]:
    """Return overlapping pieces of a side, evenly spread, on multiples of 128.

    Narrow tiles are widened, because they would hardly advance.
    """
    tile = max(OVERLAP + MULTIPLE, tile // MULTIPLE * MULTIPLE) if tile else length
    return [(0, length)] if length <= tile else _spread(length, tile)


def _spread(length: int, tile: int) -> list[tuple[int, int]]:
    count = -(-(length - OVERLAP) // (tile - OVERLAP))
    steps = (length - tile) // MULTIPLE
    starts = [round(number * steps / (count - 1)) * MULTIPLE for number in range(count)]
    return [(start, start + tile) for start in starts]


def weights(areas: list[Area], height: int, width: int) -> list[Tensor]:
    """Return each tile's weight ``[h, w]``; they sum to 1. Only edges inside the frame are ramped.

    All sizes are in the same unit, such as latent pixels.
    """
    total = torch.zeros(height, width)
    ramps = []
    for top, bottom, left, right in areas:
        down, across = (ramp(*edges) for edges in ((top, bottom, height), (left, right, width)))
        ramps.append(down[:, None] * across)
        total[top:bottom, left:right] += ramps[-1]
    return [one / total[top:bottom, left:right] for one, (top, bottom, left, right) in zip(ramps, areas)]


def ramp(start: int, stop: int, length: int) -> Tensor:
    """Return 1 in the middle and at the frame's border, falling to 1 / (n + 1), never 0, to an inner edge."""
    size = stop - start
    reach = min(size // 2, OVERLAP // 8)
    slope = torch.arange(1, size + 1) / (reach + 1)
    rising = slope.clamp(max=1) if start else torch.ones(size)
    return rising * (slope.flip(0).clamp(max=1) if stop < length else 1)
