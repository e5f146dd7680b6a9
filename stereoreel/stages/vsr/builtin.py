"""Motion-compensated fusion of neighbouring frames, then Lanczos: less noise and flicker, no weights.

Neighbours are aligned by optical flow. The less a neighbour's local difference from the frame exceeds the
noise, the larger its weight. A clean film passes unchanged, and occluded areas leave no ghost. Blocks of
compression count as noise; a codec's own filter hides them, and then the film passes as a clean one.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from ...core.clip import ClipInfo, Shot
from ...core.host import Host
from ...image.block_edges import block_step
from ...image.flow import flow, grayscale, warp
from ...image.host_copy import upload
from ...image.resize import Resizer, scaled_size

FLOW_PIXELS = 1280 * 720  # larger frames are reduced to this many pixels to find their motion
PATCH = 5  # side of the square for the mean difference that sets a neighbour's weight
BLOCK = 16  # side of the blocks; the quietest tenth of them gives the noise
FLOOR = (0.7 / 255) ** 2  # variance that rounding, codecs and fine texture have in a clean film
LIMIT = 3  # largest change of a pixel, in standard deviations of the noise
MEMORY = 8  # frames over which the noise is averaged
# In levels: steps across the edges of blocks, and the deviation of errors for which fusion loses nothing.
# Below the first there are no blocks; clean films reach 0.4.
STEPS, CODED = (0.5, 1.9, 2.5, 4.0), (2.0, 2.6, 4.0, 6.0)


def load(entry, options, host: Host) -> FusionStage:
    return FusionStage(options.factor, options.strength, options.radius, host.device)


class FusionStage:
    """Upscale frames ``[T, H, W, C]`` by ``factor``, each with ``radius`` frames before and after it."""

    joint = False

    def __init__(self, factor: float, strength: float, radius: int, device: torch.device):
        self.nets: list[nn.Module] = []
        self.factor, self.strength, self.radius, self.device = factor, strength, radius, device
        self._resize = Resizer()

    def delay(self, frames: ClipInfo) -> int:
        """Return how many frames it buffers."""
        return self.radius

    def __call__(self, shot: Shot, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        for done in self._fused(frames):
            if done:
                yield self.upscale(torch.stack(done))

    def _fused(self, frames: Iterable[Tensor]) -> Iterator[list[Tensor]]:
        """Yield the fused frames that each chunk completes."""
        if self.device.type == "cuda":
            from .on_device import DeviceWindow

            yield from DeviceWindow(self.radius, self.strength).fused(
                upload(chunk, self.device) for chunk in frames
            )
            return
        window = Window(self.radius, self.strength)
        for chunk in frames:
            yield [fused for frame in chunk for fused in window.push(frame)]
        yield list(window.finish())

    def upscale(self, frames: Tensor) -> Tensor:
        width, height = scaled_size(frames.shape[2], frames.shape[1], self.factor)
        return self._resize(frames.to(self.device), height, width)


@dataclass(frozen=True)
class Seen:
    """A frame, also as float32 and uint8 luma on the CPU; frames of equal ``content`` are equal."""

    frame: Tensor
    image: np.ndarray
    luma: np.ndarray
    content: int


class Window:
    """The frames of one shot in use, and the running estimate of its noise."""

    def __init__(self, radius: int, strength: float):
        self.radius, self.strength = radius, strength
        self.seen: deque[Seen] = deque()
        self.waiting = 0  # how many of the newest are not fused yet
        self.noise = Noise()
        self.coding = Coding()

    def push(self, frame: Tensor) -> Iterator[Tensor]:
        """Take the next frame; yield the frame, if any, that now has all its neighbours."""
        last = self.seen[-1] if self.seen else None
        if last is not None and torch.equal(frame, last.frame):
            self.seen.append(last)
        else:
            self.seen.append(
                Seen(
                    frame,
                    # averages would spread one NaN over neighbours and frames
                    frame.cpu().float().nan_to_num(0, posinf=1, neginf=0).numpy(),
                    grayscale(frame[None])[0],
                    last.content + 1 if last else 0,
                )
            )
        self.waiting += 1
        if self.waiting > self.radius:
            yield self.next()

    def finish(self) -> Iterator[Tensor]:
        while self.waiting:
            yield self.next()

    def next(self) -> Tensor:
        """Return the oldest waiting frame, fused, and drop frames out of reach."""
        centre, others = around(self.seen, len(self.seen) - self.waiting, self.radius)
        self.waiting -= 1
        while len(self.seen) - self.waiting > self.radius:
            self.seen.popleft()
        return self.fuse(centre, others)

    def fuse(self, centre: Seen, others: list[Seen]) -> Tensor:
        """Return the frame blended with its neighbours, nearest first, where they agree with it."""
        spatial, coded = texture_noise(centre.image), self.coding.add(block_step(centre.luma))
        noisy = spatial > FLOOR
        if not others or not self.strength or not (noisy or coded):
            self.noise.add(0.0)
            return centre.frame
        total, weights, variance = centre.image.copy(), np.ones(centre.image.shape[:2], np.float32), 0.0
        for other in others:
            warped = align(other, centre)
            apart = mean_square(warped - centre.image)
            if not variance:
                sample = min(spatial, difference_noise(apart, centre.image)) if noisy else 0.0
                variance = max(self.noise.add(sample), coded)
                if not variance:
                    return centre.frame
            excess = distrust(apart / variance)
            weight = self.strength / (1 + excess * excess)
            weights += weight
            total += weight[..., None] * warped
        change = total / weights[..., None] - centre.image
        reach = LIMIT * math.sqrt(variance)
        fused = centre.image + np.clip(change, -reach, reach, out=change)
        return torch.from_numpy(fused).to(centre.frame)


class Content(Protocol):
    """A frame whose ``content`` is a number that only frames equal to it have."""

    @property
    def content(self) -> int: ...


S = TypeVar("S", bound=Content)


def around(seen: Sequence[S], at: int, radius: int) -> tuple[S, list[S]]:
    """Return the frame at a place and its neighbours, nearest first; a repeated one adds no information."""
    near = sorted(range(max(0, at - radius), min(len(seen), at + radius + 1)), key=lambda i: abs(i - at))
    others = {seen[i].content: seen[i] for i in reversed(near)}
    others.pop(seen[at].content)
    return seen[at], list(reversed(others.values()))


class Noise:
    """Noise variance of a shot: a running mean of past frames only, minus that of clean film."""

    def __init__(self):
        self.count, self.mean = 0, 0.0

    def add(self, sample: float) -> float:
        self.count = min(self.count + 1, MEMORY)
        self.mean += (max(0.0, sample - FLOOR) - self.mean) / self.count
        return self.mean if self.mean > FLOOR / 4 else 0.0


class Coding:
    """Variance of the coding errors of a shot: by the running mean of the steps between blocks."""

    def __init__(self):
        self.count, self.step = 0, 0.0

    def add(self, step: float) -> float:
        """Take the height of the next frame's steps, in levels; return the variance, 0 if no blocks show."""
        self.count = min(self.count + 1, MEMORY)
        self.step += (step - self.step) / self.count
        return float(np.interp(self.step, STEPS, CODED) / 255) ** 2 if self.step >= STEPS[0] else 0.0


