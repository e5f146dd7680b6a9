"""Scenes with known flicker, and upscalers with and without flicker."""

from dataclasses import replace
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.support.scenes import Camera, Layer, Texture, street
from stereoreel.image.resize import resize
from stereoreel.stages.upscale.steady import Steady

WIDTH, HEIGHT, FRAMES = 320, 192, 8
SCENES = {
    "still": street(1, WIDTH, HEIGHT),
    "creep": street(11, WIDTH, HEIGHT, camera=Camera(pan=(0.1, 0.06))),
    "slow": street(6, WIDTH, HEIGHT, camera=Camera(pan=(0.37, 0.21))),
    "pan": street(2, WIDTH, HEIGHT, camera=Camera(pan=(3.3, 1.2))),
    "truck": street(3, WIDTH, HEIGHT, camera=Camera(truck=(9.0, 0.0))),
    "zoom": street(5, WIDTH, HEIGHT, camera=Camera(truck=(3.0, 1.0), zoom=1.012)),
}
BALL = Layer("ellipse", 0.99, Texture(77), (30.0, 110.0), (14.0, 14.0), velocity=(22.0, 2.0))
SCENES["object"] = replace(street(4, WIDTH, HEIGHT), layers=(*street(4, WIDTH, HEIGHT).layers, BALL))
MOVING = ("creep", "slow", "pan", "truck", "zoom")
ALL = (*SCENES, "fade", "cut")


@cache
def truth(name: str) -> torch.Tensor:
    """Return exact frames at the target size."""
    if name == "fade":
        return street(8, WIDTH, HEIGHT).clip(1)[0] * torch.linspace(1, 0.3, FRAMES)[:, None, None, None]
    if name == "cut":  # an undetected one
        return torch.cat(
            [street(seed, WIDTH, HEIGHT).clip(1)[0].expand(FRAMES // 2, -1, -1, -1) for seed in (9, 10)]
        )
    return SCENES[name].clip(FRAMES)[0]


@cache
def source(name: str, sigma: float) -> torch.Tensor:
    """Return what a camera of half the size records, with its noise, in levels of 255."""
    frames = resize(truth(name), HEIGHT // 2, WIDTH // 2, "area")
    noise = torch.randn(frames.shape, generator=torch.Generator().manual_seed(7))
    return (frames + sigma / 255 * noise).clamp(0, 1)


@cache
def seen(name: str) -> tuple[np.ndarray, torch.Tensor]:
    """Return the true motion to each next frame, and the visible pixels away from outlines."""
    motion, inside = [], []
    for t in range(FRAMES - 1):
        way, visible = SCENES[name].motion(t, t + 1)
        layer = SCENES[name].render(t).layer.float()[None, None]
        edge = F.max_pool2d(layer, 5, 1, 2) != -F.max_pool2d(-layer, 5, 1, 2)
        motion.append(way.numpy())
        inside.append(visible & ~edge[0, 0])
    return np.stack(motion), torch.stack(inside)


def background(name: str) -> torch.Tensor:
    """Return where the moving layer is never visible, ``[H, W]``."""
    scene = SCENES[name]
    return torch.stack([scene.render(t).layer != len(scene.layers) - 1 for t in range(FRAMES)]).all(0)


@cache
def filters() -> torch.Tensor:
    weights = torch.randn(12, 3, 3, 3, generator=torch.Generator().manual_seed(5))
    weights -= weights.mean((1, 2, 3), keepdim=True)
    return weights / weights.flatten(1).norm(dim=1)[:, None, None, None]


def lanczos(frames: torch.Tensor) -> torch.Tensor:
    return resize(frames, 2 * frames.shape[1], 2 * frames.shape[2])


def flickering(frames: torch.Tensor, amplitude: float = 6 / 255, gain: float = 255.0) -> torch.Tensor:
    """Upscale by 2 with synthesised texture, as real networks do.

    The high gain lets one level of noise in the source change the texture.
    """
    invented = torch.sin(gain * F.conv2d(F.pad(frames.movedim(-1, 1), (1, 1, 1, 1), "replicate"), filters()))
    return (lanczos(frames) + amplitude * F.pixel_shuffle(invented, 2).movedim(1, -1)).clamp(0, 1)


def denoising(frames: torch.Tensor) -> torch.Tensor:
    """Upscale without noise that could be stabilised."""
    smooth = F.avg_pool2d(frames.movedim(-1, 1), 3, 1, 1, count_include_pad=False)
    return lanczos(smooth.movedim(1, -1))


def sharpening(frames: torch.Tensor) -> torch.Tensor:
    """Upscale with stronger changes than the source's, but without flicker."""
    return (1.8 * lanczos(frames) - 0.8 * denoising(frames)).clamp(0, 1)


UPSCALERS = {"flickering": flickering, "lanczos": lanczos, "denoising": denoising, "sharpening": sharpening}


@cache
def upscaled(name: str, sigma: float, network: str = "flickering") -> torch.Tensor:
    return UPSCALERS[network](source(name, sigma))


def steadied(frames: torch.Tensor, large: torch.Tensor, strength: float = 1.0) -> torch.Tensor:
    steady = Steady(strength)
    return torch.stack([steady(*pair) for pair in zip(frames, large)])


@cache
def steady(name: str, sigma: float, network: str = "flickering") -> torch.Tensor:
    return steadied(source(name, sigma), upscaled(name, sigma, network))
