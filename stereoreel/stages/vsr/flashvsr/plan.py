"""How a frame size fits into the memory there is: whole frames as long as anything allows, tiles as the last resort.

Tiles are the one saving that is seen in the picture, so they come after fewer remembered slots, after slots
in 8 bits and after slots in the computer's memory.
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
TOKEN = 16  # pixels of a token, along a row and a column
ATTENTION = 1 << 30  # bytes for collected keys, masks and the compiled kernels' workspaces
PROJECTOR = 100_000  # numbers alive for each token while eight frames are projected
DECODER = {"tiny": 500, "full": 4000}  # numbers alive for each pixel while a latent frame is decoded
LARGE = 3 << 20  # pixels from which on latent frames are decoded one by one, not two together
PICTURES = 40 * 3 * 4  # bytes for each pixel of frames that wait or are being finished


@dataclass(frozen=True)
class Work:
    """What needs memory: frames of ``height`` x ``width`` pixels, multiples of 128, through networks of a family."""

    height: int
    width: int
    family: Family
    dtype: torch.dtype
    decoder: str = "tiny"


@dataclass(frozen=True)
class Plan:
    """What is done: where slots are kept and how many, and the tiles' side (0: whole frames); ``bytes`` beside the networks."""

    store: str
    kept: int
    tile: int
    bytes: int

    def line(self, height: int, width: int, free: int | None) -> str:
        """The plan in one line."""
        place = {"device": "on the device", "int8": "in 8 bits", "cpu": "in the computer's memory"}[
            self.store
        ]
        frames = f"tiles of {self.tile} pixels" if self.tile else "whole frames"
        there = "" if free is None else f" of {free / 2**30:.1f}"
        return f"FlashVSR at {width}x{height}: {frames}, {self.kept} slots {place}, {self.bytes / 2**30:.1f}{there} GiB beside the networks"


def make(work: Work, free: int | None, kept: int, store: str = "auto", tile: int = 0) -> Plan:
    """The first plan that fits into ``free`` bytes, or the most frugal one if none does; the first one if None.

    ``store`` and ``tile`` fix what they name.
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
    """Bytes on the device besides the networks."""
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
        len(areas) * stored
        + working
        + ATTENTION
        + blocks
        + max(projected, decoded)
        + height * width * PICTURES
    )


def regions(height: int, width: int, tile: int) -> list[tuple[int, int, int, int]]:
    """The tiles as (top, bottom, left, right) in pixels, all of one size; one where ``tile`` is 0 or large."""
    return [(*rows, *columns) for rows, columns in product(cuts(height, tile), cuts(width, tile))]


def cuts(length: int, tile: int) -> list[tuple[int, int]]:
    """Overlapping pieces of a side, evenly spread, on multiples of 128; narrow ones are widened, for they would hardly move on."""
    tile = max(OVERLAP + MULTIPLE, tile // MULTIPLE * MULTIPLE) if tile else length
    return [(0, length)] if length <= tile else _spread(length, tile)


def _spread(length: int, tile: int) -> list[tuple[int, int]]:
    count = -(-(length - OVERLAP) // (tile - OVERLAP))
    steps = (length - tile) // MULTIPLE
    starts = [round(number * steps / (count - 1)) * MULTIPLE for number in range(count)]
    return [(start, start + tile) for start in starts]


def weights(areas: list[tuple[int, int, int, int]], height: int, width: int) -> list[Tensor]:
    """How much each tile counts at each place ``[h, w]`` of its own; they sum to 1. Only edges inside the frame are ramped.

    Sizes are in one unit, such as latent pixels.
    """
    total = torch.zeros(height, width)
    ramps = []
    for top, bottom, left, right in areas:
        down, across = (ramp(*edges) for edges in ((top, bottom, height), (left, right, width)))
        ramps.append(down[:, None] * across)
        total[top:bottom, left:right] += ramps[-1]
    return [one / total[top:bottom, left:right] for one, (top, bottom, left, right) in zip(ramps, areas)]


def ramp(start: int, stop: int, length: int) -> Tensor:
    """1 in the middle and at the frame's border; towards an inner edge it falls to 1 / (n + 1), never to 0."""
    size = stop - start
    reach = min(size // 2, OVERLAP // 8)
    slope = torch.arange(1, size + 1) / (reach + 1)
    rising = slope.clamp(max=1) if start else torch.ones(size)
    return rising * (slope.flip(0).clamp(max=1) if stop < length else 1)
