"""Give an estimator of depth one shot's pictures in steady light: through fades, flashes and black frames.

What a frame shows does not change when it fades, but an estimator finds another depth in a trace of it, and
wrong motion between frames of different light. So the change of light from frame to frame is undone, and
returns slowly. A frame that shows next to nothing, or another light for a moment, gives way to the one
before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...image.host_copy import Download

FAINT, USUAL = 12 / 255, 32 / 255  # contrast of a first frame that is fading in, and what it gets instead
NOTHING = 4 / 255  # contrast of a frame that shows nothing; noise has less
MOST = 4.0  # gain at most: of a fainter frame, eight bits keep too little
PACE = 0.02  # by which the light returns to that of the frames themselves, per frame
SLOWEST = 0.012  # change of light in one frame, of that which fades, at least: a fade of three seconds
FREE = 0.03  # change of gain, and a third of it of level, that is left alone
WAIT = 12  # faint frames in a row that wait for the next picture
FLASH = 3  # frames that one lasts at most
APART, BACK = 0.1, 0.4  # difference of a flash, and what remains of it when it is over
STEP = 8.0  # gain from one picture to the next at most
SIDE = 32  # of the images compared
MIDDLE = 0.5  # depth of a dark beginning


class Seen(NamedTuple):
    """A picture ``[3, h, w]``; its luma at 32x32 as a list; its contrast: the standard deviation of luma."""

    picture: Tensor
    small: np.ndarray
    contrast: float


class SteadyLight:
    """One shot's pictures ``[T, 3, h, w]``, 0..1, for an estimator, and the depth that it finds, by frame.

    First take ``dark``, then give ``pictures`` to the estimator and its depth to ``every``. Pictures in
    ordinary light are unchanged. At most ``WAIT + FLASH`` frames are waiting.
    """

    def __init__(self, pictures: Iterable[Tensor]):
        self._frames = without_flashes(pictures)
        self._first: Seen | None = None
        self._flat = False  # the shot has begun with depth of nothing
        self._shown: deque[bool] = deque()  # whether each frame whose depth is pending was given as a picture

    def dark(self) -> Iterator[float]:
        """Yield depth of every frame that shows nothing at the beginning of the shot, if they are many."""
        seen = None
        for seen in self._frames:
            if seen.contrast * MOST >= USUAL:
                self._first = seen
                return
            if len(self._shown) == WAIT:
                if seen.contrast >= NOTHING:  # the shot is just dark
                    self._first = seen
                    return
                self._flat = True
                yield MIDDLE
            else:
                self._shown.append(False)
        if seen is not None:  # all of it is dark
            self._first = seen
            self._shown.pop()

    def pictures(self) -> Iterator[Tensor]:
        """Yield the pictures to find depth of, one at a time, ``[1, 3, h, w]``."""
        if self._first is None:
            return
        light, last, held = Light.first(self._first), self._first, 0
        yield from self._give(light.undone(last.picture))
        for seen in self._frames:
            new = light.of(last, seen)
            if new.gain > MOST and (held < WAIT or seen.contrast < NOTHING):
                held += 1
                if held <= WAIT:
                    self._shown.append(False)
                else:
                    yield from self._give(light.undone(last.picture))
                continue
            light, last, held = (Light.first(seen) if new.gain > MOST else new), seen, 0
            yield from self._give(light.undone(last.picture))

    def _give(self, picture: Tensor) -> Iterator[Tensor]:
        self._shown.append(True)
        yield picture[None]

    def every(self, depths: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield depth of every frame, from that of the pictures; between two of them it changes evenly."""
        last: Tensor | None = None
        for depth in depths:
            last = torch.full_like(depth, MIDDLE) if self._flat and last is None else last
            missing = 0
            while not self._shown.popleft():
                missing += 1
            for place in range(1, missing + 1):
                yield depth if last is None else torch.lerp(last, depth, place / (missing + 1))
            yield depth
            last = depth
        if last is not None:
            yield from repeat(last, len(self._shown))


