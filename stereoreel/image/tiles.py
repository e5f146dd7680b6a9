"""Tiling: equal tiles for batches, enough halo to leave no seam, and blending on the device.

Tiles serve scarce memory, and skip still parts that need no work; a frame that fits is never divided.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

FEATHER = 8  # input pixels over which neighbouring tiles are blended
# size of the image on which a network's reach is measured; small, because memory may be scarce
NOISE = (32, 128)
WIDEST = 64  # pixels; a longer reach has no visible effect, and tiles would consist of halo


@dataclass(frozen=True)
class Grid:
    """Equal tiles ``[height, width]`` over a frame ``[rows, columns]``; they overlap by at least two halos.

    ``tops`` and ``lefts`` are multiples of the divisor that the network requires of its input size.
    """

    rows: int
    columns: int
    height: int
    width: int
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    @property
    def places(self) -> list[tuple[int, int]]:
        return [(top, left) for top in self.tops for left in self.lefts]

    def cut(self, frame: Tensor, scale: int = 1) -> Tensor:
        """Return the tiles ``[n, C, height, width]`` of one frame ``[C, rows, columns]``.

        Both sides are multiplied by ``scale``.
        """
        height, width = self.height * scale, self.width * scale
        return torch.stack(
            [
                frame[:, top * scale : top * scale + height, left * scale : left * scale + width]
                for top, left in self.places
            ]
        )

    def join(self, tiles: Tensor, scale: int = 1) -> Tensor:
        """Return the frame ``[C, rows, columns]`` of tiles ``[n, C, height, width]``, blended at seams."""
        frame = tiles.new_zeros(tiles.shape[1], self.rows * scale, self.columns * scale)
        down, across = (
            ramps(starts, size, scale, tiles.device)
            for starts, size in ((self.tops, self.height), (self.lefts, self.width))
        )
        for index, (tile, (top, left)) in enumerate(zip(tiles, self.places)):
            row, column = divmod(index, len(self.lefts))
            part = frame[
                :, top * scale : (top + self.height) * scale, left * scale : (left + self.width) * scale
            ]
            part.addcmul_(tile, down[row][:, None] * across[column])
        return frame

    def disagreement(self, tiles: Tensor, scale: int = 1) -> Tensor:
        """Return how far neighbouring tiles differ where they are blended: of the worst seam, in 0..1."""
        worst = tiles.new_zeros(())
        tall, wide = len(self.tops), len(self.lefts)
        table = tiles.view(tall, wide, *tiles.shape[1:])
        for starts, size, axis in ((self.tops, self.height, 0), (self.lefts, self.width, 1)):
            for index, (here, there) in enumerate(zip(starts, starts[1:])):
                first, second = table.narrow(axis, index, 1), table.narrow(axis, index + 1, 1)
                middle = (here + size - there) // 2 * scale  # of the overlap, as the second tile counts
                apart = first.narrow(3 + axis, (there - here) * scale + middle - 1, 2) - second.narrow(
                    3 + axis, middle - 1, 2
                )
                worst = torch.maximum(worst, apart.abs().flatten(1).mean(1).max())
        return worst


def ramps(starts: tuple[int, ...], size: int, scale: int, device: torch.device) -> list[Tensor]:
    """Return the weights ``[size * scale]`` of every tile along one axis.

    They sum to 1 everywhere, and only seams between tiles are sloped.
    """
    place = torch.arange(size * scale, device=device) + 0.5
    result = []
    for index, start in enumerate(starts):
        weight = torch.ones_like(place)
        if index:
            weight = weight * _slope(place, (starts[index - 1] + size - start) * scale, scale)
        if index + 1 < len(starts):
            weight = weight * (
                1
                - _slope(
                    place - (starts[index + 1] - start) * scale,
                    (start + size - starts[index + 1]) * scale,
                    scale,
                )
            )
        result.append(weight)
    return result


def _slope(place: Tensor, overlap: int, scale: int) -> Tensor:
    """Return a ramp from 0 to 1 across the middle of an overlap that begins at 0."""
    width = min(FEATHER * scale, overlap)
    return ((place - overlap / 2) / width + 0.5).clamp(0, 1)


def grid(rows: int, columns: int, pixels: int, halo: int, multiple: int = 1) -> Grid:
    """Return the fewest equal tiles of at most ``pixels``; one if the frame fits.

    The frame's sides are multiples of ``multiple``. No tile is narrower than four halos, so that at least
    half of it counts: with very little memory tiles stay that large.
    """
    halo = math.ceil(halo / multiple) * multiple
    best: tuple[tuple[int, int], Grid] | None = None
    for tall in range(1, max(1, rows // (2 * halo or 1)) + 1):
        for wide in range(1, max(1, columns // (2 * halo or 1)) + 1):
            height, tops = _axis(rows, tall, halo, multiple)
            width, lefts = _axis(columns, wide, halo, multiple)
            cost = (max(0, height * width - pixels), tall * wide * height * width)
            if best is None or cost < best[0]:
                best = cost, Grid(rows, columns, height, width, tops, lefts)
            if height * width <= pixels:
                break
    assert best is not None, "one tile is always tried"
    return best[1]


def _axis(length: int, count: int, halo: int, multiple: int) -> tuple[int, tuple[int, ...]]:
    """Return the side of ``count`` equal tiles along an axis, and where they begin."""
    if count == 1:
        return length, (0,)
    side = min(length, math.ceil((length + 2 * halo * (count - 1)) / count / multiple + 1) * multiple)
    starts = [round(index * (length - side) / (count - 1) / multiple) * multiple for index in range(count)]
    return side, tuple(sorted(set(starts)))


def reach(
    run: Callable[[Tensor], Tensor],
    channels: int,
    scale: int,
    multiple: int,
    device: torch.device,
    tolerance: float = 1 / 1024,
) -> int:
    """Return the distance in input pixels up to which a cut edge changes a network's output.

    A change of more than ``tolerance`` counts; it is measured on noise, up to ``WIDEST``. In theory hundreds
    of layers see hundreds of pixels; the effect from there is far below a visible step.
    """
    noise = torch.rand(1, channels, *NOISE, generator=torch.Generator().manual_seed(0)).to(device)
    start = NOISE[1] // 2 // multiple * multiple
    apart = (run(noise)[..., start * scale :] - run(noise[..., start:].contiguous())).abs().amax((0, 1, 2))
    wrong = (apart > tolerance).nonzero().flatten()
    return min(WIDEST, int(wrong[-1]) // scale + 1 if len(wrong) else 0)
