"""Winograd convolution in plain PyTorch: chains of 3x3 convolutions, faster than direct in float32 on a CPU.

Winograd F(4x4, 3x3) (Lavin & Gray 2015, arXiv 1509.09308) gives 4x4 outputs of a 3x3 convolution for 36
products instead of 144: ``Y = At [ (G g Gt) * (Bt d B) ] A`` for a 6x6 window ``d``; over the channels, the
products are 36 matrix products. It pays because a feature map that many convolutions read (as in a dense
block) is transformed once, into its own channels of one buffer, so the concatenations disappear; and bias,
activation and residuals are added in place. The points 0, +-3/4, +-3/2 halve the rounding error of the usual
0, +-1, +-2: it is about twice that of a direct float32 convolution.

Maps are stored by phase, ``[chunk, row in tile, column in tile, channel, tile row, tile column]``: a
neighbouring tile's pixels are the same plane shifted by one, so no window is ever gathered.
"""

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import partial

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ...image.compute import parallel_map

POINTS = (Fraction(0), Fraction(3, 4), Fraction(-3, 4), Fraction(3, 2), Fraction(-3, 2))  # and infinity
TILE = 4  # outputs of a tile along each axis
WINDOW = TILE + 2
CHUNK = 256  # tiles per matrix product: small enough for the caches
BUDGET = 512 * 2**20  # bytes of transformed maps; a taller frame is processed in strips
# extra rows of a strip above and below: at most this many convolutions run between two joins of the strips
HALO = 16


def toom_cook() -> tuple[Tensor, Tensor, Tensor]:
    """Return ``At`` [4, 6], ``G`` [6, 3] and ``Bt`` [6, 6] in float64, from the points (Lavin & Gray §4).

    The last row and column are those of infinity.
    """
    zero, one = Fraction(0), Fraction(1)
    outputs = [[_power(point, row) for point in POINTS] + [Fraction(row == TILE - 1)] for row in range(TILE)]
    kernel, inputs = [], []
    for point in POINTS:
        others = [other for other in POINTS if other != point]
        scale = math.prod((point - other for other in others), start=one)
        kernel.append([_power(point, power) / scale for power in range(3)])
        inputs.append([*_product(others), zero])
    kernel.append([zero, zero, one])
    inputs.append(_product(POINTS))
    return _matrix(outputs), _matrix(kernel), _matrix(inputs)


def _power(point: Fraction, power: int) -> Fraction:
    return math.prod([point] * power, start=Fraction(1))


def _matrix(rows: list[list[Fraction]]) -> Tensor:
    return torch.tensor([[float(value) for value in row] for row in rows], dtype=torch.float64)


def _product(roots: Iterable[Fraction]) -> list[Fraction]:
    """Return the coefficients of the product of ``x - root``, constant first."""
    zero, polynomial = Fraction(0), [Fraction(1)]
    for root in roots:
        polynomial = [low - root * high for low, high in zip([zero, *polynomial], [*polynomial, zero])]
    return polynomial


class Step(nn.Module):
    """A step of a chain: ``run`` goes from the map ``source`` to the map ``target``."""

    source: str
    target: str

    def run(self, field: "Field") -> None:
        raise NotImplementedError


