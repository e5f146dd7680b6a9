"""Reference for all orders over some source frames: the source's motion, edges and still areas."""

from __future__ import annotations

from contextlib import closing
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from ...core.clip import Clip
from ...core.host import Host
from ...core.pull import pull
from ...image.flow import flow, grayscale, warp
from ...image.resize import resize
from ..metrics import consistent, still
from .measures import edge_distance

MOTION_SIDE = 960  # longer side in pixels for motion estimation
STEPS = 25  # stored steps per pixel of distance
Position = tuple[int, Fraction]  # a source frame, and the fraction of the way to the next one


class Reference:
    """Some frames of the source in one shot, at the output size ``height`` x ``width``.

    ``shown`` are the requested frames, by number, ``[height, width, 3]`` uint8.
    """

    def __init__(self, clip: Clip, height: int, width: int, host: Host, show: tuple[int, ...] = ()):
        self.info, self.height, self.width = clip.info, height, width
        self.shown: dict[int, Tensor] = {}
        self._distances: list[np.ndarray] = []
        self._flows: list[np.ndarray] = []
        self._seen: list[np.ndarray] = []
        extremes: list[Tensor] = []  # of every pixel over time
        before = None
        with closing(pull(clip, host)) as chunks:
            for (chunk,) in chunks:
                for frame in chunk[..., :3].float().cpu():
                    low, high = extremes or (frame, frame)
                    extremes = [torch.minimum(low, frame), torch.maximum(high, frame)]
                    self._see(frame, show)
                    before = self._follow(before, frame)
        self.still = still(torch.stack(extremes), height, width)

    def _see(self, frame: Tensor, show: tuple[int, ...]) -> None:
        large = resize(frame[None], self.height, self.width)
        if len(self._distances) in show:
            self.shown[len(self._distances)] = as_bytes(large[0])
        self._distances.append(
            (edge_distance(torch.from_numpy(grayscale(large)[0])) * STEPS).round().astype(np.uint8)
        )

    def _follow(self, before: np.ndarray | None, frame: Tensor) -> np.ndarray:
        import cv2

        luma = grayscale(frame[None])[0]
        scale = min(1.0, MOTION_SIDE / max(luma.shape))
        if scale < 1:
            luma = cv2.resize(luma, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        if before is not None:
            way, back = flow(before, luma), flow(luma, before)
            self._flows.append(way)
            self._seen.append(consistent(way, back).astype(np.float32))
        return luma

    def edge_distance(self, frame: int) -> np.ndarray:
        """Return the pixels ``[height, width]`` to the closest edge of a frame."""
        return self._distances[frame].astype(np.float32) / STEPS

    def between(self, first: Position, second: Position) -> tuple[np.ndarray, Tensor] | None:
        """Return the motion ``[height, width, 2]`` from one moment to a later one, and a visibility mask.

        Return None if they are one moment. A point moves in a straight line from each source frame to the
        next. A still source has no motion.
        """
        if first == second or not self._flows:
            return None
        (here, part), (there, end_fraction) = first, second
        rows, columns = np.indices(self._flows[0].shape[:2], dtype=np.float32)
        grid = np.stack([columns, rows], -1)
        place, seen = grid, np.ones(grid.shape[:2], np.float32)
        if part:
            for _ in range(3):  # which point of the source frame has moved to this pixel
                place = grid - float(part) * _at(self._flows[here], place - grid)
            seen = np.minimum(seen, _at(self._seen[here], place - grid))
        for frame in range(here, there):
            seen = np.minimum(seen, _at(self._seen[frame], place - grid))
            place = place + _at(self._flows[frame], place - grid)
        if end_fraction:
            seen = np.minimum(seen, _at(self._seen[there], place - grid))
            place = place + float(end_fraction) * _at(self._flows[there], place - grid)
        return self._grown(place - grid, seen)

    def _grown(self, motion: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, Tensor]:
        """Return it at output size, and a mask of where it ends within the frame."""
        import cv2

        height, width = motion.shape[:2]
        size = (self.width, self.height)
        motion = cv2.resize(motion, size) * np.array([self.width / width, self.height / height], np.float32)
        motion[self.still.numpy()] = 0
        rows, columns = np.indices(motion.shape[:2], dtype=np.float32)
        across, along = columns + motion[..., 0], rows + motion[..., 1]
        inside = (across >= 0) & (across <= self.width - 1) & (along >= 0) & (along <= self.height - 1)
        return motion, torch.from_numpy((cv2.resize(seen, size) > 0.99) & inside)


def as_bytes(frame: Tensor) -> Tensor:
    """Return values in 0..1 as uint8."""
    return frame.float().clamp(0, 1).mul(255).round().byte().cpu()


def _at(image: np.ndarray, offset: np.ndarray) -> np.ndarray:
    return warp(image, offset.astype(np.float32), cubic=False)
