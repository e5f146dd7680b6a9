"""Motion-compensated fusion of frames on a GPU; their motion is found on the host, from small lumas.

A byte for each pixel at the size that is searched goes down per frame, and a quarter of that comes up for
each neighbour: motion on the search's own grid. The noise is known where the frames are; what the host must
know of it arrives while the GPU works on the next chunk.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...image import block_edges
from ...image.flow import PRESETS, SMALLEST, luma_levels, search
from ...image.host_copy import Download
from ...image.host_flow import SmallLumas, sample, send_flow, small_lumas, spread
from ...image.repeats import marked
from ...image.resize import Resizer
from .builtin import BLOCK, FLOOR, FLOW_PIXELS, LIMIT, MEMORY, PATCH, Coding, around

GRID = 4  # pixels of the search between two independent motions of its preset


class Seen(NamedTuple):
    """A frame ``[H, W, C]``, also in float32 without NaN, its small luma on the host, its noise and steps.

    ``texture`` is the variance of its noise, also as a number; frames of equal ``content`` are equal.
    """

    frame: Tensor
    image: Tensor
    luma: np.ndarray
    texture: Tensor
    noise: float
    step: float
    content: int


class DeviceWindow:
    """What ``builtin.Window`` does with frames of one shot, where they are."""

    def __init__(self, radius: int, strength: float):
        self.radius, self.strength = radius, strength
        self.seen: deque[Seen] = deque()
        self.waiting = 0  # how many of the newest are not fused yet
        self.coding = Coding()
        self._noise: Tensor | float = 0.0
        self._count = 0
        self._lumas, self._blocks = Resizer(), Resizer()

    def fused(self, frames: Iterable[Tensor]) -> Iterator[list[Tensor]]:
        """Yield the frames, fused, by the chunks ``[T, H, W, C]`` that complete them."""
        begun: deque[tuple[SmallLumas, Tensor, Download]] = deque()
        for chunk, repeats in marked(self._begun(frames, begun)):
            lumas, textures, arriving = begun.popleft()
            facts = arriving.wait().numpy()
            done = []
            for index, frame in enumerate(chunk):
                last = self.seen[-1] if self.seen else None
                if last is not None and (repeats[index]() if repeats else torch.equal(frame, last.frame)):
                    self.seen.append(last)
                else:
                    self.seen.append(
                        Seen(
                            frame, cleaned(frame), lumas[index], textures[index], float(facts[index, 0]),
                            float(facts[index, 1]), last.content + 1 if last else 0,
                        )
                    )  # fmt: skip
                self.waiting += 1
                if self.waiting > self.radius:
                    done.append(self._next())
            yield done
        yield [self._next() for _ in range(self.waiting)]

    def _begun(
        self, frames: Iterable[Tensor], begun: deque[tuple[SmallLumas, Tensor, Download]]
    ) -> Iterator[Tensor]:
        for chunk in frames:
            lumas = SmallLumas(small_lumas(chunk, searched_size(*chunk.shape[1:3]), self._lumas))
            textures = torch.stack([self._texture(cleaned(frame)) for frame in chunk])
            steps = torch.stack([block_step(luma) for luma in luma_levels(chunk)])
            begun.append((lumas, textures, Download(torch.stack([textures, steps], 1))))
            yield chunk

    def _next(self) -> Tensor:
        """Return the oldest waiting frame, fused, and drop frames out of reach."""
        centre, others = around(self.seen, len(self.seen) - self.waiting, self.radius)
        self.waiting -= 1
        while len(self.seen) - self.waiting > self.radius:
            self.seen.popleft()
        return self._fuse(centre, others)

    def _fuse(self, centre: Seen, others: list[Seen]) -> Tensor:
        """Return the frame blended with its neighbours, nearest first, where they agree with it."""
        coded, noisy = self.coding.add(centre.step), centre.noise > FLOOR
        if not others or not self.strength or not (noisy or coded):
            self._learn(0.0)
            return centre.frame
        total, weights = centre.image, torch.ones_like(centre.image[..., :1])
        variance: Tensor | None = None
        for other in others:
            warped = align(other, centre)
            apart = mean_square(warped - centre.image)
            if variance is None:
                difference = self._quietest(apart, centre.image) / (2 * 0.92**2)
                found = self._learn(torch.minimum(centre.texture, difference) if noisy else 0.0)
                variance = torch.as_tensor(found, device=apart.device).clamp(min=coded)
            excess = distrust(apart / variance.clamp(min=1e-12))[..., None]
            weight = self.strength / (1 + excess * excess)
            weights = weights + weight
            total = total + weight * warped
        assert variance is not None
        reach = LIMIT * variance.sqrt()
        change = torch.clamp(total / weights - centre.image, -reach, reach)
        # of no noise, nothing is known
        return torch.where(variance > 0, centre.image + change, centre.frame).to(centre.frame.dtype)

    def _learn(self, sample: Tensor | float) -> Tensor | float:
        """Return the mean variance of past frames, less that of clean film; 0 if it is small."""
        self._count = min(self._count + 1, MEMORY)
        new = (sample - FLOOR).clamp(min=0) if isinstance(sample, Tensor) else 0.0
        self._noise = self._noise + (new - self._noise) / self._count
        if not isinstance(self._noise, Tensor):
            return self._noise
        return self._noise.masked_fill(self._noise <= FLOOR / 4, 0.0)

    def _texture(self, image: Tensor) -> Tensor:
        """Return the noise variance by second differences, see ``builtin.texture_noise``."""
        if min(image.shape[:2]) < 3:
            return image.new_zeros(())
        colors = image[..., :3]
        across = colors[:, 2:] - 2 * colors[:, 1:-1] + colors[:, :-2]
        return (
            self._quietest(mean_square(across[2:] - 2 * across[1:-1] + across[:-2]), image[1:-1, 1:-1]) / 36
        )

    def _quietest(self, variance: Tensor, image: Tensor) -> Tensor:
        """Return the variance in the quietest tenth of the blocks, see ``builtin.quietest``."""
        height, width = variance.shape
        both = torch.stack([variance, image[..., :3].mean(-1)])[..., None]
        grid = max(1, height // BLOCK), max(1, width // BLOCK)
        blocks, light = self._blocks(both, *grid, method="area", clamp=False)[..., 0]
        usable = blocks.masked_fill((light <= 4 / 255) | (light >= 251 / 255), torch.nan)
        return usable.flatten().nanquantile(0.1).nan_to_num(0.0) / 0.95**2


def cleaned(frame: Tensor) -> Tensor:
    """Return a frame in float32; averages would spread one NaN over neighbours and frames."""
    return frame.float().nan_to_num(0, posinf=1, neginf=0)


def searched_size(height: int, width: int) -> tuple[int, int]:
    """Return height and width of the lumas in which motion is found."""
    scale = min(1.0, math.sqrt(FLOW_PIXELS / (height * width)))
    size = max(1, round(height * scale)), max(1, round(width * scale))
    return (height, width) if min(size) < SMALLEST else size


def align(other: Seen, centre: Seen) -> Tensor:
    """Return the other frame, float32, warped to the centre's time."""
    (height, width), (rows, columns) = centre.image.shape[:2], centre.luma.shape
    if min(rows, columns) < SMALLEST:
        return other.image
    motion = search(centre.luma, other.luma, PRESETS["fast"])
    grid = cv2.resize(motion, (-(-columns // GRID), -(-rows // GRID)), interpolation=cv2.INTER_AREA)
    there = send_flow(grid, centre.image.device)
    return sample(other.image, spread(there, height, width, (width / columns, height / rows)))


def mean_square(difference: Tensor) -> Tensor:
    """Return the mean of squares over the colour channels, ``[H, W]``."""
    return difference[..., :3].square().mean(-1)


def distrust(apart: Tensor) -> Tensor:
    """Return by how many variances the difference exceeds that of pure noise, see ``builtin.distrust``."""
    mode = "reflect" if min(apart.shape) > PATCH // 2 else "replicate"
    near = F.avg_pool2d(F.pad(apart[None, None], (PATCH // 2,) * 4, mode), PATCH, 1)[0, 0]
    return torch.maximum(near - 2, apart - 6).clamp_(min=0)


def block_step(luma: Tensor) -> Tensor:
    """Return by how many levels steps across the grid exceed those inside blocks, see ``block_edges``."""
    size = block_edges.BLOCK
    if min(luma.shape) < 2 * size:
        return torch.zeros((), device=luma.device)
    heights = torch.zeros(size, device=luma.device)
    for turned in (luma, luma.T):
        slopes = turned.float().diff(dim=0)
        steps = (slopes[1:-1] - (slopes[:-2] + slopes[2:]) / 2).abs().clamp(max=block_edges.MOST).mean(1)
        rows = F.pad(steps, (0, -len(steps) % size), value=torch.nan).view(-1, size).nanmean(0)
        heights = heights + rows.roll(2) / 2  # the first step leads to row 2
    return heights[0] - heights[2 : size - 1].mean()