class Product(nn.Module):
    """A 3x3 convolution as 36 matrices ``[36, out, in]``, its bias ``[out, 1]`` and its activation.

    Weights and bias are multiplied by ``gain``.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, conv: nn.Module, activation: nn.Module | None = None, gain: float = 1.0):
        super().__init__()
        _, kernel, _ = toom_cook()
        bias = conv.get_parameter("bias").detach().cpu() * gain
        weight = kernel @ (conv.get_parameter("weight").detach().double().cpu() * gain) @ kernel.T
        weight = rearrange(weight, "out c row column -> (row column) out c").float().contiguous()
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("bias", bias.float()[:, None].clone(), persistent=False)
        self.slope = None if activation is None else getattr(activation, "negative_slope", 0.0)

    def finish(self, values: Tensor) -> None:
        """Add the bias and apply the activation to ``[4, 4, out, tiles]`` in place."""
        values.add_(self.bias)
        if self.slope is not None:
            F.leaky_relu_(values, self.slope)


class Field:
    """The maps of one strip of ``height`` x ``width`` pixels, by phase, and a transform buffer.

    ``maps`` gives the channels of each named map. Fields of one size that run in turn share the buffers of
    one of them, ``lender``.
    """

    seen: Tensor
    scratch: Tensor

    def __init__(
        self, height: int, width: int, maps: dict[str, int], channels: int, lender: "Field | None" = None
    ):
        self.height, self.width = height, width
        rows, self.columns = -(-height // TILE), -(-width // TILE)
        self.rows = min(rows, max(1, CHUNK // self.columns))
        self.chunks, self.tiles = -(-rows // self.rows), self.rows * self.columns
        self.maps = {
            name: torch.zeros(self.chunks, WINDOW, TILE, size, self.rows, self.columns)
            for name, size in maps.items()
        }
        self.moves = {name: self._moves(values) for name, values in self.maps.items()}
        self.outside = {name: self._outside(values) for name, values in self.maps.items()}
        # Bt d B of every channel
        self.seen = lender.seen if lender else torch.empty(self.chunks, WINDOW, WINDOW, channels * self.tiles)
        self.scratch = (
            lender.scratch if lender else torch.empty(2, WINDOW * WINDOW * max(maps.values()) * self.tiles)
        )
        outputs, _, inputs = (matrix.float() for matrix in toom_cook())
        self.outputs, self.outputs_each = outputs, outputs.repeat(TILE, 1, 1)
        self.inputs, self.inputs_each = inputs, inputs.repeat(WINDOW, 1, 1)

    def _moves(self, values: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return (to, from) for the rows just above and below each tile; outside the frame they stay zero."""
        above, top, bottom, below = values[:, 0], values[:, 1], values[:, TILE], values[:, TILE + 1]
        inside = [(above[:, ..., 1:, :], bottom[:, ..., :-1, :]), (below[:, ..., :-1, :], top[:, ..., 1:, :])]
        between = [
            (above[1:, ..., 0, :], bottom[:-1, ..., -1, :]),
            (below[:-1, ..., -1, :], top[1:, ..., 0, :]),
        ]
        return [pair for pair in inside + between if pair[0].numel()]

    def _outside(self, values: Tensor) -> list[Tensor]:
        """Return the pixels of the last tiles outside the frame; the next convolution must read zeros."""
        inner = values[:, 1 : TILE + 1]
        beyond = [
            inner[:, :, phase, ..., -1]
            for phase in range(TILE)
            if TILE * (self.columns - 1) + phase >= self.width
        ]
        for row in range(self.height // TILE, self.chunks * self.rows):
            first = max(0, self.height - TILE * row)
            beyond.append(inner[row // self.rows, first:, ..., row % self.rows, :])
        return [part for part in beyond if part.numel()]

    def inner(self, name: str, chunk: int) -> Tensor:
        """Return a view of a chunk's pixels, ``[4, 4, channels, tiles]``."""
        return self.maps[name][chunk, 1 : TILE + 1].flatten(-2)

    def put(self, name: str, image: Tensor) -> None:
        """Fill a map from ``[channels, height, width]``."""
        high, wide = self.chunks * self.rows * TILE, self.columns * TILE
        image = F.pad(image, (0, wide - self.width, 0, high - self.height))
        phases = rearrange(
            image, "c (chunk row y) (column x) -> chunk y x c row column", row=self.rows, y=TILE, x=TILE
        )
        self.maps[name][:, 1 : TILE + 1].copy_(phases)

    def get(self, name: str) -> Tensor:
        """Return a map as ``[channels, height, width]``."""
        image = rearrange(
            self.maps[name][:, 1 : TILE + 1], "chunk y x c row column -> c (chunk row y) (column x)"
        )
        return image[:, : self.height, : self.width]

    def see(self, name: str, first: int = 0) -> None:
        """Transform a map into the buffer's channels from ``first`` on."""
        for part in self.outside[name]:
            part.zero_()
        for to, source in self.moves[name]:
            to.copy_(source)
        size = self.maps[name].shape[3]
        span = size * self.tiles
        windows = self.scratch[0, : WINDOW * WINDOW * span].view(WINDOW, WINDOW, span)
        side = windows.view(WINDOW, WINDOW, size, self.rows, self.columns)
        middle = windows.view(WINDOW, WINDOW * span)[:, span : (TILE + 1) * span]
        for chunk in range(self.chunks):
            torch.mm(self.inputs, self.maps[name][chunk].view(WINDOW, TILE * span), out=middle)
            side[:, 0, ..., 1:], side[:, 0, ..., 0] = side[:, TILE, ..., :-1], 0
            side[:, -1, ..., :-1], side[:, -1, ..., -1] = side[:, 1, ..., 1:], 0
            torch.bmm(
                self.inputs_each,
                windows,
                out=self.seen[chunk, ..., first * self.tiles : first * self.tiles + span],
            )

    def convolve(self, product: Product, name: str, *residuals: tuple[str, float]) -> None:
        """Write the product with the first buffer channels into a map, plus other maps times a gain."""
        _, size, channels = product.weight.shape
        span = size * self.tiles
        products = self.scratch[0, : WINDOW * WINDOW * span].view(WINDOW * WINDOW, size, self.tiles)
        middle = self.scratch[1, : TILE * WINDOW * span].view(TILE, WINDOW * span)
        for chunk in range(self.chunks):
            seen = self.seen[chunk].view(WINDOW * WINDOW, -1, self.tiles)
            torch.bmm(product.weight, seen[:, :channels], out=products)
            torch.mm(self.outputs, products.view(WINDOW, WINDOW * span), out=middle)
            values = self.inner(name, chunk)
            torch.bmm(self.outputs_each, middle.view(TILE, WINDOW, span), out=values.view(TILE, TILE, span))
            product.finish(values)
            for other, gain in residuals:
                values.add_(self.inner(other, chunk), alpha=gain)


class Chain(nn.Module):
    """Steps over images ``[N, channels, height, width]``, in strips with halos if maps exceed BUDGET.

    If there are fewer images than cores, there are strips for all cores. Each step runs ``reach``
    convolutions; ``period`` steps belong together. A step runs on every frame before the next step: its
    weights then come from the cache, and each frame is bit-identical in every batch.
    """

    def __init__(
        self, steps: Sequence[Step], maps: dict[str, int], channels: int, reach: int, period: int = 1
    ):
        super().__init__()
        self.steps, self.maps, self.channels = list(steps), maps, channels
        self.modules_of_steps = nn.ModuleList(steps)
        self.together = HALO // (reach * period) * period

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        row = 4 * (width + TILE) // TILE**2  # bytes of a row per number that a pixel holds
        seen, held = row * self.channels * WINDOW**2, row * sum(self.maps.values()) * WINDOW * TILE
        cores = max(1, torch.get_num_threads() // len(images))
        rows = max(2 * HALO, min(BUDGET // (seen + held) - 2 * HALO, -(-height // cores)))
        if rows < height:
            return torch.stack([self._strips(image, rows) for image in images])
        count = max(1, (BUDGET - height * seen) // (height * held))
        return torch.cat([self._run(self.steps, some) for some in images.split(count)])

    def _strips(self, image: Tensor, rows: int) -> Tensor:
        for first in range(0, len(self.steps), self.together):
            strip = partial(self._strip, self.steps[first : first + self.together], image, rows)
            image = torch.cat(parallel_map(strip, range(0, image.shape[1], rows)), 1)
        return image

    def _strip(self, steps: list[Step], image: Tensor, rows: int, top: int) -> Tensor:
        low = max(0, top - HALO)
        return self._run(steps, image[None, :, low : top + rows + HALO])[0, :, top - low : top - low + rows]

    def _run(self, steps: list[Step], images: Tensor) -> Tensor:
        fields: list[Field] = []
        height, width = images.shape[2:]
        for image in images:
            lender = fields[0] if fields else None
            fields.append(Field(height, width, self.maps, self.channels, lender))
            fields[-1].put(steps[0].source, image)
        for step in steps:
            for field in fields:
                step.run(field)
        return torch.stack([field.get(steps[-1].target) for field in fields])
