"""Run a stage on the picture of a shot, and return its output within the bars of the source.

Bars hold nothing to upscale, to move or to estimate, and their edge is none of the scene. Images get the bars
of their source back, enlarged as the picture is, and the same in both views; depth continues its edge, so
that no depth map has a step there.
"""

from __future__ import annotations

import dataclasses
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from ..image.huge_pages import empty
from ..image.resize import resize
from .bars import Bars, Picture, joined, resized, scaled, shot_picture
from .clip import ClipInfo, Recipe, Shot, Source, Step
from .per_eye import TIME, Chunk, ports
from .timeline import position

DOWN, ACROSS, SIZE = -3, -2, slice(-3, -1)  # axes of chunks
Run = Callable[[Shot, Iterator[tuple[Tensor, ...]]], Iterator[Chunk]]


def describe_bars(
    recipe: Recipe, inputs: Sequence[ClipInfo], outputs: Mapping[str, ClipInfo]
) -> dict[str, ClipInfo]:
    """Return the facts of a step's outputs with the bars that they have."""
    return {port: _with_bars(recipe, inputs[0], info) for port, info in outputs.items()}


def _with_bars(recipe: Recipe, first: ClipInfo, info: ClipInfo) -> ClipInfo:
    if not first.bars and not info.bars:
        return info
    old, new = (first.width, first.height), (info.width, info.height)
    if getattr(recipe, "picture_only", False):
        return info.replace(bars=_after(first, info))
    if getattr(recipe, "places_bars", False):
        return info
    if getattr(recipe, "faithful", False):
        return info.replace(bars=resized(info.bars, old, new))
    return info if old == new and first.frames == info.frames else info.replace(bars=())


def _after(first: ClipInfo, info: ClipInfo) -> tuple[Bars, ...]:
    """Return the bars of a stage's output, whose shots are those of its first input."""
    before, after = [0, *first.cuts, first.frames], [0, *info.cuts]
    found = []
    for start, stop, begin in zip(before, before[1:], after):
        if start < stop:
            inside = _placed(first, shot_picture(first, start, stop), info)
            bottom, right = info.height - inside.top - inside.height, info.width - inside.left - inside.width
            found.append(Bars(begin, inside.top, bottom, inside.left, right))
    return joined(found)


def _placed(first: ClipInfo, picture: Picture, info: ClipInfo) -> Picture:
    return scaled(picture, (first.width, first.height), (info.width, info.height))


def within_bars(
    step: Source | Step, shot: Shot, stop: int, chunks: Iterator[tuple[Tensor, ...]], run: Run
) -> Iterator[Chunk]:
    """Run a stage over the shot ``[shot.start, stop)``, on the picture only if its recipe wants that."""
    info = shot.info
    picture = shot_picture(info, shot.start, stop) if info.bars else None
    wanted = isinstance(step, Step) and getattr(step.recipe, "picture_only", False)
    if not wanted or picture is None or picture == Picture(0, 0, info.height, info.width):
        yield from run(shot, chunks)
        return
    assert isinstance(step, Step)
    surround = _Surround(step, shot, stop, picture)
    small = info.replace(width=picture.width, height=picture.height, bars=())
    inside = dataclasses.replace(shot, info=small, frame=(info.width, info.height))
    for chunk in run(inside, surround.taken(chunks)):
        yield surround.around(chunk)


