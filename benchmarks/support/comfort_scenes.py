"""Shots of kinds that the rules of Stereo's strength were not set on, with exact depth."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.support.scenes import Camera, Layer, Scene, Texture, street

FIRST_SEED = 400  # of textures; the benchmark's other scenes use 0 to 7


def wall(depth: float, seed: int, size: tuple[int, int], slant: tuple[float, float] = (0.0, 0.0)) -> Layer:
    height, width = size
    return Layer("plane", depth, Texture(100 * seed), (width / 2, height / 2), slant=slant)


def crowd(seed: int, size: tuple[int, int]) -> Scene:
    """Return many figures at all depths, each with its own pace."""
    (height, width), random = size, torch.Generator().manual_seed(seed)
    layers = [wall(0.3, seed, size)]
    for number in range(14):
        a, b, c, d = torch.rand(4, generator=random).tolist()
        shape = "ellipse" if number % 2 else "box"
        middle, radius = (a * width, (0.4 + 0.5 * b) * height), (0.05 * width, 0.3 * height)
        pace = (1.2 * (d - 0.5), 0.0)
        texture = Texture(100 * seed + number + 1)
        layers.append(Layer(shape, 0.35 + 0.6 * c, texture, middle, radius, velocity=pace))
    return Scene(width, height, tuple(layers))


def portrait(seed: int, size: tuple[int, int]) -> Scene:
    """Return a head and shoulders that fill most of the picture, before a blank wall."""
    height, width = size
    middle = 0.55 * width
    head = Layer(
        "ellipse", 0.8, Texture(100 * seed + 1), (middle, 0.4 * height), (0.17 * width, 0.36 * height)
    )
    body = Layer(
        "ellipse", 0.7, Texture(100 * seed + 2), (middle, 1.2 * height), (0.42 * width, 0.55 * height)
    )
    return Scene(width, height, (wall(0.35, seed, size), body, head), Camera(pan=(0.15, 0.1)))


def landscape(seed: int, size: tuple[int, int]) -> Scene:
    """Return a sky, a ridge, and ground that comes up to the camera."""
    height, width = size
    ridge = Layer("ground", 0.06, Texture(100 * seed + 1), (width / 2, 0.35 * height))
    ground = Layer("ground", 0.1, Texture(100 * seed + 2), (width / 2, 0.45 * height), slant=(0.0, 1.6))
    return Scene(width, height, (wall(0.0, seed, size), ridge, ground), Camera(truck=(-1.5, 0.2)))


def night(seed: int, size: tuple[int, int]) -> Scene:
    """Return a far scene with one small near object."""
    height, width = size
    lamp = Layer(
        "box", 0.9, Texture(100 * seed + 1), (0.8 * width, 0.5 * height), (0.02 * width, 0.1 * height)
    )
    return Scene(width, height, (wall(0.08, seed, size, (0.05, 0.0)), lamp), Camera(pan=(-0.3, 0.0)))


def crossing(seed: int, size: tuple[int, int]) -> Scene:
    """Return a quiet room through which something passes close by, some frames after it begins."""
    height, width = size
    passer = Layer(
        "box",
        1.0,
        Texture(100 * seed + 1),
        (-0.6 * width, 0.5 * height),
        (0.15 * width, 0.6 * height),
        velocity=(0.05 * width, 0.0),
    )
    return Scene(width, height, (wall(0.25, seed, size, (0.2, 0.1)), passer))


def poles(seed: int, size: tuple[int, int]) -> Scene:
    """Return thin near poles all over a far wall: nearly everything is steep."""
    height, width = size
    near = [
        Layer(
            "box",
            0.9,
            Texture(100 * seed + 1 + number),
            ((number + 0.5) / 9 * width, height / 2),
            (2.5, height),
        )
        for number in range(9)
    ]
    return Scene(width, height, (wall(0.1, seed, size), *near), Camera(truck=(0.8, 0.0)))


def window(seed: int, size: tuple[int, int]) -> Scene:
    """Return a view between two near objects that the sides of the picture cut off."""
    height, width = size
    sides = [
        Layer(
            "box",
            0.95,
            Texture(100 * seed + 1 + number),
            (place * width, height / 2),
            (0.12 * width, height),
        )
        for number, place in enumerate((0.0, 1.0))
    ]
    far = wall(0.3, seed, size, (0.1, 0.3))
    return Scene(width, height, (far, *sides), Camera(zoom=1.004))


def title(seed: int, size: tuple[int, int]) -> Scene:
    """Return a wall and nothing else."""
    height, width = size
    return Scene(width, height, (wall(0.5, seed, size, (0.08, 0.03)),), Camera(zoom=0.997))


def walk(seed: int, size: tuple[int, int]) -> Scene:
    height, width = size
    return street(seed, width, height, camera=Camera(truck=(0.4, -0.3), zoom=1.006))


def whip(seed: int, size: tuple[int, int]) -> Scene:
    height, width = size
    return street(seed, width, height, camera=Camera(pan=(5.0, 0.4)))


KINDS = (walk, portrait, landscape, crossing, night, crowd, whip, poles, window, title, portrait, walk)


def shots(count: int, size: tuple[int, int]) -> tuple[list[Tensor], list[Tensor]]:
    """Return frames ``[T, H, W, 3]`` and depth ``[T, H, W, 1]`` of shots of different lengths.

    The second portrait comes nearer while it is shown.
    """
    random, frames, depth = torch.Generator().manual_seed(FIRST_SEED), list[Tensor](), list[Tensor]()
    for number, kind in enumerate(KINDS[:count]):
        length = int(24 + 72 * torch.rand((), generator=random))
        seen, truth = kind(FIRST_SEED + number, size).clip(length)
        truth = truth.clamp(0, 1)
        if kind in KINDS[:number] and kind is portrait:
            truth = truth * torch.linspace(0.4, 1, length)[:, None, None, None]
        frames.append(seen)
        depth.append(truth)
    return frames, depth
