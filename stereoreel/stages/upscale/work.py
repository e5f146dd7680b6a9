"""Pictures through a network: whole where they fit, in tiles where they do not, looked at before they are handed on."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from ...image import tiles
from ...image.compute import free_memory, is_out_of_memory, together
from .guard import check_size, faults, seam_fault
from .network import ImageNetwork

log = logging.getLogger(__name__)

CPU_MEMORY = 2 << 30  # bytes that a network's activations may take where the system is not asked
GPU_SHARE = 0.7  # of what is free, since activations are counted roughly
# what keeps the device busy: four pictures of 128x128, and of 512x512
BATCH_PIXELS = {"cpu": 1 << 16, "cuda": 1 << 20}
MOST_TOGETHER = 8
SMALLEST = 4096  # pixels of a tile; a device without memory for that has none


class Budget:
    """How many pixels go through a network at once; shrinks when memory runs out, and stays so for the rest of the pull."""

    def __init__(self, network: ImageNetwork, tile: int = 0):
        self.network, self.tile = network, tile
        self.pixels = tile * tile
        self._reach: int | None = None

    def fit(self) -> None:
        """Ask for the memory there is, once, when the network has been placed."""
        if not self.pixels:
            free = free_memory(self.network.device)
            memory = CPU_MEMORY if free is None else int(GPU_SHARE * free)
            self.pixels = max(SMALLEST, int(memory / self.network.pixel_memory))

    def together(self, height: int, width: int, most: int = 0) -> int:
        """How many pictures, or tiles, of a size make a batch; ``most`` fixes it as long as memory allows."""
        wanted = most or together(self.network.device, height * width, BATCH_PIXELS, MOST_TOGETHER)
        return max(1, wanted if self.tile else min(wanted, self.pixels // (height * width)))

    def shrink(self, used: int) -> bool:
        """Half of the ``used`` pixels from now on; False where that makes no sense any more."""
        self.pixels, self.tile = used // 2, 0
        return self.pixels >= SMALLEST

    def halo(self, run: Callable[[Tensor], Tensor]) -> int:
        """Pixels around a tile that its inside depends on visibly."""
        if self._reach is None:
            net = self.network
            self._reach = tiles.reach(run, 3, net.scale, net.needs.multiple_of, net.device)
        return self._reach + tiles.FEATHER // 2


class Work:
    """Pictures ``[N, 3, H, W]``, float32, 0..1, times the network's scale, for one shot.

    A picture that comes out broken is made once more in float32, and then so is the rest of the shot;
    RuntimeError names the frame where that does not help.
    """

    def __init__(self, network: ImageNetwork, budget: Budget, batch: int = 0, live: bool = False):
        self.network, self.budget, self.batch, self.live = network, budget, batch, live
        self.run: Callable[[Tensor], Tensor] = network

    def __call__(self, images: Tensor, names: list[int]) -> Tensor:
        """``names`` are the frames' numbers in the clip."""
        height, width = (side * self.network.scale for side in images.shape[-2:])
        images = self.network.pad(images)
        made, wrong = self._looked_at(images)
        if wrong and self.run != self.network.precise:
            frame, fault = next(iter(wrong.items()))
            log.warning("frame %d %s; this shot goes on in float32", names[frame], fault)
            self.run = self.network.precise
            made, wrong = self._looked_at(images)
        if wrong:
            frame, fault = next(iter(wrong.items()))
            raise RuntimeError(
                f"frame {names[frame]} {fault}, in float32 too; check the weights and the driver, or use another model."
            )
        return made[..., :height, :width]

    def halo(self) -> int:
        """Pixels around a tile that its inside depends on visibly."""
        return self.budget.halo(self.run)

    def _looked_at(self, images: Tensor) -> tuple[Tensor, dict[int, str]]:
        made, seams = self._fitted(images)
        return made, {**seams, **faults(images, made)}

    def _fitted(self, images: Tensor) -> tuple[Tensor, dict[int, str]]:
        """The pictures, and what is wrong at whose seams; in ever smaller pieces until memory suffices."""
        while True:
            try:
                return self._cut(images)
            except RuntimeError as error:
                if not is_out_of_memory(error) or not self.budget.shrink(self._used(images)):
                    raise
            # out of the handler, which holds on to what the failed attempt had allocated
            self.network.forget()
            log.warning("memory ran out; going on with at most %d pixels at once", self.budget.pixels)

    def _used(self, images: Tensor) -> int:
        height, width = images.shape[-2:]
        return min(self.budget.pixels, self.budget.together(height, width, self.batch) * height * width)

    def _cut(self, images: Tensor) -> tuple[Tensor, dict[int, str]]:
        height, width = images.shape[-2:]
        if height * width <= self.budget.pixels or not self.network.tileable:
            return self._batches(images, self.budget.together(height, width, self.batch)), {}
        grid = tiles.grid(height, width, self.budget.pixels, self.halo(), self.network.needs.multiple_of)
        together, made, wrong = self.budget.together(grid.height, grid.width, self.batch), [], {}
        for index, image in enumerate(images):
            pieces = self._batches(grid.cut(image), together)
            if fault := seam_fault(grid.disagreement(pieces, self.network.scale)):
                wrong[index] = fault
            made.append(grid.join(pieces, self.network.scale))
        return torch.stack(made), wrong

    def _batches(self, images: Tensor, together: int) -> Tensor:
        made = torch.cat([self._batch(part, together) for part in images.split(together)])
        check_size(images, made, self.network.scale)
        return made

    def _batch(self, images: Tensor, together: int) -> Tensor:
        """One batch; filled up where a recorded graph wants one shape, so that the last batch of a shot needs no graph of its own.

        Live, where small batches are the rule, up to a power of two: a lone frame costs no more than itself.
        """
        size = min(together, 1 << (len(images) - 1).bit_length()) if self.live else together
        missing = size - len(images) if self.network.recorded else 0
        if not missing:
            return self.run(images)
        return self.run(torch.cat([images, images.new_zeros(missing, *images.shape[1:])]))[: len(images)]