class _Surround:
    """The bars of a shot's source frames, until the output around which they belong is there."""

    def __init__(self, step: Step, shot: Shot, stop: int, picture: Picture):
        self.step, self.picture, self.info = step, picture, shot.info
        self.start, self.stop = shot.start, stop
        edges = [0, *shot.info.cuts]
        number = bisect_right(edges, shot.start) - 1
        self.begins = {port: [0, *info.cuts][number] for port, info in step.infos.items()}
        self.done = 0  # frames of the output
        self.first = shot.start  # frame of which the bars come first
        self.waiting: deque[list[Tensor]] = deque()

    def taken(self, chunks: Iterator[tuple[Tensor, ...]]) -> Iterator[tuple[Tensor, ...]]:
        """Yield the pictures of the inputs, and keep the bars of the first."""
        pictures = [_placed(self.info, self.picture, clip.info) for clip in self.step.inputs]
        for chunk in chunks:
            strips = [strip.clone() for strip in _strips(chunk[0], self.picture)]
            self.waiting.extend(
                [strip.narrow(TIME, place, 1) for strip in strips] for place in range(chunk[0].shape[TIME])
            )
            yield tuple(_inside(one, picture) for one, picture in zip(chunk, pictures))

    def around(self, chunk: Chunk) -> Chunk:
        """Return the outputs of the stage in full frames."""
        outputs = ports(chunk)
        count = next(iter(outputs.values())).shape[TIME]
        strips = self._strips_of(range(self.done, self.done + count))
        self.done += count
        result = {port: self._framed(port, images, strips) for port, images in outputs.items()}
        return result if isinstance(chunk, dict) else result["clip"]

    def _framed(self, port: str, images: Tensor, strips: list[Tensor]) -> Tensor:
        info = self.step.infos[port]
        inside = _placed(self.info, self.picture, info)
        if images.shape[SIZE] != (inside.height, inside.width):
            images = _sized(images, inside.height, inside.width)
        framed = empty(images, *images.shape[:DOWN], info.height, info.width, images.shape[-1])
        _inside(framed, inside).copy_(images)
        if port in getattr(self.step.recipe, "masks", ()):
            for target in _strips(framed, inside):
                target.zero_()
        elif images.shape[-1] == self.info.channels:
            for target, strip in zip(_strips(framed, inside), strips):
                if target.numel():
                    shown = strip[0] if strip.ndim > target.ndim else strip  # the left view
                    target.copy_(_sized(shown, *target.shape[SIZE]))
        else:
            _continue_edges(framed, inside)
        return framed

    def _strips_of(self, numbers: range) -> list[Tensor]:
        """Return the bars around output frames of the shot: those of the source frame shown before each."""
        port = next(iter(self.step.infos))
        places = [self._source(self.begins[port] + number) for number in numbers]
        while self.first < places[0] and len(self.waiting) > 1:
            self.waiting.popleft()
            self.first += 1
        last = self.first + len(self.waiting) - 1
        frames = [self.waiting[max(0, min(place, last) - self.first)] for place in places]
        return [torch.cat(strip, TIME) for strip in zip(*frames)]

    def _source(self, number: int) -> int:
        """Return the source frame that is shown when an output frame is."""
        rate = getattr(self.step.recipe, "rate", None)
        if rate is None or (fps := rate(self.info)) is None:
            return min(max(number, self.start), self.stop - 1)
        return position(number, self.start, self.stop, self.info, fps)[0]


def _inside(frames: Tensor, picture: Picture) -> Tensor:
    return frames.narrow(DOWN, picture.top, picture.height).narrow(ACROSS, picture.left, picture.width)


def _strips(frames: Tensor, picture: Picture) -> list[Tensor]:
    """Return views of the bars: top, bottom, left, right; the latter two as high as the picture."""
    height, width = frames.shape[SIZE]
    below, beyond = picture.top + picture.height, picture.left + picture.width
    middle = frames.narrow(DOWN, picture.top, picture.height)
    return [
        frames.narrow(DOWN, 0, picture.top),
        frames.narrow(DOWN, below, height - below),
        middle.narrow(ACROSS, 0, picture.left),
        middle.narrow(ACROSS, beyond, width - beyond),
    ]


def _sized(images: Tensor, height: int, width: int) -> Tensor:
    """Return images ``[..., H, W, C]`` at another size."""
    if images.shape[SIZE] == (height, width) or not images.numel():
        return images
    flat = images.reshape(-1, *images.shape[DOWN:])
    return resize(flat, height, width).reshape(*images.shape[:DOWN], height, width, images.shape[-1])


def _continue_edges(frames: Tensor, picture: Picture) -> None:
    """Repeat the edges of a picture beyond it."""
    height, width = frames.shape[SIZE]
    middle = frames.narrow(DOWN, picture.top, picture.height)
    for first, count, edge in (
        (0, picture.left, picture.left),
        (
            picture.left + picture.width,
            width - picture.left - picture.width,
            picture.left + picture.width - 1,
        ),
    ):
        middle.narrow(ACROSS, first, count).copy_(
            middle.narrow(ACROSS, edge, 1).expand_as(middle.narrow(ACROSS, first, count))
        )
    for first, count, edge in (
        (0, picture.top, picture.top),
        (
            picture.top + picture.height,
            height - picture.top - picture.height,
            picture.top + picture.height - 1,
        ),
    ):
        target = frames.narrow(DOWN, first, count)
        target.copy_(frames.narrow(DOWN, edge, 1).expand_as(target))
