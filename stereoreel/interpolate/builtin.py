"""Frames in between without a network: optical flow both ways, carried to the time wanted, then a warp and a blend by visibility.

Each pair of frames is worked on by itself, so chunks cannot matter; each eye has its own motion, and the depth follows its eye.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import cached_property
from itertools import repeat

import numpy as np
import torch
from torch import Tensor

from ..clip import Shot
from ..flow import grayscale
from ..host import Host
from ..timeline import gaps
from . import target_fps
from .projection import Between, Motion, compose, measure, project


def load(entry, options, host: Host) -> FlowInterpolation:
    return FlowInterpolation(options)


class FlowInterpolation:
    """Frames ``[T, H, W, C]`` or two-view, and depth beside them, at another rate; all of them follow one measured motion."""

    nets, joint = [], True

    def __init__(self, options):
        self.options = options

    def __call__(self, shot: Shot, frames: Iterable[Tensor], depth: Iterable[Tensor] | None = None) -> Iterator[dict[str, Tensor]]:
        for left, right, times in gaps(shot, _moments(frames, depth), target_fps(self.options, shot.info)):
            motions = _motions(left, right, self.options.quality) if any(times) else []
            for t in times:
                yield _between(left, right, motions, t) if t and motions else left.chunks


class Moment:
    """One source frame: chunks of one frame, ``clip`` and perhaps ``depth``, which may have fewer views."""

    def __init__(self, clip: Tensor, depth: Tensor | None):
        self.chunks = {"clip": clip} if depth is None else {"clip": clip, "depth": depth}

    @cached_property
    def views(self) -> dict[str, list[np.ndarray]]:
        """Each view of each port, float32 ``[H, W, C]``."""
        return {port: [np.ascontiguousarray(view.float().cpu().numpy()) for view in tensor.reshape(-1, *tensor.shape[-3:])]
                for port, tensor in self.chunks.items()}

    @cached_property
    def luma(self) -> list[np.ndarray]:
        return [grayscale(torch.from_numpy(view)[None])[0] for view in self.views["clip"]]


def _moments(frames: Iterable[Tensor], depth: Iterable[Tensor] | None) -> Iterator[Moment]:
    for chunk, beside in zip(frames, repeat(None) if depth is None else depth):
        for index in range(chunk.shape[-4]):
            yield Moment(chunk.narrow(-4, index, 1), None if beside is None else beside.narrow(-4, index, 1))


def _motions(left: Moment, right: Moment, quality: str) -> list[Motion]:
    """One motion for each eye; none where nothing changed and the frame can be copied."""
    if torch.equal(left.chunks["clip"], right.chunks["clip"]):
        return []
    return [measure(*pair, quality) for pair in zip(left.luma, right.luma)]


def _between(left: Moment, right: Moment, motions: list[Motion], t: Fraction) -> dict[str, Tensor]:
    betweens = [project(motion, float(t)) for motion in motions]
    return {port: _chunk(left.views[port], right.views[port], betweens, tensor, port == "clip") for port, tensor in left.chunks.items()}


def _chunk(left: list[np.ndarray], right: list[np.ndarray], betweens: list[Between], like: Tensor, cubic: bool) -> Tensor:
    """The views of one port at a time between; a single view follows the first eye's motion."""
    made = [compose(*pair, between, cubic) for *pair, between in zip(left, right, betweens)]
    return torch.from_numpy(np.stack(made)).reshape(like.shape).to(like.device, like.dtype)