def align(other: Seen, centre: Seen) -> np.ndarray:
    """Return the other frame, warped to the centre's time."""
    height, width = centre.luma.shape
    motion = flow(centre.luma, other.luma, "fast", min(1.0, math.sqrt(FLOW_PIXELS / (height * width))))
    return warp(other.image, motion).reshape(other.image.shape)


def distrust(apart: np.ndarray) -> np.ndarray:
    """Return by how many variances the difference exceeds that of pure noise, twice the variance on average.

    A patch reveals small excess. A single pixel counts only above a higher threshold, which detects thin bars
    at any position.
    """
    return np.maximum(np.maximum(cv2.blur(apart, (PATCH, PATCH)) - 2, apart - 6), 0)


def mean_square(difference: np.ndarray) -> np.ndarray:
    """Return the mean of squares over the colour channels, ``[H, W]``."""
    color = difference[..., :3]
    return np.einsum("hwc,hwc->hw", color, color) / color.shape[-1]


def texture_noise(image: np.ndarray) -> float:
    """Estimate noise variance by second differences along both axes, small in flat and smoothly shaded areas.

    After Immerkaer (1996).
    """
    if min(image.shape[:2]) < 3:
        return 0.0
    second = np.array([1, -2, 1], np.float32)
    crossed = cv2.sepFilter2D(np.ascontiguousarray(image[..., :3]), -1, second, second).reshape(
        *image.shape[:2], -1
    )
    return quietest(mean_square(crossed)[1:-1, 1:-1], image[1:-1, 1:-1]) / 36


def difference_noise(apart: np.ndarray, image: np.ndarray) -> float:
    """Estimate noise variance by the difference from an aligned neighbour, small in well-tracked areas."""
    return quietest(apart, image) / (2 * 0.92**2)  # interpolation removes some of the neighbour's noise


def quietest(variance: np.ndarray, image: np.ndarray) -> float:
    """Return the variance in the quietest tenth of the blocks, corrected to the mean.

    Black and white bars, which clip noise, are excluded.
    """
    height, width = variance.shape
    grid = (max(1, width // BLOCK), max(1, height // BLOCK))
    blocks = cv2.resize(variance, grid, interpolation=cv2.INTER_AREA)
    light = (
        cv2.resize(np.ascontiguousarray(image[..., :3]), grid, interpolation=cv2.INTER_AREA)
        .reshape(*blocks.shape, -1)
        .mean(-1)
    )
    usable = blocks[(light > 4 / 255) & (light < 251 / 255)]
    return float(np.quantile(usable, 0.1)) / 0.95**2 if usable.size else 0.0
