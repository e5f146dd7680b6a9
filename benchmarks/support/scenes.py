"""Synthetic scenes with exact views: layered slanted planes with analytic textures.

A pixel's colour at (x, y) comes from the nearest layer that contains the point that maps there. So the other
view, in-between frames, depth, motion and disocclusions are known without resampling. Pixel centres are at
integer coordinates; a view moves a point by ``eye * divergence / 100 * width * (depth - convergence)``
pixels.

The ray tracer of the sample cannot replace them: its highlights, reflections and haze change with the
viewpoint, so that a point visible in both views differs by 39 to 48 dB there, and not at all here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor


@dataclass(frozen=True)
class Texture:
    """A smooth random RGB pattern: sinusoids of 5 to 160 pixels, longer ones stronger; 0.05..0.95."""

    seed: int
    finest: float = 5.0
    octaves: int = 6
    waves: int = 3  # per octave

    def __call__(self, u: Tensor, v: Tensor) -> Tensor:
        """Return colour ``[..., 3]`` at any points."""
        cycles, phase, mix, base = self._waves()
        color = u.new_empty(*u.shape, 3, dtype=torch.float32)
        for some_u, some_v, out in zip(
            u.reshape(-1).split(8192), v.reshape(-1).split(8192), color.view(-1, 3).split(8192)
        ):
            turns = some_u[:, None] * cycles[0] + some_v[:, None] * cycles[1] + phase
            torch.mm(torch.sin((turns - turns.floor()).float() * math.tau), mix, out=out)
        return color.tanh_().mul_(0.45).add_(base)

    def _waves(self):
        random = torch.Generator().manual_seed(self.seed)
        count = self.octaves * self.waves
        octave = torch.arange(count) // self.waves
        wavelength = self.finest * 2.0 ** (octave + 0.9 * torch.rand(count, generator=random))
        angle = torch.rand(count, generator=random, dtype=torch.float64) * math.pi
        cycles = torch.stack([angle.cos(), angle.sin()]) / wavelength
        strength = 0.16 * (wavelength / wavelength.max()).sqrt()
        mix = (strength[:, None] * (1 + 0.5 * torch.randn(count, 3, generator=random))).float()
        phase = torch.rand(count, generator=random, dtype=torch.float64)
        return cycles, phase, mix, 0.5 + 0.1 * (torch.rand(3, generator=random) - 0.5)


@dataclass(frozen=True)
class Layer:
    """A flat layer; ``shape`` is "plane" (no edge), "ground" (all below ``center``), "box" or "ellipse".

    ``depth`` is inverse depth at the centre (near = 1), ``slant`` its change over one frame width and one
    frame height. ``center`` and half sizes ``radius`` are in pixels at time 0, ``angle`` in radians,
    ``velocity`` in pixels a frame.
    """

    shape: str
    depth: float
    texture: Texture
    center: tuple[float, float] = (0.0, 0.0)
    radius: tuple[float, float] = (0.0, 0.0)
    angle: float = 0.0
    slant: tuple[float, float] = (0.0, 0.0)
    velocity: tuple[float, float] = (0.0, 0.0)

    def frame(self) -> Tensor:
        """Return the 3x3 map to the layer's own axes: a box is -1..1 there, an ellipse the unit circle."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        turn = torch.tensor([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]], dtype=torch.float64)
        scale = [1 / radius if radius else 1.0 for radius in self.radius]
        move = torch.eye(3, dtype=torch.float64)
        move[:2, 2] = -torch.tensor(self.center, dtype=torch.float64)
        return torch.diag(torch.tensor([*scale, 1.0], dtype=torch.float64)) @ turn @ move

    def plane(self, width: int, height: int) -> Tensor:
        """Return ``[3]``: inverse depth as a function of the layer's points (u, v, 1)."""
        per_x, per_y = self.slant[0] / width, self.slant[1] / height
        return torch.tensor(
            [per_x, per_y, self.depth - per_x * self.center[0] - per_y * self.center[1]], dtype=torch.float64
        )

    def holds(self, across: Tensor, along: Tensor) -> Tensor:
        """Return True where the shape contains the point, given in its own axes."""
        if self.shape == "ground":
            return along >= 0
        if self.shape == "ellipse":
            return across.square() + along.square() <= 1
        return (across.abs() <= 1) & (along.abs() <= 1)


