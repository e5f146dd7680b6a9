"""Balls, pillars and blocks for the ray tracer: intersection with rays, and shading of their surroundings.

Points, directions and normals are tensors ``[3, N]`` (x right, y up, z forward); a miss is at infinity. Every
shape is convex, so it never shades itself beyond turning away from the light. Soft shadows and contact
darkening are closed formulas after Inigo Quilez, "Sphere soft shadow" and "Sphere ambient occlusion" (2014).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .materials import Material, Triple, dot, smooth, vector

SOFT = 0.035  # tangent of the sun's radius: how fast shadows blur with distance
TOUCH = 1e-3  # least distance of a hit, so that a ray does not meet its own origin


@dataclass(frozen=True)
class Ball:
    """A ball; ``turn`` is its rotation about y, ``roll`` about z, in radians: they rotate the pattern."""

    center: Triple
    radius: float
    material: Material
    turn: float = 0.0
    roll: float = 0.0

    def bounds(self) -> tuple[Triple, Triple]:
        x, y, z = self.center
        r = self.radius
        return (x - r, y - r, z - r), (x + r, y + r, z + r)

    def hit(self, origin: Tensor, direction: Tensor) -> Tensor:
        to = vector(self.center) - origin
        square = dot(direction, direction)
        middle = dot(to, direction) / square
        off = to - middle * direction
        inside = self.radius**2 - dot(off, off)  # more precise than b * b - a * c
        t = middle - (inside / square).sqrt()
        return torch.where(t > TOUCH, t, math.inf)  # a miss is NaN

    def normal(self, p: Tensor) -> Tensor:
        return (p - vector(self.center)) / self.radius

    def own(self, p: Tensor) -> Tensor:
        x, y, z = p - vector(self.center)
        x, z = (
            math.cos(self.turn) * x - math.sin(self.turn) * z,
            math.sin(self.turn) * x + math.cos(self.turn) * z,
        )
        x, y = (
            math.cos(self.roll) * x + math.sin(self.roll) * y,
            math.cos(self.roll) * y - math.sin(self.roll) * x,
        )
        return torch.stack([x, y, z]) / self.radius

    def light(self, p: Tensor, sun: Triple) -> Tensor:
        """Return 0 where the ball hides the sun, 1 elsewhere."""
        to = vector(self.center) - p
        t = dot(to, vector(sun))
        gap = (dot(to, to) - t * t).clamp(min=0).sqrt() - self.radius
        return _penumbra(gap, t)

    @property
    def reach(self) -> float:
        """The distance up to which its contact darkening is visible."""
        return 3 * self.radius

    def sky(self, p: Tensor, normal: Tensor) -> Tensor:
        """Return the share of the sky's light that it leaves."""
        to = vector(self.center) - p
        square = dot(to, to).clamp(min=self.radius**2)
        return 1 - (dot(normal, to) * square.rsqrt()).clamp(0, 1) * self.radius**2 / square


@dataclass(frozen=True)
class Pillar:
    """An upright cylinder without a lid, to be seen from below its top; ``base`` is the centre of its end."""

    base: Triple
    radius: float
    height: float
    material: Material

    @property
    def top(self) -> float:
        return self.base[1] + self.height

    def bounds(self) -> tuple[Triple, Triple]:
        (x, y, z), r = self.base, self.radius
        return (x - r, y, z - r), (x + r, self.top, z + r)

    def hit(self, origin: Tensor, direction: Tensor) -> Tensor:
        dx, dy, dz = direction
        x, z = self.base[0] - origin[0], self.base[2] - origin[2]
        square = dx * dx + dz * dz
        middle = (x * dx + z * dz) / square
        inside = self.radius**2 - (x * dz - z * dx).square() / square
        t = middle - (inside / square).sqrt()
        y = origin[1] + t * dy
        return torch.where((t > TOUCH) & (y >= self.base[1]) & (y <= self.top), t, math.inf)

    def normal(self, p: Tensor) -> Tensor:
        x, y, z = p
        return torch.stack(
            [(x - self.base[0]) / self.radius, torch.zeros_like(y), (z - self.base[2]) / self.radius]
        )

    def own(self, p: Tensor) -> Tensor:
        return p - vector(self.base)

    def light(self, p: Tensor, sun: Triple) -> Tensor:
        flat = math.hypot(sun[0], sun[2])
        px, py, pz = p
        x, z = self.base[0] - px, self.base[2] - pz
        t = x * (sun[0] / flat**2) + z * (sun[2] / flat**2)
        y = py + t * sun[1]
        gap = (x * (sun[2] / flat) - z * (sun[0] / flat)).abs() - self.radius
        middle = self.base[1] + self.height / 2
        return _penumbra(torch.maximum(gap, (y - middle).abs() - self.height / 2), t)

    @property
    def reach(self) -> float:
        return 5 * self.radius

    def sky(self, p: Tensor, normal: Tensor) -> Tensor:
        x, y, z = p
        gap = ((x - self.base[0]).square() + (z - self.base[2]).square()).sqrt() - self.radius
        return _foot(gap, y, self.base[1], self.top, normal, self.reach)


