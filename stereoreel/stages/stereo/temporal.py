"""Fill holes with background that other frames of the shot reveal.

A hole shows a background point that a nearer object hides. The camera's motion, fitted to the optical flow as
a function of position and depth, gives that point's position in neighbouring frames. If one of them shows the
right depth there, and the background next to the hole looks the same in both, its colour is used. The nearest
frame in time wins; a hole that no frame reveals stays unchanged.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...image.flow import flow, grayscale

REACH = 12  # frames sampled, either way
LOOKS = (1, 2, 3, 4, 6, 8, 10, 12)  # distances; revealed background stays visible for a while
DEPTH = 0.04  # by which a point's depth may differ from frame to frame
COLOR = 0.06  # largest mean difference of the background next to a hole
# of the frames whose flow is estimated; pixels from sample to sample; of reweighting
SIDE, GRID, ROUNDS = 640, 6, 8


Gap = tuple[Tensor, Tensor, Tensor]
"""Of one view, ``[N]`` each: flat indices of its holes, and of the adjacent background in the frame, and
the frame columns of the holes' own, hidden points."""


@dataclass
class Moment:
    """A frame ``[H, W, C]`` with depth ``[h, w]``, parallax ``[H, W]`` and the camera's motion."""

    image: Tensor
    depth: Tensor
    parallax: Tensor
    motion: Tensor | None = None
    luma: np.ndarray | None = None


