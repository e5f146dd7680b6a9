"""Find the two source frames of an output frame, and its method: hold, blend or interpolate.

Handles repeated frames, schedules and loops. The number of frames and their times never change.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.clip import Shot
from ...core.timeline import gaps

LONGEST = 4  # most equal frames in a row that count as repetition; more are a hold and stay one
# mean difference up to which frames count as repeated: everywhere, and in the worst block
ALIKE, ALIKE_BLOCK = 0.003, 0.01
BLOCK = 16
HOLD, BLEND = 1, 0  # a schedule's steps between two frames; 0 stands for blending


class Moment:
    """One source frame: ``chunks`` of one frame, ``clip`` and maybe ``depth``; ``kept`` caches model data."""

    def __init__(self, number: int, clip: Tensor, depth: Tensor | None = None):
        self.number = number  # in the clip
        self.chunks = {"clip": clip} if depth is None else {"clip": clip, "depth": depth}
        self.kept: dict = {}
        self.stretch: Stretch | None = None
        self.last = False  # of the available frames, if more can follow
        self.repeats: Callable[[], bool] | None = None  # the frame before it, if that is known


class Stretch(NamedTuple):
    """The position of a repeated frame in smooth motion: ``offset`` of ``length`` frames after ``first``."""

    first: Moment
    next: Moment
    offset: int
    length: int


class OutputFrame(NamedTuple):
    """An output frame: at ``t`` of the way from ``left`` to ``right``; a copy of ``left`` if t is 0."""

    left: Moment
    right: Moment
    t: Fraction
    blend: bool = False
    last: bool = False  # of those that the available frames allow


def output_frames(
    shot: Shot, moments: Iterable[Moment], fps: Fraction, schedule: Schedule, smooth: bool, loop: bool
) -> Iterator[OutputFrame]:
    """Yield all output frames of a shot, in order; with ``loop`` the last source frame leads to the first."""
    if loop:
        info = shot.info
        whole = info.times and (*info.times, info.times[0] + info.duration)
        shot, moments = Shot(shot.start, info.replace(frames=info.frames + 1, times=whole)), looped(moments)
    for left, right, times in gaps(shot, stretched(moments) if smooth else moments, fps):
        # gaps yields the moments it receives
        assert isinstance(left, Moment) and (right is None or isinstance(right, Moment))
        for number, t in enumerate(times, 1):
            last = right is not None and right.last and number == len(times)
            yield _placed(left, right, t, schedule.steps(left.number))._replace(last=last)


def _placed(left: Moment, right: Moment | None, t: Fraction, steps: int | None) -> OutputFrame:
    if right is None or not (stretch := left.stretch):
        right = right or left
    else:
        left, right, t = stretch.first, stretch.next, (stretch.offset + t) / stretch.length
    if steps:
        t = Fraction(int(t * steps), steps)
    if t and equal(left, right):
        t = Fraction(0)
    return OutputFrame(left, right, t, blend=steps == BLEND)


def equal(left: Moment, right: Moment) -> bool:
    """Return whether two frames are identical."""
    if right.repeats is not None and right.number == left.number + 1:
        return right.repeats()
    return left is right or torch.equal(left.chunks["clip"], right.chunks["clip"])


def looped(moments: Iterable[Moment]) -> Iterator[Moment]:
    """Yield all moments, and the first one again."""
    first = None
    for moment in moments:
        first = first or moment
        yield moment
    if first is not None:
        yield first


def stretched(moments: Iterable[Moment]) -> Iterator[Moment]:
    """Yield the moments, each repeated one with its ``stretch``; looks at most ``LONGEST`` ahead."""
    run: list[Moment] = []  # the frames that repeat the first of them
    static: Moment | None = None  # repeated for so long that it is a hold
    for moment in moments:
        if static is not None and repeats(moment, static):
            yield moment
            continue
        static = None
        if run and repeats(moment, run[0]):
            run.append(moment)
            if len(run) > LONGEST:
                static = run[0]
                yield from run
                run = []
            continue
        for offset, repeated in enumerate(run):
            repeated.stretch = Stretch(run[0], moment, offset, len(run)) if len(run) > 1 else None
        yield from run
        run = [moment]
    yield from run


def repeats(moment: Moment, other: Moment) -> bool:
    """Return whether two frames are equal except for coding noise."""
    first, second = (one.chunks["clip"].flatten(0, -4)[..., :3] for one in (moment, other))
    apart = (first - second).abs().mean(-1)
    if apart.mean() > ALIKE:
        return False
    blocks = F.avg_pool2d(apart, tuple(min(BLOCK, side) for side in apart.shape[-2:]))
    return bool(blocks.max() <= ALIKE_BLOCK)


class Schedule:
    """Exceptions for pairs of frames, such as ``12: hold; 40-55: 2; 60-70: blend``.

    The numbers are those of the pair's first frame, from 0. A count is the number of steps to the next frame;
    ``hold`` is one step, ``blend`` mixes the frames instead of warping them.
    """

    def __init__(self, written: str):
        self.spans: list[tuple[int, int, int]] = []
        for part in filter(None, (part.strip() for part in re.split(r"[;\n]", written))):
            found = re.fullmatch(r"(\d{1,9})(?:\s*-\s*(\d{1,9}))?\s*:\s*(hold|blend|[1-9]\d{0,3})", part)
            if not found or int(found[2] or found[1]) < int(found[1]):
                raise ValueError(
                    f"A schedule is written like `12: hold; 40-55: 2; 60-70: blend`; {part!r} is not."
                )
            steps = {"hold": HOLD, "blend": BLEND}.get(found[3])
            self.spans.append(
                (int(found[1]), int(found[2] or found[1]), int(found[3]) if steps is None else steps)
            )

    def steps(self, pair: int) -> int | None:
        """Return the number of steps of a pair, 0 for blending, None if unspecified. The last entry wins."""
        return next((steps for first, last, steps in reversed(self.spans) if first <= pair <= last), None)