@dataclass(frozen=True)
class Block:
    """A box with half sizes ``half``, turned by ``angle`` radians about y."""

    center: Triple
    half: Triple
    material: Material
    angle: float = 0.0

    def bounds(self) -> tuple[Triple, Triple]:
        cos, sin = abs(math.cos(self.angle)), abs(math.sin(self.angle))
        reach = (
            self.half[0] * cos + self.half[2] * sin,
            self.half[1],
            self.half[0] * sin + self.half[2] * cos,
        )
        (x, y, z), (wide, tall, deep) = self.center, reach
        return (x - wide, y - tall, z - deep), (x + wide, y + tall, z + deep)

    def _turned(self, v: Tensor, sign: float = 1.0) -> Tensor:
        cos, sin = math.cos(self.angle), math.sin(self.angle) * sign
        if not sin:
            return v
        x, y, z = v
        return torch.stack([cos * x - sin * z, y, sin * x + cos * z])

    def _slabs(self, origin: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
        """Return where the ray enters and leaves; it misses if it leaves first."""
        direction = self._turned(direction)
        inverse = 1 / (direction + 1e-9)  # never 1 / 0
        middle = -self._turned(origin - vector(self.center)) * inverse
        reach = vector(self.half) * inverse.abs()
        return (middle - reach).amax(0), (middle + reach).amin(0)

    def hit(self, origin: Tensor, direction: Tensor) -> Tensor:
        near, far = self._slabs(origin, direction)
        return torch.where((near < far) & (near > TOUCH), near, math.inf)

    def normal(self, p: Tensor) -> Tensor:
        at = self.own(p) / vector(self.half)
        face = at.abs() > 0.9995 * at.abs().amax(0)
        return F.normalize(self._turned(face * at.sign(), -1.0), dim=0)

    def own(self, p: Tensor) -> Tensor:
        return self._turned(p - vector(self.center))

    def light(self, p: Tensor, sun: Triple) -> Tensor:
        near, far = self._slabs(p, vector(sun))
        chord = far - near.clamp(min=0)
        return 1 - smooth(chord / (0.02 + 2 * SOFT * near.clamp(min=0)))

    @property
    def reach(self) -> float:
        return 4 * min(self.half)

    def sky(self, p: Tensor, normal: Tensor) -> Tensor:
        x, _, z = self.own(p).abs()
        gap = ((x - self.half[0]).clamp(min=0).square() + (z - self.half[2]).clamp(min=0).square()).sqrt()
        return _foot(
            gap, p[1], self.center[1] - self.half[1], self.center[1] + self.half[1], normal, self.reach
        )


def _penumbra(gap: Tensor, t: Tensor) -> Tensor:
    """Return the light left when a ray to the sun passes an object.

    The ray passes at a distance ``gap`` (negative: through it) after ``t``.
    """
    near = t.clamp(min=1e-3)
    return smooth(gap / near * (0.5 / SOFT) + 0.5).masked_fill_(t <= 0, 1)


def _foot(gap: Tensor, y: Tensor, low: float, high: float, normal: Tensor, reach: float) -> Tensor:
    """Return the contact darkening of a flat area around the foot of an upright object.

    None is left at ``reach``.
    """
    off = gap.clamp(min=0) + 3 * torch.maximum(y - high, low - y).clamp(min=0)
    near = (1 - off / reach).clamp(min=0)
    return 1 - 0.6 * normal[1].clamp(0, 1) * near * near * near


Shape = Ball | Pillar | Block
