"""Trace scenes of simple solids with procedural textures: a picture and its inverse depth.

A solid is a unit shape in axes of its own. Lengths are in metres, x right, y up, z forward.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np

GROUND, SPHERE, BOX, CYLINDER, CARD, ROOM = range(6)
FLAT, CLOUDY, STRIPES, TILES, SPOTS, WINDOWS, FACE, GRAIN, FADE, WAVES, ROAD = range(11)
RECTANGLE, HILLS, BUSH, TREE, SKYLINE = range(5)
FAR = 1e4  # distance of what is not hit
# columns of a solid's paint: texture, two colours, waves a metre, seed, outline, half sizes
FIRST, SECOND, WAVE, SEED, OUTLINE, SIZE = 1, 4, 7, 8, 9, 10

jit = numba.njit(fastmath=True, cache=True)


class Paint(NamedTuple):
    """A texture that mixes two RGB colours, ``wave`` metres long."""

    texture: int
    first: np.ndarray
    second: np.ndarray
    wave: float = 1.0


class View(NamedTuple):
    """A camera at ``eye``; rows of ``axes`` are its right, up and forward; ``focal`` in frame heights."""

    eye: np.ndarray
    axes: np.ndarray
    focal: float


class Light(NamedTuple):
    """The direction and the strengths of the lights, the air (RGB, haze a metre) and the sky.

    ``strength`` is that of the sun, of the sky and of a lamp on the camera. Rows of ``sky`` are the colours
    at the horizon and above, and the share, seed and density of clouds.
    """

    sun: np.ndarray
    strength: np.ndarray
    air: np.ndarray
    sky: np.ndarray


class Solids:
    """The solids of one scene."""

    def __init__(self):
        self.kinds: list[int] = []
        self.frames: list[np.ndarray] = []
        self.places: list[np.ndarray] = []
        self.paints: list[np.ndarray] = []

    def add(self, kind, place, size, paint: Paint, axes=None, outline=RECTANGLE) -> None:
        """Add a shape of half sizes ``size`` [3] about ``place``; rows of ``axes`` are its directions."""
        size = np.asarray(size, float)
        seed = len(self.kinds) * 7.13
        self.kinds.append(kind)
        self.frames.append((np.eye(3) if axes is None else axes) / size[:, None])
        self.places.append(np.asarray(place, float))
        look = (paint.texture, *paint.first, *paint.second, 1 / paint.wave, seed, outline, *size)
        self.paints.append(np.array(look))

    def limb(self, start, end, radius, paint: Paint) -> None:
        """Add an ellipsoid from one point to another."""
        start, end = np.asarray(start, float), np.asarray(end, float)
        length = np.linalg.norm(end - start) + 1e-6
        size = (radius, length / 2 + radius * 0.6, radius)
        self.add(SPHERE, (start + end) / 2, size, paint, along((end - start) / length))

    def render(self, random, shape, view: View, light: Light) -> tuple[np.ndarray, np.ndarray]:
        """Return a picture ``[h, w, 3]``, without an upper limit, and its inverse depth ``[h, w]``."""
        paints = np.array(self.paints)
        paints[:, SEED] += random.uniform(0, 1000)
        reach = np.linalg.norm(paints[:, SIZE:], axis=1)
        solids = (np.array(self.kinds), np.array(self.frames), np.array(self.places), paints, reach)
        image, depth = np.empty((*shape, 3), np.float32), np.empty(shape, np.float32)
        eye, axes = np.asarray(view.eye, float), np.asarray(view.axes, float)
        trace(*solids, eye, axes, view.focal * shape[0], *map(np.asarray, light), image, depth)
        return image, depth


def along(direction: np.ndarray) -> np.ndarray:
    """Return axes ``[3, 3]`` whose second is ``direction``."""
    side = np.cross(direction, [0.0, 0.0, 1.0] if abs(direction[2]) < 0.8 else [1.0, 0.0, 0.0])
    side /= np.linalg.norm(side)
    return np.stack([side, direction, np.cross(side, direction)])


def turned(angle: float) -> np.ndarray:
    """Return axes ``[3, 3]`` turned about the vertical."""
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])


@jit
def hashed(x, y, z, seed):
    n = np.int64(x) * 73856093 ^ np.int64(y) * 19349663 ^ np.int64(z) * 83492791
    n ^= np.int64(seed * 977) * 2654435761
    n = (n ^ (n >> 13)) * 1274126177
    return ((n ^ (n >> 16)) & 0xFFFF) / 65535.0


@jit
def noise(x, y, z, seed):
    """Return smooth noise in 0..1 of wavelength 1."""
    i, j, k = math.floor(x), math.floor(y), math.floor(z)
    u, v, w = x - i, y - j, z - k
    u, v, w = u * u * (3 - 2 * u), v * v * (3 - 2 * v), w * w * (3 - 2 * w)
    total = 0.0
    for a in range(2):
        for b in range(2):
            for c in range(2):
                weight = (u if a else 1 - u) * (v if b else 1 - v) * (w if c else 1 - w)
                total += weight * hashed(i + a, j + b, k + c, seed)
    return total


@jit
def fractal(x, y, z, seed, octaves):
    total, gain, whole = 0.0, 1.0, 0.0
    for _ in range(octaves):
        total += gain * noise(x, y, z, seed)
        whole += gain
        gain *= 0.6
        x, y, z = 2.03 * x + 3.1, 2.03 * y + 1.7, 2.03 * z + 9.2
    return total / whole


@jit
def covers(outline, x, y, seed):
    """Return whether the outline of a card, -1..1 both ways, contains a point."""
    if outline == RECTANGLE:
        return True
    if outline == HILLS:
        return y < fractal(2.5 * x, 0.5, 0.5, seed, 4) * 2 - 1
    if outline == SKYLINE:
        return y < hashed(math.floor(x * 12), 0, 0, seed) * 1.4 - 0.8
    square = x * x + y * y
    if outline == BUSH:
        return square < 0.5 + 0.5 * fractal(4 * x, 4 * y, 0.3, seed, 3)
    return square + 0.9 * fractal(6 * x, 6 * y, 0.3, seed, 4) < 1.15


@jit
def face(local, seed):
    mix = 0.25 * fractal(3 * local[0], 3 * local[1], 3 * local[2], seed, 3)
    if local[2] < 0:
        x, y = abs(local[0]), local[1]
        if ((x - 0.36) / 0.14) ** 2 + ((y - 0.08) / 0.08) ** 2 < 1:  # an eye
            mix = 1.0
        elif ((x - 0.36) / 0.2) ** 2 + ((y - 0.28) / 0.04) ** 2 < 1:  # its brow
            mix = 0.8
        elif (x / 0.26) ** 2 + ((y + 0.48) / 0.07) ** 2 < 1:  # the mouth
            mix = 0.6
        elif (x / 0.1) ** 2 + ((y + 0.18) / 0.06) ** 2 < 1:  # the nose
            mix = 0.4
    return mix


@jit
def built(texture, x, y, z, normal, seed):
    """Return the share of the second colour in tiles, spots, or windows."""
    i, j, k = math.floor(x), math.floor(y), math.floor(z)
    u, v, w = x - i, y - j, z - k
    if texture == TILES:
        edge = min(u, v if abs(normal[1]) < 0.5 else w)
        return 1.0 if edge < 0.08 else 0.6 * hashed(i, j, k, seed)
    if texture == SPOTS:
        size = 0.15 + 0.3 * hashed(i, j, k, seed)
        return 1.0 if (u - 0.5) ** 2 + (v - 0.5) ** 2 + (w - 0.5) ** 2 < size * size + 0.06 else 0.0
    u, i = (u, i) if abs(normal[0]) < 0.5 else (w, k)
    pane = 0.25 < u < 0.75 and 0.25 < v < 0.8 and abs(normal[1]) < 0.5
    return 0.5 + 0.5 * hashed(i, j, 0, seed) if pane else 0.0


@jit
def paint(look, local, normal, color):
    """Write the colour of a point of a solid to ``color``."""
    texture, wave, seed, mix = int(look[0]), look[WAVE], look[SEED], 0.0
    x, y, z = (
        local[0] * look[SIZE] * wave,
        local[1] * look[SIZE + 1] * wave,
        local[2] * look[SIZE + 2] * wave,
    )
    if texture == CLOUDY:
        mix = 2.2 * fractal(x, y, z, seed, 4) - 0.6
    elif texture == STRIPES:
        turns = x + 0.3 * y if seed % 2 < 1 else y + 0.3 * z
        mix = 1.0 if math.sin(6.283 * turns) > 0.2 else 0.0
    elif texture in (TILES, SPOTS, WINDOWS):
        mix = built(texture, x, y, z, normal, seed)
    elif texture == FACE:
        mix = face(local, seed)
    elif texture == GRAIN:
        coarse = fractal(0.08 * x, 0.08 * y, 0.08 * z, seed, 2)
        mix = 0.6 * fractal(x, y, z, seed, 2) + 0.6 * coarse - 0.1
    elif texture == FADE:
        mix = 0.5 + 0.5 * local[1]
    elif texture == WAVES:
        mix = 0.5 + 0.5 * math.sin(3 * x + 2 * math.sin(2 * y + seed) + 3 * z) * math.sin(2.3 * y + 1.1 * x)
    elif texture == ROAD:
        line = x - math.floor(x) < 0.04 and z - math.floor(z) < 0.5
        mix = 1.0 if line else 0.2 * noise(8 * x, 8 * y, 8 * z, seed)
    mix = min(1.0, max(0.0, mix))
    for c in range(3):
        color[c] = look[FIRST + c] * (1 - mix) + look[SECOND + c] * mix


@jit
def meet_cylinder(q0, q1, q2, r0, r1, r2):
    a, b, c = r0 * r0 + r2 * r2, q0 * r0 + q2 * r2, q0 * q0 + q2 * q2 - 1
    root = b * b - a * c
    if root < 0 or a == 0:
        return FAR, 0.0, 0.0, 0.0
    t = (-b - math.sqrt(root)) / a
    if abs(q1 + t * r1) <= 1:
        return t, q0 + t * r0, 0.0, q2 + t * r2
    if r1 == 0:
        return FAR, 0.0, 0.0, 0.0
    side = 1.0 if r1 < 0 else -1.0
    t = (side - q1) / r1
    if (q0 + t * r0) ** 2 + (q2 + t * r2) ** 2 > 1:
        return FAR, 0.0, 0.0, 0.0
    return t, 0.0, side, 0.0


@jit
def meet_box(q0, q1, q2, r0, r1, r2, within):
    near, far, axis, last = -FAR, FAR, 0, 0
    for k in range(3):
        q, r = (q0, r0) if k == 0 else ((q1, r1) if k == 1 else (q2, r2))
        r = r if abs(r) > 1e-9 else 1e-9
        first, second = (-1 - q) / r, (1 - q) / r
        if min(first, second) > near:
            near, axis = min(first, second), k
        if max(first, second) < far:
            far, last = max(first, second), k
    if near > far:
        return FAR, 0.0, 0.0, 0.0
    if within:
        near, axis = far, last
    return near, 1.0 * (axis == 0), 1.0 * (axis == 1), 1.0 * (axis == 2)


@jit
def meet_sphere(q0, q1, q2, r0, r1, r2):
    a, b, c = r0 * r0 + r1 * r1 + r2 * r2, q0 * r0 + q1 * r1 + q2 * r2, q0 * q0 + q1 * q1 + q2 * q2 - 1
    root = b * b - a * c
    if root < 0 or c < 0:
        return FAR, 0.0, 0.0, 0.0
    t = (-b - math.sqrt(root)) / a
    return t, q0 + t * r0, q1 + t * r1, q2 + t * r2


@jit
def meet(kind, frame, place, look, origin, ray, best, local, normal):
    """Return the distance at which a ray meets a solid, or ``FAR`` beyond ``best``.

    Write the point, in the solid's axes, and the normal there.
    """
    a0, a1, a2 = origin[0] - place[0], origin[1] - place[1], origin[2] - place[2]
    q0 = frame[0, 0] * a0 + frame[0, 1] * a1 + frame[0, 2] * a2
    q1 = frame[1, 0] * a0 + frame[1, 1] * a1 + frame[1, 2] * a2
    q2 = frame[2, 0] * a0 + frame[2, 1] * a1 + frame[2, 2] * a2
    r0 = frame[0, 0] * ray[0] + frame[0, 1] * ray[1] + frame[0, 2] * ray[2]
    r1 = frame[1, 0] * ray[0] + frame[1, 1] * ray[1] + frame[1, 2] * ray[2]
    r2 = frame[2, 0] * ray[0] + frame[2, 1] * ray[1] + frame[2, 2] * ray[2]
    t, n0, n1, n2 = FAR, 0.0, 1.0, 0.0
    if kind == GROUND:
        t = -q1 / r1 if r1 != 0 else FAR
    elif kind == CARD:
        t, n1, n2 = -q2 / r2 if r2 != 0 else FAR, 0.0, -1.0
    elif kind == SPHERE:
        t, n0, n1, n2 = meet_sphere(q0, q1, q2, r0, r1, r2)
    elif kind == CYLINDER:
        t, n0, n1, n2 = meet_cylinder(q0, q1, q2, r0, r1, r2)
    else:
        t, n0, n1, n2 = meet_box(q0, q1, q2, r0, r1, r2, kind == ROOM)
    if t <= 1e-3 or t >= best:
        return FAR
    x, y = q0 + t * r0, q1 + t * r1
    if kind == CARD and (abs(x) > 1 or abs(y) > 1 or not covers(int(look[OUTLINE]), x, y, look[SEED])):
        return FAR
    local[0], local[1], local[2] = x, y, q2 + t * r2
    for c in range(3):
        normal[c] = n0 * frame[0, c] + n1 * frame[1, c] + n2 * frame[2, c]
    return t


@jit
def missed(place, reach, origin, ray):
    """Return whether a ray passes a sphere."""
    a0, a1, a2 = place[0] - origin[0], place[1] - origin[1], place[2] - origin[2]
    way = a0 * ray[0] + a1 * ray[1] + a2 * ray[2]
    size = ray[0] * ray[0] + ray[1] * ray[1] + ray[2] * ray[2]
    return a0 * a0 + a1 * a1 + a2 * a2 - way * way / size > reach * reach


@jit
def shaded(kinds, frames, places, paints, reach, spot, sun, owner):
    """Return whether another solid stands between a point and the sun."""
    local, normal = np.empty(3), np.empty(3)
    for k in range(len(kinds)):
        if k == owner or kinds[k] == GROUND or kinds[k] == ROOM or kinds[k] == CARD:
            continue
        if missed(places[k], reach[k], spot, sun):
            continue
        if meet(kinds[k], frames[k], places[k], paints[k], spot, sun, 1e3, local, normal) < FAR:
            return True
    return False


@jit
def heaven(ray, sky, color):
    up = ray[1] / math.sqrt(ray[0] * ray[0] + ray[1] * ray[1] + ray[2] * ray[2])
    mix, cloud = min(1.0, max(0.0, up * 2.5 + 0.1)) ** 0.7, 0.0
    if sky[2, 0] > 0 and up > 0:
        cloud = fractal(3 * ray[0] / (up + 0.2), 3 * ray[2] / (up + 0.2), 0.5, sky[2, 1], 4)
        cloud = min(1.0, max(0.0, (cloud - 1 + sky[2, 0]) * 4)) * sky[2, 2]
    for c in range(3):
        color[c] = (sky[0, c] * (1 - mix) + sky[1, c] * mix) * (1 - cloud) + cloud * 0.95


@jit
def trace(kinds, frames, places, paints, reach, eye, axes, focal, sun, strength, air, sky, image, depth):
    height, width = depth.shape
    ray, local, normal = np.empty(3), np.empty(3), np.empty(3)
    at, facing, color, spot = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    for row in range(height):
        for column in range(width):
            u, v = (column + 0.5 - width / 2) / focal, (height / 2 - row - 0.5) / focal
            ray[:] = axes[2] + u * axes[0] + v * axes[1]
            best, owner = FAR, -1
            for k in range(len(kinds)):
                bounded = kinds[k] != GROUND and kinds[k] != ROOM
                if bounded and missed(places[k], reach[k], eye, ray):
                    continue
                t = meet(kinds[k], frames[k], places[k], paints[k], eye, ray, best, local, normal)
                if t < best:
                    best, owner = t, k
                    at[:], facing[:] = local, normal
            if owner < 0:
                depth[row, column] = 0.0
                heaven(ray, sky, color)
                image[row, column] = color
                continue
            depth[row, column] = 1 / best
            facing /= math.sqrt((facing * facing).sum()) + 1e-9
            towards = (facing * ray).sum()
            if towards > 0:
                facing *= -1
            spot[:] = eye + best * ray + 1e-3 * facing
            paint(paints[owner], at, facing, color)
            direct = max(0.0, (facing * sun).sum()) * strength[0]
            lit = direct > 0.02 and not shaded(kinds, frames, places, paints, reach, spot, sun, owner)
            shine = (direct if lit else 0.0) + strength[1] * (0.65 + 0.35 * facing[1])
            shine += strength[2] * abs(towards) / (1 + best)
            clear = math.exp(-best * air[3])
            image[row, column] = color * shine * clear + air[:3] * (1 - clear)