class Light(NamedTuple):
    """What brings a picture into the light of those before it: a gain and a level."""

    gain: float
    level: float

    @classmethod
    def first(cls, seen: Seen) -> Light:
        """Return the light of a first picture; if it is faint, it is fading in from black or from white."""
        if seen.contrast >= FAINT:
            return cls(1.0, 0.0)
        gain = min(USUAL / max(seen.contrast, 1e-6), MOST)
        return cls(gain, 1 - gain if seen.small.mean() > 0.5 else 0.0)

    def of(self, last: Seen, seen: Seen) -> Light:
        """Return the light of the picture after ``last``, whose light this is."""
        gain, level = match(seen.small, last.small)
        mean = float(seen.small.mean())
        if abs(gain * mean + level - mean) < SLOWEST * min(mean, 1 - mean):  # only moved
            gain, level = 1.0, 0.0
        level = (1 - PACE) * (self.gain * level + self.level)
        return Light((self.gain * gain) ** (1 - PACE), level)

    def undone(self, picture: Tensor) -> Tensor:
        if abs(self.gain - 1) < FREE and abs(self.level) < FREE / 3:
            return picture
        return (picture * self.gain + self.level).clamp(0, 1)


def match(new: np.ndarray, old: np.ndarray) -> tuple[float, float]:
    """Fit gain and level from ``new`` to ``old``, of which a tenth may show something else.

    The gain is the ratio of the two spreads: motion shrinks the slope of a regression with every frame.
    """
    weight = np.ones_like(new)
    gain, level = 1.0, 0.0
    for _ in range(6):
        means = [np.average(image, weights=weight) for image in (new, old)]
        spread, wanted = (
            np.average((image - mean) ** 2, weights=weight) ** 0.5 for image, mean in zip((new, old), means)
        )
        gain = min(max(wanted / max(spread, 1e-6), 1 / STEP), STEP)
        level = means[1] - gain * means[0]
        error = np.abs(new * gain + level - old)
        weight = 1 / (1 + (error / (2 * np.median(error) + 1e-3)) ** 2)
    return float(gain), float(level)


def without_flashes(pictures: Iterable[Tensor]) -> Iterator[Seen]:
    """Yield the pictures, with the one before a flash in the place of every frame of it."""
    waiting: deque[Seen] = deque()
    before: Seen | None = None
    for seen in measured(pictures):
        waiting.append(seen)
        if len(waiting) > FLASH:
            before = _settled(before, waiting)
            yield before
    while waiting:
        before = _settled(before, waiting)
        yield before


def _settled(before: Seen | None, waiting: deque[Seen]) -> Seen:
    """Take the next picture; return the one before it if it is part of a flash."""
    seen = waiting.popleft()
    if before is None:
        return seen
    apart = _apart(before, seen)
    over = apart > APART and any(_apart(before, later) < BACK * apart for later in waiting)
    return before if over else seen


def _apart(one: Seen, other: Seen) -> float:
    return float(np.abs(one.small - other.small).mean())


def measured(pictures: Iterable[Tensor]) -> Iterator[Seen]:
    """Yield every picture with its facts; a GPU's are read one chunk ahead, so that it never waits."""
    pending: tuple[Tensor, Download] | None = None
    for chunk in pictures:
        following = chunk, Download(_facts(chunk))
        if chunk.device.type != "cuda":
            yield from _seen(*following)
            continue
        if pending is not None:
            yield from _seen(*pending)
        pending = following
    if pending is not None:
        yield from _seen(*pending)


def _facts(pictures: Tensor) -> Tensor:
    """Return the contrast of pictures ``[T, 3, h, w]`` and their luma at 32x32, ``[T, 1 + N]``."""
    lumas = pictures.float().mean(1)
    side = (min(SIDE, lumas.shape[-2]), min(SIDE, lumas.shape[-1]))
    smalls = F.adaptive_avg_pool2d(lumas[:, None], side).flatten(1)
    return torch.cat([lumas.flatten(1).std(1, correction=0)[:, None], smalls], 1)


def _seen(pictures: Tensor, facts: Download) -> Iterator[Seen]:
    for picture, values in zip(pictures, facts.wait().numpy()):
        yield Seen(picture, values[1:].copy(), float(values[0]))
