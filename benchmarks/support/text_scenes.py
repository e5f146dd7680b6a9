"""Films with burned-in text, pixel by pixel known: subtitles, captions, credits and logos over scenes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from benchmarks.support.scenes import Camera, street

FINE = 8  # samples a pixel, along each axis
FONTS = (
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/TTF/DejaVuSans.ttf",
    "/Library/Fonts/Arial Unicode.ttf",
    "C:/Windows/Fonts/arial.ttf",
)
SCRIPTS = {
    "Latin": ("Where were you when the", "lights went out tonight?"),
    "Cyrillic": ("Где ты был, когда во всём", "городе погас свет?"),
    "Greek": ("Πού ήσουν όταν έσβησαν", "τα φώτα στην πόλη;"),
    "Arabic": ("أين كنت عندما انطفأت", "الأنوار في المدينة؟"),
}
CREDITS = (
    "DIRECTED BY", "Ada Marlowe", "", "WRITTEN BY", "Jon Quillfeather", "Mira Osei", "", "MUSIC",
    "The Low Tide", "", "CAMERA", "Ilse Brandt", "", "EDITED BY", "Sam Okafor", "Yuki Tanabe", "",
    "SOUND", "Lars Holm",
)  # fmt: skip


def font_file() -> str | None:
    """Return a font with these scripts, or None."""
    return next((name for name in FONTS if Path(name).is_file()), None)


@dataclass(frozen=True)
class Overlay:
    """A picture laid over frames: ``grey`` and ``opacity`` ``[h, w]``, at ``FINE`` samples a pixel.

    Its upper left corner is at ``place`` (x, y), in pixels, at frame 0; it moves by ``speed`` a frame, and is
    shown in frames ``[first, last)``.
    """

    grey: np.ndarray
    opacity: np.ndarray
    place: tuple[float, float]
    speed: tuple[float, float] = (0.0, 0.0)
    first: int = 0
    last: int = 1 << 30

    def at(self, time: float, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
        """Return grey times opacity and opacity ``[H, W]`` at any time; exact averages over each pixel."""
        import cv2

        if not self.first <= time < self.last:
            return np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
        x, y = (place + speed * time for place, speed in zip(self.place, self.speed))
        left, top = math.floor(x), math.floor(y)
        size = tuple(-(-side // FINE) + 1 for side in self.opacity.shape[::-1])
        move = np.array([[1, 0, (x - left) * FINE], [0, 1, (y - top) * FINE]], np.float32)
        laid = []
        for layer in (self.grey * self.opacity, self.opacity):
            fine = cv2.warpAffine(layer, move, (size[0] * FINE, size[1] * FINE))
            small = fine.reshape(size[1], FINE, size[0], FINE).mean((1, 3))
            whole = np.zeros((height, width), np.float32)
            rows, columns = (
                slice(max(0, top), max(0, top + size[1])),
                slice(max(0, left), max(0, left + size[0])),
            )
            part = small[max(0, -top) :, max(0, -left) :][
                : max(0, height - rows.start), : max(0, width - columns.start)
            ]
            whole[rows.start : rows.start + part.shape[0], columns.start : columns.start + part.shape[1]] = (
                part
            )
            laid.append(whole)
        return laid[0], laid[1]


@lru_cache(maxsize=32)
def lettered(
    lines: tuple[str, ...],
    size: float,
    outline: float = 0.0,
    box: float = 0.0,
    fill: float = 0.95,
    alpha: float = 1.0,
    centred: bool = True,
    edge: float = 0.02,
) -> tuple[np.ndarray, np.ndarray]:
    """Return grey and opacity ``[h, w]`` of lines of text, ``size`` pixels high.

    ``outline`` is its width in pixels, ``box`` the opacity of a dark box behind the lines.
    """
    font = ImageFont.truetype(font_file(), round(size * FINE))
    stroke = round(outline * FINE)
    boxes = [font.getbbox(line or " ", stroke_width=stroke) for line in lines]
    step = round(1.25 * size * FINE)
    margin = round(0.35 * size * FINE)
    width = max(right for _, _, right, _ in boxes) + 2 * margin + stroke
    height = step * len(lines) + 2 * margin
    ink, rim = Image.new("L", (width, height)), Image.new("L", (width, height))
    for number, (line, (left, _, right, _)) in enumerate(zip(lines, boxes)):
        at = ((width - (right - left)) // 2 - left if centred else margin, margin + number * step)
        ImageDraw.Draw(ink).text(at, line, 255, font)
        ImageDraw.Draw(rim).text(at, line, 255, font, stroke_width=stroke)
    inked, rimmed = (np.asarray(image, np.float32) / 255 for image in (ink, rim))
    opacity = np.maximum(rimmed, box)
    grey = np.where(opacity > 0, (inked * fill + (1 - inked) * edge), 0).astype(np.float32)
    return grey, (alpha * opacity).astype(np.float32)


def ring(side: float, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """Return grey and opacity of a channel logo: letters in a ring."""
    _, opacity = lettered(("TV5",), side * 0.36)
    size = round(side * FINE)
    image = Image.new("L", (size, size))
    ImageDraw.Draw(image).ellipse((8, 8, size - 9, size - 9), outline=255, width=round(0.08 * size))
    ring = np.asarray(image, np.float32) / 255
    top, left = (max(0, (size - part) // 2) for part in opacity.shape)
    part = opacity[:size, :size]
    ring[top : top + part.shape[0], left : left + part.shape[1]] = np.maximum(
        ring[top : top + part.shape[0], left : left + part.shape[1]], part
    )
    return np.full_like(ring, 0.9), ring * alpha


def laid(
    frames: Tensor, overlays: list[Overlay], start: float = 0.0, step: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Return frames ``[T, H, W, 3]`` with the overlays over them, and their opacity ``[T, H, W]``."""
    made, shown = frames.clone(), torch.zeros(frames.shape[:3])
    for index in range(len(frames)):
        for overlay in overlays:
            lit, opacity = (
                torch.from_numpy(part)
                for part in overlay.at(start + index * step, frames.shape[2], frames.shape[1])
            )
            made[index] = made[index] * (1 - opacity[..., None]) + lit[..., None]
            shown[index] = torch.maximum(shown[index], opacity)
    return made, shown


