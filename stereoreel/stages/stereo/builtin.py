"""Left and right views by a forward warp: exact z-buffer, sub-pixel sampling, holes filled with background.

Disparity is ``D = divergence / 100 * width * (depth - convergence)`` pixels; the left view shows a point at
``x + D / 2`` and the right one at ``x - D / 2``, so points nearer than the convergence are in front of the
screen.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ...core.clip import Shot
from ...core.host import Host
from ...image.huge_pages import empty
from . import StereoOptions, check_depth
from .comfort import SCREENS, advice
from .parallax import SHARES, Parallax
from .soften import soften
from .temporal import Gap, Moment, TemporalFill
from .warp import Eye, move
from .window import FloatingWindow, draw

log = logging.getLogger(__name__)


def load(entry, options: StereoOptions, host: Host) -> ForwardWarp:
    if options.screen in SCREENS:
        log.info(advice(options.divergence, SCREENS[options.screen]))
    return ForwardWarp(options, host.device)


class ForwardWarp:
    """Frames ``[T, H, W, C]`` and depth ``[T, h, w, 1 or 3]`` to the clip ``[2, T, H, W, C]`` and its holes.

    The holes of each view are ``[T, H, W, 1]``.
    """

    joint = False

    def __init__(self, options: StereoOptions, device: torch.device):
        self.options, self.device = options, device
        self.nets: list[nn.Module] = []

    def __call__(
        self, shot: Shot, frames: Iterator[Tensor], depth: Iterator[Tensor]
    ) -> Iterator[dict[str, Tensor]]:
        window = FloatingWindow(float(shot.info.fps))
        depth = checked(depth)
        render = self.with_neighbours if self.options.fill == "inpaint" else self.per_frame
        for clip, holes, parallax in render(shot, frames, depth):
            if self.options.floating_window:
                draw(clip, holes, window(parallax), self.options.swap_eyes)
            yield {"clip": clip, "left_holes": holes[0], "right_holes": holes[1]}

    def per_frame(
        self, shot: Shot, frames: Iterator[Tensor], depth: Iterator[Tensor]
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield clip, holes and parallax of every chunk, each frame independently."""
        parallax_of = Parallax(self.options, float(shot.info.fps))
        for images, depths in zip(frames, depth):
            images = images.to(self.device)
            parallax = parallax_of(depths.to(self.device), images)
            clip, holes, gaps = self.pair(images, parallax, gaps=self.options.fill == "blend")
            for place, (target, source, column) in enumerate(gaps):
                soften(clip[place], holes[place], target, (column - source % images.shape[2]).abs())
            yield clip, holes, parallax

    def with_neighbours(
        self, shot: Shot, frames: Iterator[Tensor], depth: Iterator[Tensor]
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yield the same one frame at a time, with holes filled from neighbouring frames."""
        parallax_of, memory = Parallax(self.options, float(shot.info.fps)), TemporalFill(self.pair)
        for images, depths in zip(frames, depth):
            images, depths = images.to(self.device), depths.to(self.device)
            for image, near, parallax in zip(images, depths[..., 0], parallax_of(depths, images)):
                yield from memory.take(Moment(image, near, parallax))
        yield from memory.flush()

    def pair(self, images: Tensor, parallax: Tensor, gaps: bool = True) -> tuple[Tensor, Tensor, list[Gap]]:
        """Render both views ``[2, T, H, W, C]`` and holes ``[2, T, H, W, 1]`` by parallax ``[T, H, W]``.

        With ``gaps``, also return those of each view, which synchronises with a GPU.
        """
        count, height, width, channels = images.shape
        clip = empty(images, 2, count, height, width, channels)
        holes = empty(images, 2, count, height, width, 1)
        frames, parallax, views = images.reshape(-1, width, channels), parallax.reshape(-1, width), {}
        for eye, share in enumerate(SHARES[self.options.view]):
            place = 1 - eye if self.options.swap_eyes else eye
            if share == 0:
                clip[place], holes[place] = images, 0
                continue
            source = parallax.new_empty(parallax.shape, dtype=torch.int32) if gaps else None
            views[place] = Eye(
                frames,
                parallax,
                share,
                eye == 0,
                clip[place].view_as(frames),
                holes[place].view_as(parallax),
                source,
            )
        move([*views.values()])
        nothing = parallax.new_empty(0, dtype=torch.int64)
        return (
            clip,
            holes,
            [
                gap(views[place]) if place in views else (nothing, nothing, nothing.float())
                for place in range(2)
            ]
            if gaps
            else [],
        )


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