@dataclass(frozen=True)
class Camera:
    """Motion of all layers, per frame.

    ``truck`` shifts depth 1 by this many pixels and depth 0 not at all (parallax), ``pan`` shifts everything,
    ``zoom`` scales about the centre.
    """

    truck: tuple[float, float] = (0.0, 0.0)
    pan: tuple[float, float] = (0.0, 0.0)
    zoom: float = 1.0


@dataclass(frozen=True)
class Rendered:
    """A view: ``image`` [H, W, 3], ``depth`` [H, W] (0..1, near = 1), ``layer`` [H, W] (its index)."""

    image: Tensor
    depth: Tensor
    layer: Tensor


@dataclass(frozen=True)
class Scene:
    """Layers seen by a camera; the nearest layer at a point is visible."""

    width: int
    height: int
    layers: tuple[Layer, ...]
    camera: Camera = field(default_factory=Camera)
    divergence: float = 3.0
    convergence: float = 0.0

    def render(self, t: float = 0.0, eye: float = 0.0, samples: int = 1) -> Rendered:
        """Return the exact view; ``samples`` > 1 averages that many sub-pixels squared (colour only)."""
        depth, layer = _view(self, t, eye)
        if samples == 1:
            return Rendered(self._paint(layer, *self.pixels(), t, eye), depth.float(), layer.clone())
        x, y = self.pixels()
        offsets = [(i + 0.5) / samples - 0.5 for i in range(samples)]
        image = sum(self.color(x + dx, y + dy, t, eye) for dy in offsets for dx in offsets) / samples**2
        return Rendered(image, depth.float(), layer.clone())

    def clip(self, frames: int, step: float = 1.0) -> tuple[Tensor, Tensor]:
        """Return images ``[T, H, W, 3]`` and depth ``[T, H, W, 1]`` at times 0, step, 2 step ..."""
        views = [self.render(index * step) for index in range(frames)]
        depth = torch.stack([view.depth for view in views])
        return torch.stack([view.image for view in views]), depth[..., None]

    def disparity(self, depth: Tensor) -> Tensor:
        """Return the shift in pixels of points of this depth for an eye at 1."""
        return self.divergence / 100 * self.width * (depth - self.convergence)

    def trace(self, t: float, eye: float, to_t: float, to_eye: float) -> tuple[Tensor, Tensor, Tensor]:
        """Return x, y ``[H, W]`` of every pixel's point in another view, and if it is visible there."""
        x, y = self.pixels()
        _, layer = _view(self, t, eye)
        there_x, there_y = torch.empty(layer.shape, dtype=x.dtype), torch.empty(layer.shape, dtype=x.dtype)
        for index in range(len(self.layers)):
            own = layer == index
            there = self._matrix(index, to_t, to_eye) @ self._inverse(index, t, eye)
            there_x[own], there_y[own] = (_affine(row, x[own], y[own]) for row in there[:2])
        _, seen = self.look(there_x, there_y, to_t, to_eye)
        inside = (
            (there_x >= -0.5)
            & (there_x < self.width - 0.5)
            & (there_y >= -0.5)
            & (there_y < self.height - 0.5)
        )
        return there_x, there_y, inside & (seen == layer)

    def holes(self, eye: float, t: float = 0.0, source_eye: float = 0.0) -> Tensor:
        """Return True ``[H, W]`` for pixels of a view that are hidden or outside in the source."""
        return ~self.trace(t, eye, t, source_eye)[2]

    def motion(self, t: float, to_t: float) -> tuple[Tensor, Tensor]:
        """Return the flow ``[H, W, 2]`` (x, y) from one time to another, and where points stay visible."""
        x, y = self.pixels()
        to_x, to_y, visible = self.trace(t, 0.0, to_t, 0.0)
        return torch.stack([to_x - x, to_y - y], -1).float(), visible

    def pixels(self) -> tuple[Tensor, Tensor]:
        """Return x and y ``[H, W]`` of every pixel."""
        rows, columns = (
            torch.arange(self.height, dtype=torch.float64),
            torch.arange(self.width, dtype=torch.float64),
        )
        return columns[None].expand(self.height, -1), rows[:, None].expand(-1, self.width)

    def look(self, x: Tensor, y: Tensor, t: float, eye: float) -> tuple[Tensor, Tensor]:
        """Return depth and layer index at any points of a view; outside all layers 0 and -1."""
        nearest, owner = torch.tensor(-math.inf, dtype=torch.float64), torch.tensor(-1, dtype=torch.int16)
        for index, layer in enumerate(self.layers):
            inverse = self._inverse(index, t, eye)
            depth = _affine(layer.plane(self.width, self.height) @ inverse, x, y)
            wins = depth > nearest
            if layer.shape != "plane":
                wins &= layer.holds(*(_affine(row, x, y) for row in (layer.frame() @ inverse)[:2]))
            nearest, owner = torch.where(wins, depth, nearest), torch.where(wins, index, owner)
        return nearest.clamp(min=0), owner.to(torch.int16)

    def color(self, x: Tensor, y: Tensor, t: float, eye: float) -> Tensor:
        """Return colour ``[..., 3]`` at any points of a view."""
        return self._paint(self.look(x, y, t, eye)[1], x, y, t, eye)

    def _paint(self, owner: Tensor, x: Tensor, y: Tensor, t: float, eye: float) -> Tensor:
        image = torch.zeros(*owner.shape, 3)
        for index, layer in enumerate(self.layers):
            own = owner == index
            inverse = self._inverse(index, t, eye)
            image[own] = layer.texture(*(_affine(row, x[own], y[own]) for row in inverse[:2]))
        return image

    def _inverse(self, index: int, t: float, eye: float) -> Tensor:
        return torch.linalg.inv(self._matrix(index, t, eye))

    def _matrix(self, index: int, t: float, eye: float) -> Tensor:
        """Return the 3x3 affine map from a layer's own points (at time 0) to pixels of a view."""
        layer, camera = self.layers[index], self.camera
        depth = layer.plane(self.width, self.height)
        matrix = torch.eye(3, dtype=torch.float64)
        zoom, middle = camera.zoom**t, (self.width / 2 - 0.5, self.height / 2 - 0.5)
        for axis in (0, 1):
            matrix[axis] += t * camera.truck[axis] * depth
            matrix[axis, 2] += t * layer.velocity[axis] - middle[axis]
            matrix[axis] *= zoom
            matrix[axis, 2] += middle[axis] + t * camera.pan[axis]
        shift = eye * self.divergence / 100 * self.width
        matrix[0] += shift * depth
        matrix[0, 2] -= shift * self.convergence
        return matrix