def subtitle(
    width: int,
    height: int,
    script: str = "Latin",
    kind: str = "outlined",
    first: int = 0,
    last: int = 1 << 30,
) -> Overlay:
    """Return two lines at the bottom: ``outlined``, ``plain``, ``boxed`` or ``shaded`` (half a box)."""
    size = 0.062 * height
    look = {
        "outlined": dict(outline=max(1.0, 0.07 * size)),
        "plain": dict(),
        "boxed": dict(box=1.0),
        "shaded": dict(box=0.6),
    }[kind]
    grey, opacity = lettered(SCRIPTS[script], size, **look)
    x = (width - opacity.shape[1] / FINE) / 2
    y = 0.94 * height - opacity.shape[0] / FINE
    return Overlay(grey, opacity, (round(x) + 0.3, round(y) + 0.4), first=first, last=last)


def credits(
    width: int, height: int, speed: float, lines: tuple[str, ...] = CREDITS, size: float = 0.05
) -> Overlay:
    """Return credits that scroll upwards by ``speed`` pixels a frame."""
    grey, opacity = lettered(lines, size * height)
    return Overlay(grey, opacity, ((width - opacity.shape[1] / FINE) / 2, 0.3 * height), (0.0, -speed))


def logo(width: int, height: int, alpha: float = 0.5) -> Overlay:
    grey, opacity = ring(0.14 * height, alpha)
    return Overlay(grey, opacity, (0.84 * width, 0.07 * height))


MOVES: dict[str, Camera] = {
    "sideways": Camera(truck=(3.0, 0.0)),
    "panning": Camera(truck=(1.0, 0.0), pan=(-2.5, 0.4)),
    "rising": Camera(truck=(0.5, 2.5)),
    "zooming": Camera(truck=(2.0, 0.0), zoom=1.012),
}


def moving(seed: int, move: str, frames: int, width: int = 480, height: int = 270) -> tuple[Tensor, Tensor]:
    """Return frames ``[T, H, W, 3]`` and their depth ``[T, H, W, 1]``, which moves under the camera."""
    return street(seed, width, height, camera=MOVES[move]).clip(frames)


class Exact:
    """A depth model that knows the truth."""

    joint, nets = False, ()

    def __init__(self, depth: torch.Tensor):
        self.depth = depth

    def __call__(self, shot, frames):
        place = 0
        for chunk in frames:
            yield self.depth[place : place + len(chunk)]
            place += len(chunk)
