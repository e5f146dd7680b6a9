"""A small ray tracer: a few shapes on endless ground under a sky, with the exact depth of every pixel.

Everything is elementwise arithmetic in float32, so results on one machine are bit-identical. Pixels that
differ from a neighbour are traced again with four more rays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .materials import Material, Triple, dot, noise, power, smooth, vector
from .rays import Camera, Rays, Touch, every_pixel, spans, through
from .shapes import Ball, Shape

GROUND, SKY = -1, -2
# fractions of a pixel; no two share a row or a column
ROOKS = ((-0.375, -0.125), (-0.125, 0.375), (0.125, -0.375), (0.375, 0.125))
CONTRAST = 0.07  # a difference between neighbours, in display values, that requires more rays


@dataclass(frozen=True)
class Sky:
    """Linear colours of the horizon, the zenith, the sun's glow, clouds and far hills.

    ``cover`` is the share of clouds (0..1).
    """

    horizon: Triple
    zenith: Triple
    glow: Triple
    cloud: Triple
    hill: Triple
    cover: float


@dataclass(frozen=True)
class Scene:
    """Shapes and light.

    ``sun`` is a unit vector to the light; distance 1 / ``fog`` is mostly haze; ``exposure`` is applied before
    the film curve.
    """

    shapes: Sequence[Shape]
    ground: Material
    sky: Sky
    sun: Triple
    sunlight: Triple
    ambient: Triple
    bounce: Triple
    fog: float
    exposure: float


def trace(scene: Scene, camera: Camera, width: int, height: int) -> tuple[Tensor, Tensor]:
    """Return the view ``[H, W, 3]``, 0..1, ready for display, and the depth ``[H, W]`` of pixel centres.

    Depth is in world units, infinite in the sky.
    """
    reach = spans(scene.shapes, scene.sun, camera, width)
    x, y, rays = every_pixel(camera, width, height, reach)
    t, who = _first_hits(scene, rays)
    color = _shown(scene, rays, t, who)
    rough = _rough(color.reshape(3, width, height), who.reshape(width, height)).flatten().nonzero()[:, 0]
    starts = rays.only(rough).starts
    assert starts is not None, "rays of pixels have columns"
    finer = through(camera, _spread(x[rough], 0), _spread(y[rough], 1), width, starts * len(ROOKS), reach)
    more = _shown(scene, finer, *_first_hits(scene, finer)).reshape(3, -1, len(ROOKS)).sum(2)
    color[:, rough] = (color[:, rough] + more) / (1 + len(ROOKS))
    return color.reshape(3, width, height).permute(2, 1, 0).contiguous(), t.reshape(
        width, height
    ).t().contiguous()


def depth(scene: Scene, camera: Camera, width: int, height: int) -> Tensor:
    """Return only the depth of ``trace``."""
    *_, rays = every_pixel(camera, width, height, spans(scene.shapes, scene.sun, camera, width))
    return _first_hits(scene, rays)[0].reshape(width, height).t().contiguous()


def _spread(place: Tensor, axis: int) -> Tensor:
    return (place[:, None] + torch.tensor([rook[axis] for rook in ROOKS])).flatten()


def _rough(color: Tensor, who: Tensor) -> Tensor:
    """Return the pixels ``[W, H]`` that differ from a neighbour in shape or colour."""
    rough = torch.zeros_like(who, dtype=torch.bool)
    for axis in (0, 1):
        size = who.shape[axis] - 1
        step = (color.narrow(axis + 1, 1, size) - color.narrow(axis + 1, 0, size)).abs().amax(0) > CONTRAST
        step |= who.narrow(axis, 1, size) != who.narrow(axis, 0, size)
        rough.narrow(axis, 1, size).logical_or_(step)
        rough.narrow(axis, 0, size).logical_or_(step)
    return rough


def _first_hits(scene: Scene, rays: Rays) -> tuple[Tensor, Tensor]:
    """Return the distance along every ray to its first hit, and the shape it hits, ``[N]``."""
    falls = (rays.way[1] < -1e-6) & (rays.origin[1] > 1e-4)
    t = torch.where(falls, -rays.origin[1] / rays.way[1], math.inf)
    who = torch.where(falls, GROUND, SKY).to(torch.int8)
    for index, shape in enumerate(scene.shapes):
        if (at := rays.window(index)) is None:
            continue
        origin = rays.origin if rays.origin.shape[1] == 1 else rays.origin[:, at]
        met = shape.hit(origin, rays.way[:, at])
        who[at].masked_fill_(met < t[at], index)
        t[at] = torch.minimum(t[at], met)
    return t, who


def _shown(scene: Scene, rays: Rays, t: Tensor, who: Tensor) -> Tensor:
    """Return display colours: a film curve (Narkowicz' fit of ACES, 2015) and gamma."""
    color = _radiance(scene, rays, t, who) * scene.exposure
    curve = color * (2.51 * color + 0.03) / (color * (2.43 * color + 0.59) + 0.14)
    return curve.clamp(0, 1) ** (1 / 2.2)


def _radiance(scene: Scene, rays: Rays, t: Tensor, who: Tensor) -> Tensor:
    """Return the light ``[3, N]`` along rays that meet ``who`` after ``t``."""
    above, below = ((who == SKY).nonzero()[:, 0], (who != SKY).nonzero()[:, 0])
    color = torch.empty_like(rays.way)
    color.index_copy_(1, above, _sky(scene, rays.way.index_select(1, above), rays.pixel))
    return color.index_copy_(1, below, _lit(scene, rays.only(below), t[below], who[below]))


def _lit(scene: Scene, rays: Rays, t: Tensor, who: Tensor) -> Tensor:
    shorten = dot(rays.way, rays.way).rsqrt()
    view, p = rays.way * shorten, rays.origin + rays.way * t
    normal, albedo, shine = _surfaces(scene, rays, p, view, t * rays.pixel, who)
    light, open_sky = _light(scene, rays, p, normal, who)
    sun = vector(scene.sun)
    upward = (0.5 + 0.5 * normal[1]) * open_sky
    direct = vector(scene.sunlight) * (dot(normal, sun).clamp(min=0) * light)
    color = albedo * (direct + vector(scene.ambient) * upward + vector(scene.bounce) * (1 - upward))
    back = view - 2 * dot(view, normal) * normal
    color += vector(scene.sunlight) * (shine * light * power(dot(back, sun).clamp(min=0), 6))
    if rays.spans:
        _reflect(scene, rays, color, who, p, back, -dot(view, normal))
    haze = _haze(scene, view)
    return haze + (color - haze) * torch.exp(-(t * scene.fog / shorten).square())


def _surfaces(
    scene: Scene, rays: Rays, p: Tensor, view: Tensor, wide: Tensor, who: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the normal and own colour ``[3, N]`` and highlight ``[N]`` of every point."""
    normal, albedo, shine = torch.zeros_like(p), torch.empty_like(p), torch.zeros_like(wide)
    normal[1] = 1
    ground = (who == GROUND).nonzero()[:, 0]
    across = wide[ground]
    albedo.index_copy_(
        1, ground, scene.ground.color(p.index_select(1, ground), across, across / -view[1, ground])
    )
    for index, shape in enumerate(scene.shapes):
        at = rays.window(index)
        if at is None or not len(own := (who[at] == index).nonzero()[:, 0] + at.start):
            continue
        points, size = p.index_select(1, own), shape.radius if isinstance(shape, Ball) else 1.0
        faces = shape.normal(points)
        across = wide[own] / size
        along = across / (-dot(faces, view.index_select(1, own))).clamp(min=0.1)
        normal.index_copy_(1, own, faces)
        albedo.index_copy_(1, own, shape.material.color(shape.own(points), across, along))
        shine[own] = shape.material.shine
    return normal, albedo, shine


def _light(scene: Scene, rays: Rays, p: Tensor, normal: Tensor, who: Tensor) -> tuple[Tensor, Tensor]:
    """Return the share of the sun and of the sky visible from every point, ``[N]``."""
    light, open_sky = torch.ones_like(p[0]), torch.ones_like(p[0])
    for index, shape in enumerate(scene.shapes):
        if (at := rays.window(index, Touch.SHADOW)) is not None:
            light[at] *= shape.light(p[:, at], scene.sun).masked_fill_(who[at] == index, 1)
        # it is not visible in a reflection
        if rays.spans and (at := rays.window(index, Touch.CONTACT)) is not None:
            open_sky[at] *= shape.sky(p[:, at], normal[:, at]).masked_fill_(who[at] == index, 1)
    return light, open_sky


def _reflect(
    scene: Scene, rays: Rays, color: Tensor, who: Tensor, p: Tensor, back: Tensor, facing: Tensor
) -> None:
    """Mix one reflection into the colour of mirrors.

    It is stronger and whiter towards their rims (Schlick's approximation).
    """
    for index, shape in enumerate(scene.shapes):
        strength = shape.material.mirror
        at = rays.window(index) if strength else None
        if at is None or not len(own := (who[at] == index).nonzero()[:, 0] + at.start):
            continue
        rim = power((1 - facing[own]).clamp(0, 1), 2)
        tint = vector(shape.material.a)
        bounced = Rays(p[:, own], back[:, own], rays.pixel * 4)
        seen = _radiance(scene, bounced, *_first_hits(scene, bounced))
        # at the rim the reflection shrinks to specks
        seen += (_haze(scene, bounced.way) - seen) * smooth(1 - facing[own] * 2.5)
        seen *= tint + (1 - tint) * rim
        color[:, own] += (seen - color[:, own]) * (strength + (1 - strength) * rim)


def _haze(scene: Scene, view: Tensor) -> Tensor:
    """Return the clear sky in any direction; below the horizon, the colour into which distance fades."""
    sky = scene.sky
    up = 1 - torch.exp(view[1].clamp(min=0) * -7)
    toward = dot(view, vector(scene.sun)).clamp(min=0)
    glow = 0.5 * power(toward, 2) + 0.8 * power(toward, 5)
    return vector(sky.horizon) * (1 - up) + vector(sky.zenith) * up + vector(sky.glow) * glow


def _sky(scene: Scene, way: Tensor, pixel: float) -> Tensor:
    """Return sun, clouds and two ridges of hills over the clear sky; all infinitely far."""
    view = way * dot(way, way).rsqrt()
    sky, haze = scene.sky, _haze(scene, view)
    toward = dot(view, vector(scene.sun))
    color = haze + vector(sky.glow) * 14 * smooth((toward - 0.9994) / 0.0005)
    flat = view / (view[1].clamp(min=0) + 0.16)
    puff = noise(torch.stack([flat[0] * 0.10 + 0.2, torch.full_like(flat[0], 0.31), flat[2] * 0.17]))
    amount = smooth((puff[0] + 0.25 * puff[1] + 4 * sky.cover - 2) * 0.5) * smooth((view[1] - 0.02) * 9)
    color += (vector(sky.cloud) + vector(sky.glow) * 0.5 * power(toward.clamp(min=0), 2) - color) * (
        amount * 0.85
    )
    turn = torch.atan2(view[0], view[2])
    for base, tall, share in ((0.050, 0.026, 0.40), (0.018, 0.018, 0.75)):
        ridge = base + tall * sum(
            torch.sin(turn * k + 70 * base * k) / n
            for n, k in ((1.6, 5.0), (2.6, 11.3), (5.0, 23.7), (11.0, 51.0))
        )
        below = smooth((ridge - view[1]) / (2 * pixel) + 0.5) * share * smooth(view[1] * 22 + 0.25)
        color += (vector(sky.hill) - color) * below
    return color