class TemporalFill:
    """A queue of one shot's frames: each is rendered after ``REACH`` more have arrived, or at the end.

    ``pair`` returns the clip ``[2, 1, H, W, C]``, holes, and the rendered views with their gaps, for a frame
    and its parallax ``[1, H, W, ...]``.
    """

    def __init__(self, pair: Callable[[Tensor, Tensor], tuple[Tensor, Tensor, list[tuple[Tensor, Gap]]]]):
        self.pair = pair
        self.line: deque[Moment] = deque()
        self.done = 0  # finished frames at the start of the queue

    def take(self, moment: Moment) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        moment.luma = grayscale(moment.image[None])[0]
        if self.line:
            before = self.line[-1]
            if before.luma is not None:
                moment.motion = camera(before.luma, moment.luma, before.depth).to(moment.image.device)
            before.luma = None
        self.line.append(moment)
        if len(self.line) - self.done > REACH:
            yield self.finish()

    def flush(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        while self.done < len(self.line):
            yield self.finish()

    def finish(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return both views ``[2, 1, H, W, C]``, holes and parallax of the oldest frame that is not done."""
        moment = self.line[self.done]
        parallax = moment.parallax[None]
        clip, holes, gaps = self.pair(moment.image[None], parallax)
        for picture, gap in gaps:
            if gap[0].numel():
                fill(picture.view(-1, picture.shape[-1]), gap, self.line, self.done)
        # from now on only its colours are used
        moment.parallax, moment.image = moment.parallax.new_empty(0), moment.image.half()
        self.done += 1
        if self.done > REACH:
            self.line.popleft()
            self.done -= 1
        return clip, holes, parallax


def fill(picture: Tensor, gap: Gap, line: deque[Moment], at: int) -> None:
    """Fill the holes of one view's ``picture`` ``[H * W, C]`` from the frames around ``line[at]``."""
    here, (target, source, column) = line[at], gap
    width = here.image.shape[1]
    row = torch.div(target, width, rounding_mode="floor").float()
    adjacent = torch.stack([(source % width).float(), row], -1)
    depth, color = (
        sample_depth(here.depth, adjacent, here.image.shape),
        here.image.reshape(-1, here.image.shape[-1])[source].float(),
    )
    # [2, N, 2]: the hole's point and the background next to it
    points = torch.stack([torch.stack([column, row], -1), adjacent])
    ways = {1: points, -1: points}
    for far in range(1, REACH + 1):
        for way in ways:
            place = at + way * far
            if not 0 <= place < len(line):
                continue
            motion = line[place if way > 0 else place + 1].motion
            assert motion is not None  # only the shot's first frame has none
            ways[way] = (
                one_frame_later(ways[way], depth, motion)
                if way > 0
                else one_frame_earlier(ways[way], depth, motion)
            )
            if far in LOOKS and target.numel():
                found, colors = look(line[place], ways[way], depth, color)
                picture[target[found]] = colors.to(picture.dtype)
                target, depth, color = (part[~found] for part in (target, depth, color))
                ways = {other: points[:, ~found] for other, points in ways.items()}


def look(moment: Moment, points: Tensor, depth: Tensor, color: Tensor) -> tuple[Tensor, Tensor]:
    """Return which points ``[2, N, 2]`` a frame shows, ``[N]``, and the colours of those, ``[n, C]``."""
    shape = moment.image.shape
    found = ((points >= 0) & (points <= points.new_tensor([shape[1] - 1, shape[0] - 1]))).all(-1).all(0)
    # the sample must not touch another depth
    for offset in ((0.0, 0.0), (-1.0, 0.0), (1.0, 0.0), (0.0, -1.0), (0.0, 1.0)):
        found = found & (
            (sample_depth(moment.depth, points[0] + points.new_tensor(offset), shape) - depth).abs() < DEPTH
        )
    index = found.nonzero()[:, 0]
    other = (sample(moment.image, points[1, index]) - color[index]).abs().mean(-1) >= COLOR
    found = found.index_fill(0, index[other], False)
    return found, sample(moment.image, points[0, found])


def sample(image: Tensor, points: Tensor) -> Tensor:
    """Sample ``image`` ``[H, W, C]`` at points ``[N, 2]`` (x, y) inside it, bilinear: float32 ``[N, C]``."""
    height, width, channels = image.shape
    low = points.floor().clamp(min=0)
    part, low = points - low, low.long()
    high = torch.minimum(low + 1, low.new_tensor([width - 1, height - 1]))
    flat = image.reshape(-1, channels)
    rows = [
        flat[y * width + low[:, 0]].float().lerp(flat[y * width + high[:, 0]].float(), part[:, :1])
        for y in (low[:, 1], high[:, 1])
    ]
    return rows[0].lerp(rows[1], part[:, 1:])


def sample_depth(depth: Tensor, points: Tensor, shape: Sequence[int]) -> Tensor:
    """Return the nearest values ``[N]`` of a depth map ``[h, w]`` at points ``[N, 2]`` of a frame."""
    scale = points.new_tensor([depth.shape[1] / shape[1], depth.shape[0] / shape[0]])
    limits = points.new_tensor([depth.shape[1] - 1, depth.shape[0] - 1])
    index = ((points + 0.5) * scale).floor().nan_to_num(0).clamp(min=0).minimum(limits).long()
    return depth[index[:, 1], index[:, 0]].float()


def camera(first: np.ndarray, second: np.ndarray, depth: Tensor) -> Tensor:
    """Fit the camera motion between two lumas ``[H, W]``: ``[6, 2]`` for ``terms``, robustly."""
    height, width = first.shape
    found = flow(first, second, "medium", min(1.0, SIDE / max(height, width)))
    step = max(1, round(GRID * max(height, width) / SIDE))
    y, x = np.mgrid[step // 2 : height : step, step // 2 : width : step].astype(np.float32)
    points = torch.from_numpy(np.stack([x.ravel(), y.ravel()], -1))
    near = sample_depth(depth.cpu(), points, first.shape)
    known, wanted = (
        terms(points, near).double().numpy(),
        found[y.astype(int), x.astype(int)].reshape(-1, 2).astype(np.float64),
    )
    size = np.abs(known).max(0).clip(1e-9)
    known, weight = known / size, np.ones(len(known))
    for _ in range(ROUNDS):
        normal = (known * weight[:, None]).T @ known + 1e-6 * len(known) * np.eye(6)
        answer = np.linalg.solve(normal, (known * weight[:, None]).T @ wanted)
        off = np.linalg.norm(known @ answer - wanted, axis=1)
        scale = max(0.05, 1.5 * float(np.median(off)))
        weight = 1 / (1 + (off / scale) ** 2) ** 2
    return torch.from_numpy((answer / size[:, None]).astype(np.float32))


def terms(points: Tensor, depth: Tensor) -> Tensor:
    """Return the linear terms ``[..., 6]`` of a point's motion.

    Turning and zooming move all depths alike, travelling moves near ones more.
    """
    flat = torch.stack([torch.ones_like(points[..., 0]), points[..., 0], points[..., 1]], -1)
    return torch.cat([flat, flat * depth[..., None]], -1)


def one_frame_later(points: Tensor, depth: Tensor, motion: Tensor) -> Tensor:
    """Return the positions of points ``[2, N, 2]`` one frame later."""
    return points + terms(points, depth.expand(points.shape[:-1])) @ motion


def one_frame_earlier(points: Tensor, depth: Tensor, motion: Tensor) -> Tensor:
    """Return the positions of points one frame earlier: the inverse of ``one_frame_later``."""
    before = points
    for _ in range(3):
        before = points - terms(before, depth.expand(points.shape[:-1])) @ motion
    return before
