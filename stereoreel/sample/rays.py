"""Rays of a camera in one list sorted by screen column, so that a shape's candidates are a slice of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property

import torch
from torch import Tensor

from .materials import Triple, vector
from .shapes import Shape

NEAREST = 0.05  # shapes nearer to the camera than this have no bounds on screen
BLUR = 0.2  # world units by which a soft shadow is wider than its object


class Touch(IntEnum):
    """Visible effects of a shape: itself, its shadow, its contact darkening."""

    BODY = 0
    SHADOW = 1
    CONTACT = 2


@dataclass(frozen=True)
class Camera:
    """A camera; ``focal`` is in widths of the frame, ``pitch`` (up) and ``yaw`` (right) in radians."""

    origin: Triple
    focal: float
    pitch: float = 0.0
    yaw: float = 0.0

    @cached_property
    def axes(self) -> tuple[Triple, Triple, Triple]:
        """Return right, up and forward."""
        cos, sin, rise, level = (
            math.cos(self.yaw),
            math.sin(self.yaw),
            math.sin(self.pitch),
            math.cos(self.pitch),
        )
        return (cos, 0.0, -sin), (-sin * rise, level, -cos * rise), (sin * level, rise, cos * level)

    def column(self, point: Triple) -> float | None:
        """Return a point's position in widths of the frame right of the middle; None if behind the camera."""
        away = [p - o for p, o in zip(point, self.origin)]
        right, _, forward = self.axes
        z = sum(a * b for a, b in zip(forward, away))
        return sum(a * b for a, b in zip(right, away)) / z * self.focal if z > NEAREST else None


Span = tuple[int, int] | None  # first column and the one after the last; None if nothing is visible


def spans(shapes: Sequence[Shape], sun: Triple, camera: Camera, width: int) -> list[tuple[Span, Span, Span]]:
    """Return for every shape the columns that each kind of ``Touch`` can reach."""
    found = []
    for shape in shapes:
        low, high = shape.bounds()
        fall = [-s * (high[1] + BLUR) / sun[1] for s in sun]
        shadow = _corners(low, high, BLUR)
        shadow += [(x + fall[0], y + fall[1], z + fall[2]) for x, y, z in shadow]
        reaches = _corners(low, high), shadow, _corners(low, high, shape.reach)
        direct, shaded, touched = (_span(camera, corners, width) for corners in reaches)
        found.append((direct, shaded, touched))
    return found


def _corners(low: Triple, high: Triple, grow: float = 0.0) -> list[Triple]:
    x, y, z = ((a - grow, b + grow) for a, b in zip(low, high))
    return [(i, j, k) for i in x for j in y for k in z]


def _span(camera: Camera, corners: list[Triple], width: int) -> Span:
    """Return the columns that the convex hull of points can cover."""
    seen = [x for corner in corners if (x := camera.column(corner)) is not None]
    if not seen:
        return None
    if len(seen) < len(corners):
        return 0, width
    first, last = math.floor((min(seen) + 0.5) * width), math.ceil((max(seen) + 0.5) * width)
    return (max(first, 0), min(last, width)) if first < width and last > 0 else None


@dataclass(frozen=True)
class Rays:
    """Rays of a camera.

    ``way`` ``[3, N]`` is one unit long along the camera's axis, so the distance along a ray is the depth;
    ``pixel`` is a pixel's width there. ``starts[c]`` is the first ray at or right of column c. Reflected rays
    have no columns and may meet everything.
    """

    origin: Tensor
    way: Tensor
    pixel: float
    starts: Tensor | None = None
    spans: Sequence[tuple[Span, Span, Span]] = ()

    def only(self, kept: Tensor) -> Rays:
        """Return the rays with the indices ``kept``, which ascend."""
        origin = self.origin if self.origin.shape[1] == 1 else self.origin.index_select(1, kept)
        starts = None if self.starts is None else torch.searchsorted(kept, self.starts)
        return replace(self, origin=origin, way=self.way.index_select(1, kept), starts=starts)

    def window(self, shape: int, touch: Touch = Touch.BODY) -> slice | None:
        """Return the rays that a shape can touch; None if there are none."""
        if self.starts is None:
            return slice(0, self.way.shape[1])
        span = self.spans[shape][touch]
        if span is None:
            return None
        first, last = self.starts[span[0]].item(), self.starts[span[1]].item()
        return slice(first, last) if first < last else None


def through(
    camera: Camera, x: Tensor, y: Tensor, width: int, starts: Tensor, reach: Sequence[tuple[Span, Span, Span]]
) -> Rays:
    """Return the rays through places in pixels right of and below the middle of the frame."""
    unit = 1 / (camera.focal * width)
    right, up, forward = (vector(axis) for axis in camera.axes)
    return Rays(vector(camera.origin), right * (x * unit) - up * (y * unit) + forward, unit, starts, reach)


def every_pixel(
    camera: Camera, width: int, height: int, reach: Sequence[tuple[Span, Span, Span]]
) -> tuple[Tensor, Tensor, Rays]:
    """Return the centres of a frame's pixels, column by column, and the rays through them."""
    x, y = (torch.arange(size) + 0.5 - size / 2 for size in (width, height))
    x, y = x.repeat_interleave(height), y.repeat(width)
    return x, y, through(camera, x, y, width, torch.arange(width + 1) * height, reach)
