"""Preview-quality depth from motion and layout, without a download, to try out a workflow.

If the camera travels, near objects move more than far ones, and depth follows that parallax as far as the
evidence carries. Otherwise depth is a guess: by a small network that learned from rendered scenes, and by
simple rules, such as that what moves on its own is nearer. A large trained model is better on every still or
turning shot.

Motion is measured between key frames at fixed times, resized to a fixed number of pixels. So interpolated and
upscaled frames have the depth of their source.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ...core.clip import Shot
from ...core.host import Host
from ...image import flow, native
from .edges import upsample
from .evidence import GAP, Picture
from .learned import LearnedPrior
from .light import SteadyLight
from .on_device import DeviceFrames, Waiting
from .tracking import AHEAD, ShotDepth, straightened
from .windows import SteadyRange

AREA = 72_000  # pixels of the frames used for motion, whatever the size of the clip's
LARGEST = 4  # times a small frame is enlarged to that at most
KEY_RATE = 12.5  # key frames a second, about
LONGEST = 8  # frames from one key frame to the next, at most
GENTLE = 0.75  # range of depth by layout alone, as a share of the whole
FAR = 0.1  # depth of the far end of a scene, which is seldom infinitely far; the near end is 1
WIDEN = 0.01  # change of that share, at most, from one key frame to the next
STILL = "shot(s) without camera motion: layout prior only"


def load(entry, options, host: Host) -> DepthStage:
    return DepthStage(options, host.device)


def key_step(fps: Fraction | float) -> int:
    """Return the frames from one key frame to the next.

    It is a power of two, so that a clip interpolated to twice its rate has the same key frames.
    """
    return min(LONGEST, 2 ** max(0, round(math.log2(max(float(fps), 1.0) / KEY_RATE))))


class DepthStage:
    """Depth ``[T, H, W, 1]`` of frames ``[T, H, W, C]``, float32 in 0..1, near = 1; same size and rate."""

    joint = False

    def __init__(self, options, device: torch.device, there: DeviceFrames | None = None):
        self.nets: list[nn.Module] = []
        self.options, self.device = options, device
        self._there = there or (DeviceFrames(device, working_size) if device.type != "cpu" else None)
        self._prior = LearnedPrior()
        self.counts: Counter[str] = Counter()

    def __call__(self, shot: Shot, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        tracker = ShotDepth(self.options.smoothing, self.options.near_ground, self._prior)
        waiting: deque[Waiting] = deque()
        light = SteadyLight(self._pictures(frames, waiting))
        for level in light.dark():
            frame = waiting.popleft()
            yield self._finish(torch.full(frame.small.shape, level), frame)
        depths = _depths(light.pictures(), tracker, key_step(shot.info.fps))
        for depth in light.every(map(torch.from_numpy, depths)):
            if len(waiting) == 1 and not tracker.travelled:  # before the last frame, after which a pull ends
                self.counts[STILL] += 1
            yield self._finish(depth, waiting.popleft())

    def _pictures(self, frames: Iterable[Tensor], waiting: deque[Waiting]) -> Iterator[Tensor]:
        """Yield frames at working size, ``[1, 3, h, w]``, and queue their lumas for their depth."""
        if self._there is not None:
            yield from self._there.pictures(frames, waiting)
            return
        for chunk in frames:
            for frame in chunk:
                small, large = reduced(frame[..., :3].cpu().float())
                small = small.nan_to_num(0)  # one NaN would spread over the shot
                waiting.append(Waiting(large, torch.from_numpy(flow.grayscale(small[None])[0])))
                yield small.expand(-1, -1, 3).movedim(-1, 0)[None]

    def _finish(self, depth: Tensor, frame: Waiting) -> Tensor:
        """Return depth ``[1, H, W, 1]`` in 0..1 from that at working size."""
        nearness = self._there.there(depth) if self._there else depth.clamp(0, 1)
        nearness = 1 - nearness if self.options.invert else nearness
        return upsample(nearness, frame.small, frame.large)[None, ..., None]


def _depths(pictures: Iterator[Tensor], tracker: ShotDepth, step: int) -> Iterator[np.ndarray]:
    """Yield depth ``[h, w]``, float32, of pictures ``[1, 3, h, w]``; every ``step``-th is a key frame."""
    keys = KeyFrames(tracker)
    for count, small in enumerate(pictures):
        color = small.movedim(1, -1).cpu().contiguous()
        keys.add(Picture(flow.grayscale(color)[0], color[0].numpy()), count % step == 0)
        yield from keys.known(AHEAD + GAP)
    yield from keys.known(0)
    yield from keys.rest()


class KeyFrame(NamedTuple):
    """The ``place`` of a key frame in its shot, its depth and its float32 luma, ``[h, w]``."""

    place: int
    depth: np.ndarray
    luma: np.ndarray


class KeyFrames:
    """Depth of every frame from that of the key frames around it, whose motion is known."""

    def __init__(self, tracker: ShotDepth):
        self._tracker, self._scale = tracker, SteadyRange(aligned=True)
        self._count = 0
        self._places: deque[int] = deque()  # of key frames whose depth is pending
        self._lumas: deque[np.ndarray] = deque()  # of frames whose depth is pending
        self._before: KeyFrame | None = None
        self._share: float | None = None
        self._latest: list[Picture] = []  # the last key frame, and the frames after it

    def add(self, picture: Picture, key: bool) -> None:
        if key:
            self._places.append(self._count)
            self._tracker.add(picture)
            self._latest = []
        self._latest.append(picture)
        self._lumas.append(picture.luma)
        self._count += 1

    def known(self, ahead: int) -> Iterator[np.ndarray]:
        """Yield depth ``[h, w]`` of the next frames, up to the key frame with ``ahead`` others after it."""
        while len(self._places) > ahead:
            place = self._places.popleft()
            raw = torch.from_numpy(np.ascontiguousarray(self._tracker.next(), np.float32))
            depth = self._gentle(self._scale(raw[None])[0].numpy())
            key = KeyFrame(place, depth, self._lumas[place - self._before.place - 1 if self._before else 0])
            if self._before is not None:
                yield from self._between(self._before, key)
            self._before = key
            self._lumas.popleft()
            yield depth

    def _gentle(self, depth: np.ndarray) -> np.ndarray:
        """Scale depth 0..1 to the range ``FAR``..1, or to a narrower one if it is only a guess.

        So an error is a gentle one, and the far end is not infinitely far, which ratios of depth require.
        """
        share = GENTLE + (1 - GENTLE) * self._tracker.sure
        before = share if self._share is None else self._share
        self._share = before + min(max(share - before, -WIDEN), WIDEN)
        low, high = max(FAR, (1 - self._share) / 2), (1 + self._share) / 2
        return low + (high - low) * depth

    def rest(self) -> Iterator[np.ndarray]:
        """Yield depth of the frames after the last key frame of the shot."""
        if self._before is None:
            return
        for picture in self._latest[1:]:
            motion = flow.flow(picture.luma, self._latest[0].luma)
            yield flow.warp(self._before.depth, motion, cubic=False)

    def _between(self, first: KeyFrame, second: KeyFrame) -> Iterator[np.ndarray]:
        """Yield depth of the frames between two key frames, moved along."""
        forth, back = self._tracker.motion()
        for place in range(first.place + 1, second.place):
            part = (place - first.place) / (second.place - first.place)
            motions = -projected(forth, first.depth, part), projected(back, second.depth, 1 - part)
            depth = between(self._lumas.popleft(), part, first, second, motions)
            yield straightened(depth, depth, np.ones_like(depth)) if self._tracker.sure else depth


def projected(motion: np.ndarray, depth: np.ndarray, part: float) -> np.ndarray:
    """Return the flow ``[h, w, 2]`` at a frame to which ``part`` 0..1 of it leads.

    What is nearer by ``depth`` ``[h, w]``, 0..1, covers the rest. A pixel that none reaches keeps its flow.
    """
    height, width = depth.shape
    levels = (depth * 65535).clip(0, 65535).astype(np.uint16)
    if native.enabled():
        from .compiled import project

        return project(motion, levels, part)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    columns = np.clip(np.rint(x + np.float32(part) * motion[..., 0]), 0, width - 1).astype(np.intp)
    rows = np.clip(np.rint(y + np.float32(part) * motion[..., 1]), 0, height - 1).astype(np.intp)
    order = np.argsort(levels.ravel(), kind="stable")  # of those at one place, the last one stays
    there = motion.copy()
    there.reshape(-1, 2)[(rows * width + columns).ravel()[order]] = motion.reshape(-1, 2)[order]
    return there


def between(
    luma: np.ndarray, part: float, first: KeyFrame, second: KeyFrame, motions: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Return depth ``[h, w]`` of a frame at ``part`` 0..1 of the way from one key frame to another.

    Each of ``motions`` is a guess of the flow from the second to the first. Of the depths that they bring
    from both, those count whose pixels look like those of the frame, ``luma`` ``[h, w]``.
    """
    import cv2

    none: Any = None  # OpenCV's stubs do not declare it
    total: np.ndarray = np.zeros(luma.shape, np.float32)
    weights: np.ndarray = np.zeros_like(total)
    here = luma.astype(np.float32)
    rows, columns = np.indices(luma.shape, np.float32)
    place = np.dstack([columns, rows])
    sides = [np.dstack([key.depth, key.luma]) for key in (first, second)]
    for motion in motions:
        for side, way, share in ((sides[0], part, 1 - part), (sides[1], part - 1, part)):
            found = place + np.float32(way) * motion
            bundle = cv2.remap(side, found, none, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            error = cv2.blur(np.abs(bundle[..., 1] - here), (3, 3))
            unlike = np.square(error + np.float32(1 + 2 * np.median(error[::3, ::3])))
            weight = share / (unlike * unlike)
            total, weights = total + weight * bundle[..., 0], weights + weight
    return total / weights


def working_size(height: int, width: int) -> tuple[int, int]:
    """Return height and width, about ``AREA`` pixels, at which motion of frames of a size is measured."""
    ratio = min(LARGEST, math.sqrt(AREA / (height * width)))
    return max(1, round(height * ratio)), max(1, round(width * ratio))


def reduced(frame: Tensor) -> tuple[Tensor, Tensor]:
    """Return a frame ``[H, W, C]`` on the CPU at working size, and its uint8 luma ``[H, W]``."""
    import cv2

    size = working_size(*frame.shape[:2])
    smaller = frame.shape[0] * frame.shape[1] >= AREA
    if smaller and frame.shape[-1] == 3 and native.enabled():
        from .compiled import reduce

        colors, levels = reduce(frame.contiguous().numpy(), size)
        return torch.from_numpy(colors).clamp(0, 1), torch.from_numpy(levels)
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    resized = cv2.resize(frame.contiguous().numpy(), size[::-1], interpolation=method)
    small = torch.from_numpy(resized.reshape(*size, frame.shape[-1])).clamp(0, 1)
    return small, torch.from_numpy(flow.grayscale(frame[None])[0])
