"""Left and right views by a forward warp: exact z-buffer, sub-pixel sampling, holes filled with background.

Disparity is ``D = divergence / 100 * width * (depth - convergence)`` pixels; the left view shows a point at
``x + D / 2`` and the right one at ``x - D / 2``, so points nearer than the convergence are in front of the
screen.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from ...core.clip import Shot
from ...core.host import Host
from ...image.huge_pages import empty
from . import StereoOptions, check_depth
from .background import fill_background
from .comfort import BY_HAND, SCREENS, advice
from .parallax import SHARES, Courses, Parallax, as_rendered
from .shot_table import Course
from .soften import soften
from .temporal import Gap, Moment, TemporalFill
from .warp import Eye, move
from .window import FloatingWindow, draw

log = logging.getLogger(__name__)


def load(entry, options: StereoOptions, host: Host) -> ForwardWarp:
    if options.screen in SCREENS and options.strength == BY_HAND:
        log.info(advice(options.divergence, SCREENS[options.screen]))
    return ForwardWarp(options, host.device)


class ForwardWarp:
    """Frames ``[T, H, W, C]`` and depth ``[T, h, w, 1 or 3]`` to the clip ``[2, T, H, W, C]`` and its holes.

    The holes of each view are ``[T, H, W, 1]``. The third input, if any, is that of ``bar_text.BarText``.
    """

    joint = False

    def __init__(self, options: StereoOptions, device: torch.device):
        self.options, self.device, self.courses = options, device, Courses(options)
        self.nets: list[nn.Module] = []

    def __call__(self, shot: Shot, *inputs: Iterator[Tensor]) -> Iterator[dict[str, Tensor]]:
        options, course, wider = as_rendered(self.options, self.courses, shot)
        yield from ForwardWarp(options, self.device).rendered(shot, inputs, course, wider)

    def rendered(
        self, shot: Shot, inputs: tuple[Iterator[Tensor], ...], course: Course | None, wider: float
    ) -> Iterator[dict[str, Tensor]]:
        """Yield the outputs of a shot whose strength follows a ``course``, or the options without one.

        ``wider`` see ``Parallax``.
        """
        fps = float(shot.info.fps)
        window, parallax_of = FloatingWindow(fps), Parallax(self.options, fps, course, wider)
        render = self.with_neighbours if self.options.fill == "inpaint" else self.per_frame
        frames, depth, *text = inputs
        waiting: deque[Tensor] = deque()
        chunks = _noted(zip(frames, checked(depth), *text), waiting)
        for clip, holes, parallax in render(parallax_of, chunks):
            places = [waiting.popleft().to(clip.device) for _ in range(clip.shape[1] if text else 0)]
            if self.options.floating_window:
                kept = torch.stack(places) == 1 if places else None
                draw(clip, holes, window(parallax), self.options.swap_eyes, kept)
            yield {"clip": clip, "left_holes": holes[0], "right_holes": holes[1]}

    def per_frame(
        self, parallax_of: Parallax, chunks: Iterable[tuple[Tensor, ...]]
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield clip, holes and parallax of every chunk, each frame independently."""
        for images, depths, *text in chunks:
            images = images.to(self.device)
            parallax = parallax_of(depths.to(self.device), images, *text)
            clip, holes, eyes = self.pair(images, parallax)
            if self.options.fill == "blend":
                for place, eye in eyes.items():
                    target, source, column = gap(eye)
                    soften(clip[place], holes[place], target, (column - source % images.shape[2]).abs())
            yield clip, holes, parallax

    def with_neighbours(
        self, parallax_of: Parallax, chunks: Iterable[tuple[Tensor, ...]]
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield the same one frame at a time, with holes filled from neighbouring frames."""
        memory = TemporalFill(self.pair_and_gaps)
        for images, depths, *text in chunks:
            images, depths = images.to(self.device), depths.to(self.device)
            for image, near, parallax in zip(images, depths[..., 0], parallax_of(depths, images, *text)):
                yield from memory.take(Moment(image, near, parallax))
        yield from memory.flush()

    def pair_and_gaps(
        self, images: Tensor, parallax: Tensor
    ) -> tuple[Tensor, Tensor, list[tuple[Tensor, Gap]]]:
        """Return both views, their holes, and the rendered pictures with their gaps."""
        clip, holes, eyes = self.pair(images, parallax)
        return clip, holes, [(eye.picture, gap(eye)) for eye in eyes.values()]

    def pair(self, images: Tensor, parallax: Tensor) -> tuple[Tensor, Tensor, dict[int, Eye]]:
        """Render both views ``[2, T, H, W, C]`` and holes ``[2, T, H, W, 1]`` by parallax ``[T, H, W]``.

        Also return the rows of those that are not the frames themselves, by their place in the clip, with
        their sources unless holes are stretched.
        """
        count, height, width, channels = images.shape
        clip = empty(images, 2, count, height, width, channels)
        holes = empty(images, 2, count, height, width, 1)
        fill = self.options.fill
        frames, parallax, eyes = images.reshape(-1, width, channels), parallax.reshape(-1, width), {}
        for eye, share in enumerate(SHARES[self.options.view]):
            place = 1 - eye if self.options.swap_eyes else eye
            if share == 0:
                clip[place], holes[place] = images, 0
                continue
            source = None if fill == "stretch" else empty(parallax, *parallax.shape, dtype=torch.int32)
            eyes[place] = Eye(
                frames,
                parallax,
                share,
                eye == 0,
                clip[place].view_as(frames),
                holes[place].view_as(parallax),
                source,
            )
        move([*eyes.values()])
        if fill in ("background", "inpaint"):
            fill_background([*eyes.values()], height, self.options.divergence / 100 * width)
        return clip, holes, eyes


def _noted(chunks: Iterable[tuple[Tensor, ...]], text: deque[Tensor]) -> Iterator[tuple[Tensor, ...]]:
    """Pass chunks on, and put the text of their frames, if they have it, into a queue."""
    for chunk in chunks:
        for frames in chunk[2:]:
            text.extend(frames)
        yield chunk


def checked(depth: Iterator[Tensor]) -> Iterator[Tensor]:
    """Pass depth on; raise ValueError if its first chunk shows a colour image."""
    for index, chunk in enumerate(depth):
        if index == 0:
            check_depth(chunk)
        yield chunk


def gap(eye: Eye) -> Gap:
    """Return the holes of a view rendered with ``source``, and the background next to them."""
    assert eye.source is not None
    target = eye.holes.reshape(-1).nonzero()[:, 0]
    column = target % eye.holes.shape[1]
    source = target - column + eye.source.view(-1)[target]
    shift = eye.parallax.view(-1)[source] * eye.share
    return target, source, column + (-shift if eye.left else shift)
