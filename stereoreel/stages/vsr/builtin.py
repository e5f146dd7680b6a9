"""Motion-compensated fusion of neighbouring frames, then Lanczos: less noise and flicker, no weights.

Neighbours are aligned by optical flow. Each counts by how little its local difference from the frame exceeds
the noise; so a clean film passes unchanged, and what has moved out of sight leaves no ghost.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from ...core.clip import ClipInfo, Shot
from ...core.host import Host
from ...image.flow import flow, grayscale, warp
from ...image.resize import resize, scaled_size

FLOW_PIXELS = 1280 * 720  # larger frames are reduced to this many pixels to find their motion
PATCH = 5  # side of the square whose mean difference decides how far a neighbour is trusted
BLOCK = 16  # side of the squares among which the quietest tenth tell the noise
FLOOR = (0.7 / 255) ** 2  # variance that rounding, codecs and fine texture have in a clean film
LIMIT = 3  # standard deviations of noise by which a pixel may change at most
MEMORY = 8  # frames over which the noise is averaged


def load(entry, options, host: Host) -> FusionStage:
    return FusionStage(options.factor, options.strength, options.radius, host.device)


class FusionStage:
    """Frames ``[T, H, W, C]`` at ``factor`` times the size, each helped by ``radius`` frames before and after it."""

    joint = False

    def __init__(self, factor: float, strength: float, radius: int, device: torch.device):
        self.nets: list = []
        self.factor, self.strength, self.radius, self.device = factor, strength, radius, device

    def delay(self, frames: ClipInfo) -> int:
        """Frames that it holds back."""
        return self.radius

    def __call__(self, shot: Shot, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        window = Window(self.radius, self.strength)
        for chunk in frames:
            done = [fused for frame in chunk for fused in window.push(frame)]
            if done:
                yield self.enlarge(torch.stack(done))
        if done := list(window.finish()):
            yield self.enlarge(torch.stack(done))

    def enlarge(self, frames: Tensor) -> Tensor:
        width, height = scaled_size(frames.shape[2], frames.shape[1], self.factor)
        return resize(frames.to(self.device), height, width)


@dataclass(frozen=True)
class Seen:
    """A frame, also as float32 and uint8 luma on the CPU; frames of equal ``content`` are equal."""

    frame: Tensor
    image: np.ndarray
    luma: np.ndarray
    content: int


class Window:
    """The frames of one shot that are still needed, and what is known of its noise so far."""

    def __init__(self, radius: int, strength: float):
        self.radius, self.strength = radius, strength
        self.seen: deque[Seen] = deque()
        self.waiting = 0  # how many of the newest are not fused yet
        self.noise = Noise()

    def push(self, frame: Tensor) -> Iterator[Tensor]:
        """Take the next frame; gives those whose neighbours have all arrived."""
        last = self.seen[-1] if self.seen else None
        if last is not None and torch.equal(frame, last.frame):
            self.seen.append(last)
        else:
            self.seen.append(
                Seen(
                    frame,
                    frame.float().cpu().numpy(),
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
        """The oldest waiting frame, fused; then what lies too far back is let go."""
        at = len(self.seen) - self.waiting
        centre = self.seen[at]
        near = sorted(
            range(max(0, at - self.radius), min(len(self.seen), at + self.radius + 1)),
            key=lambda i: abs(i - at),
        )
        # a repeated frame says nothing new
        others = {self.seen[i].content: self.seen[i] for i in reversed(near)}
        others.pop(centre.content)
        self.waiting -= 1
        while len(self.seen) - self.waiting > self.radius:
            self.seen.popleft()
        return self.fuse(centre, list(reversed(others.values())))

    def fuse(self, centre: Seen, others: list[Seen]) -> Tensor:
        """The frame with its neighbours, nearest first, mixed in where they agree with it."""
        spatial = texture_noise(centre.image)
        if not others or not self.strength or spatial <= FLOOR:
            self.noise.add(0.0)
            return centre.frame
        total, weights, variance = centre.image.copy(), np.ones(centre.image.shape[:2], np.float32), None
        for other in others:
            moved = align(other, centre)
            apart = mean_square(moved - centre.image)
            if variance is None:
                variance = self.noise.add(min(spatial, difference_noise(apart, centre.image)))
                if not variance:
                    return centre.frame
            excess = distrust(apart / variance)
            weight = self.strength / (1 + excess * excess)
            weights += weight
            total += weight[..., None] * moved
        change = total / weights[..., None] - centre.image
        reach = LIMIT * math.sqrt(variance)
        fused = centre.image + np.clip(change, -reach, reach, out=change)
        return torch.from_numpy(fused).to(centre.frame)


class Noise:
    """The variance of a shot's noise: a running mean, less what clean film has; known from the past only."""

    def __init__(self):
        self.count, self.mean = 0, 0.0

    def add(self, sample: float) -> float:
        self.count = min(self.count + 1, MEMORY)
        self.mean += (max(0.0, sample - FLOOR) - self.mean) / self.count
        return self.mean if self.mean > FLOOR / 4 else 0.0


def align(other: Seen, centre: Seen) -> np.ndarray:
    """The other frame as seen at the centre's time."""
    height, width = centre.luma.shape
    motion = flow(centre.luma, other.luma, "fast", min(1.0, math.sqrt(FLOW_PIXELS / (height * width))))
    return warp(other.image, motion).reshape(other.image.shape)


def distrust(apart: np.ndarray) -> np.ndarray:
    """By how many variances the difference exceeds noise, of which pure noise makes twice the variance on average.

    A patch shows small excess; a single pixel may differ more before it counts, but then a thin bar counts
    wherever it is.
    """
    return np.maximum(np.maximum(cv2.blur(apart, (PATCH, PATCH)) - 2, apart - 6), 0)


def mean_square(difference: np.ndarray) -> np.ndarray:
    """Mean of squares over the colour channels, ``[H, W]``."""
    color = difference[..., :3]
    return np.einsum("hwc,hwc->hw", color, color) / color.shape[-1]


def texture_noise(image: np.ndarray) -> float:
    """Noise variance by the second difference across and along, which flat and evenly shaded parts lack (Immerkaer, 1996)."""
    if min(image.shape[:2]) < 3:
        return 0.0
    second = np.array([1, -2, 1], np.float32)
    crossed = cv2.sepFilter2D(np.ascontiguousarray(image[..., :3]), -1, second, second).reshape(
        *image.shape[:2], -1
    )
    return quietest(mean_square(crossed)[1:-1, 1:-1], image[1:-1, 1:-1]) / 36


def difference_noise(apart: np.ndarray, image: np.ndarray) -> float:
    """Noise variance by the difference from an aligned neighbour, which still and well-tracked parts lack."""
    return quietest(apart, image) / (2 * 0.92**2)  # interpolation takes some of the neighbour's noise away


def quietest(variance: np.ndarray, image: np.ndarray) -> float:
    """Variance in the quietest tenth of the blocks, brought up to the mean; black and white bars, which clip noise, do not count."""
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
