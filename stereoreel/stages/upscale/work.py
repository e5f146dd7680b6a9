"""Run images through a model, in tiles if they do not fit in memory, and check the results."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ...image import tiles
from ...image.compute import batch_size, free_memory, is_out_of_memory
from .guard import Verdict, check_size
from .network import ImageNetwork

log = logging.getLogger(__name__)

CPU_MEMORY = 2 << 30  # bytes for a model's activations if free memory is unknown
GPU_SHARE = 0.7  # of the free memory, because activations are estimated roughly
# enough to keep the device busy: four images of 128x128, and of 512x512
BATCH_PIXELS = {"cpu": 1 << 16, "cuda": 1 << 20}
MOST_TOGETHER = 8
SMALLEST = 4096  # pixels of a tile; a device without memory for that has none


class Budget:
    """The number of pixels to process at a time; if memory runs out, it shrinks for the rest of the pull."""

    def __init__(self, network: ImageNetwork, tile: int = 0):
        self.network, self.tile = network, tile
        self.pixels = tile * tile
        self._reach: int | None = None

    def fit(self) -> None:
        """Set the budget by the free memory, once, after the model has been placed."""
        if not self.pixels:
            free = free_memory(self.network.device)
            memory = CPU_MEMORY if free is None else int(GPU_SHARE * free)
            self.pixels = max(SMALLEST, int(memory / self.network.pixel_memory))

    def batch_size(self, height: int, width: int, most: int = 0) -> int:
        """Return how many images or tiles make a batch; ``most`` fixes the number if memory allows."""
        wanted = most or batch_size(self.network.device, height * width, BATCH_PIXELS, MOST_TOGETHER)
        return max(1, wanted if self.tile else min(wanted, self.pixels // (height * width)))

    def shrink(self, used: int) -> bool:
        """Use half of the ``used`` pixels from now on; return False if that is too small."""
        self.pixels, self.tile = used // 2, 0
        return self.pixels >= SMALLEST

    def halo(self, run: Callable[[Tensor], Tensor]) -> int:
        """Return how many pixels around a tile visibly affect its inside."""
        if self._reach is None:
            net = self.network
            self._reach = tiles.reach(run, 3, net.scale, net.needs.multiple_of, net.device)
        return self._reach + tiles.FEATHER // 2


class Begun(NamedTuple):
    """Images whose work has been started, and the function that does it; ``size`` is that before padding."""

    images: Tensor
    size: tuple[int, int]
    names: list[int]
    output: Tensor
    verdict: Verdict
    run: Callable[[Tensor], Tensor]


class Work:
    """Upscale images ``[N, 3, H, W]``, float32, 0..1, of one shot by the model's scale.

    A broken result is recomputed in float32, and so is the rest of the shot. Raise RuntimeError with the
    frame number if that fails too.
    """

    def __init__(self, network: ImageNetwork, budget: Budget, batch: int = 0, live: bool = False):
        self.network, self.budget, self.batch, self.live = network, budget, batch, live
        self.run: Callable[[Tensor], Tensor] = network

    def __call__(self, images: Tensor, names: list[int]) -> Tensor:
        """Return the upscaled images; ``names`` are their frame numbers in the clip."""
        return self.finish(self.begin(images, names))

    def begin(self, images: Tensor, names: list[int]) -> Begun:
        """Start the work on images. With ``finish`` after the next ``begin``, the device does not pause."""
        height, width = images.shape[-2:]
        return self._started(self.network.pad(images), (height, width), names)

    def _started(self, images: Tensor, size: tuple[int, int], names: list[int]) -> Begun:
        output, seams = self._fitted(images)
        return Begun(images, size, names, output, Verdict(images, output, seams), self.run)

    def finish(self, begun: Begun) -> Tensor:
        """Return the upscaled images, in float32 from the first broken one of the shot on."""
        if begun.run != self.run:  # earlier images were broken
            begun = self._started(begun.images, begun.size, begun.names)
        wrong = begun.verdict.faults()
        if wrong and self.run != self.network.precise:
            frame, fault = next(iter(wrong.items()))
            log.warning("frame %d %s; this shot continues in float32", begun.names[frame], fault)
            self.run = self.network.precise
            begun = self._started(begun.images, begun.size, begun.names)
            wrong = begun.verdict.faults()
        if wrong:
            frame, fault = next(iter(wrong.items()))
            raise RuntimeError(
                f"frame {begun.names[frame]} {fault}, in float32 too. Check the weights and the driver, or "
                "use another model."
            )
        height, width = (side * self.network.scale for side in begun.size)
        return begun.output[..., :height, :width]

    def halo(self) -> int:
        """Return how many pixels around a tile visibly affect its inside."""
        return self.budget.halo(self.run)

    def _fitted(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the images and how far their tiles differ; retry in smaller pieces until memory suffices."""
        while True:
            try:
                return self._cut(images)
            except RuntimeError as error:
                if not is_out_of_memory(error) or not self.budget.shrink(self._used(images)):
                    raise
            # outside the handler, which keeps the allocations of the failed attempt alive
            self.network.forget()
            log.warning("Out of memory; retrying with at most %d pixels at a time", self.budget.pixels)

    def _used(self, images: Tensor) -> int:
        height, width = images.shape[-2:]
        return min(self.budget.pixels, self.budget.batch_size(height, width, self.batch) * height * width)

    def _cut(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        height, width = images.shape[-2:]
        if height * width <= self.budget.pixels or not self.network.tileable:
            return self._batches(images, self.budget.batch_size(height, width, self.batch)), None
        grid = tiles.grid(height, width, self.budget.pixels, self.halo(), self.network.needs.multiple_of)
        together, outputs, seams = self.budget.batch_size(grid.height, grid.width, self.batch), [], []
        for image in images:
            pieces = self._batches(grid.cut(image), together)
            seams.append(grid.disagreement(pieces, self.network.scale))
            outputs.append(grid.join(pieces, self.network.scale))
        return torch.stack(outputs), torch.stack(seams)

    def _batches(self, images: Tensor, together: int) -> Tensor:
        outputs = torch.cat([self._batch(part, together) for part in images.split(together)])
        check_size(images, outputs, self.network.scale)
        return outputs

    def _batch(self, images: Tensor, together: int) -> Tensor:
        """Run one batch, padded to one shape for a recorded graph: the last batch needs no own graph.

        In live sessions, where small batches are the rule, pad to a power of two: a single frame costs no
        more than itself.
        """
        size = min(together, 1 << (len(images) - 1).bit_length()) if self.live else together
        missing = size - len(images) if self.network.recorded else 0
        if not missing:
            return self.run(images)
        return self.run(torch.cat([images, images.new_zeros(missing, *images.shape[1:])]))[: len(images)]