@lru_cache(maxsize=4)
def _view(scene: Scene, t: float, eye: float) -> tuple[Tensor, Tensor]:
    """Return depth and layer index of every pixel, the base of a view's image, holes and motion."""
    depth, owner = scene.look(*scene.pixels(), t, eye)
    return depth, owner


def _affine(row: Tensor, x: Tensor, y: Tensor) -> Tensor:
    a, b, c = row.tolist()
    return x * a + (y * b + c)


def street(seed: int, width: int = 320, height: int = 192, **view) -> Scene:
    """Return a far wall, the ground, and ellipses, boxes and thin bars at several depths.

    ``view`` are fields of Scene: camera, divergence, convergence.
    """
    random = torch.Generator().manual_seed(seed)

    def pick(low: float, high: float) -> float:
        return low + (high - low) * torch.rand((), generator=random, dtype=torch.float64).item()

    horizon = (width / 2, pick(0.4, 0.55) * height)
    layers = [
        Layer(
            "plane",
            pick(0.1, 0.2),
            Texture(seed * 100),
            (width / 2, height / 2),
            slant=(pick(-0.08, 0.08), pick(-0.04, 0.04)),
        ),
        Layer("ground", 0.2, Texture(seed * 100 + 1), horizon, slant=(pick(-0.05, 0.05), pick(0.9, 1.2))),
    ]
    for index, depth in enumerate((0.3, 0.42, 0.55, 0.68, 0.8)):
        radius = (pick(0.04, 0.11) * width, pick(0.10, 0.24) * height)
        center = ((pick(0.05, 0.95)) * width, pick(0.2, 0.8) * height)
        layers.append(
            Layer(
                "ellipse" if index % 2 else "box",
                depth,
                Texture(seed * 100 + 2 + index),
                center,
                radius,
                0.0 if index % 2 else pick(-0.25, 0.25),
                slant=(pick(-0.3, 0.3), pick(-0.15, 0.15)),
            )
        )
    for index, half in enumerate((0.5, 1.0, 1.5, 3.0, 6.0)):
        center = ((index + pick(0.2, 0.8)) / 5 * width, pick(0.3, 0.7) * height)
        layers.append(
            Layer(
                "box",
                pick(0.5, 0.92),
                Texture(seed * 100 + 20 + index),
                center,
                (half, pick(0.2, 0.35) * height),
                pick(-0.3, 0.3) if index % 2 else 0.0,
            )
        )
    return Scene(width, height, tuple(layers), **view)
