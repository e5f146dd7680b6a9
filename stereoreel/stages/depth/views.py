"""Depth for viewing: in colours, and as a histogram with the zero-parallax plane. Stereo reads neither."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...core.clip import ClipInfo, Color, Shot
from ...core.transforms import Weightless

WIDTH, HEIGHT = 960, 540  # of a histogram
LEFT, TOP, RIGHT, BOTTOM = 60, 150, 900, 430  # of the plot in it; 0 is at LEFT, 1 at RIGHT
BAR = 7  # pixels a bar
BARS = (RIGHT - LEFT) // BAR
FINE = 10  # steps per bar for measuring the ends
BETWEEN = 16  # steps from one colour of OpenCV's table to the next: finer than eyes and 10 bits
END = 0.02  # fraction of the pixels that count as the nearest, or the farthest
TICKS = {0: "0 (far)", 0.25: "0.25", 0.5: "0.5", 0.75: "0.75", 1: "1 (near)"}
BACKGROUND, INK, QUIET = (30, 31, 33), (236, 236, 232), (160, 162, 166)
BEHIND, BEFORE = (104, 138, 186), (240, 158, 62)  # the colours of bars behind the screen and in front of it


class Screen(Protocol):
    """Finds the zero-parallax depth, frame by frame in one shot."""

    def follow(self, depth: Tensor) -> Tensor:
        """Take the next frame ``[H, W]``; return its plane, a scalar tensor."""
        ...


@dataclass(frozen=True)
class Colors(Weightless):
    """Depth in perceptually even colours: black (far), purple, orange, light yellow (near)."""

    inverted: bool = False  # whether the depth has far at 1
    label: str = "Depth colours"

    def describe(self, depth: ClipInfo) -> ClipInfo:
        return depth.replace(channels=3, color=Color())

    def __call__(self, shot: Shot, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        table = palette()
        for chunk in chunks:
            yield colored(nearness(chunk, self.inverted), table.to(chunk.device))


@dataclass(frozen=True)
class Histogram(Weightless):
    """The depth distribution of each frame with the zero-parallax plane: one image per frame, for both views.

    ``screen`` creates the tracker of that plane, given a frame rate. Heights grow with the square root of the
    fraction, so small objects stay visible next to a sky.
    """

    screen: Callable[[float], Screen]
    inverted: bool = False
    label: str = "Depth histogram"

    def describe(self, depth: ClipInfo) -> ClipInfo:
        return depth.replace(width=WIDTH, height=HEIGHT, channels=3, views=1, color=Color())

    def __call__(self, shot: Shot, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        screen, page, number = self.screen(float(shot.info.fps)), _Page(), shot.start
        for chunk in chunks:
            depth = nearness(chunk, self.inverted)
            frames = torch.cat(tuple(depth), -1) if depth.ndim == 4 else depth
            pictures = []
            for frame in frames:
                pictures.append(page.draw(measure(frame, screen), number))
                number += 1
            yield torch.stack(pictures).to(chunk.device)


@dataclass(frozen=True)
class Measures:
    """Histogram data of one frame; fractions are of its valid pixels, except ``missing``, which is of all."""

    shares: list[float]  # one per bar, far to near
    near: float  # the nearest END of the pixels are at least this near
    far: float
    front: float  # fraction in front of the screen
    plane: float
    missing: float  # fraction of NaN pixels

    def words(self) -> str:
        if self.missing == 1:
            return "the depth of this frame is unknown: all pixels are NaN"
        end = f"{END:.0%}".replace("%", " %")
        parts = [
            f"nearest {end}: {self.near:.2f}",
            f"farthest {end}: {self.far:.2f}",
            f"{_percent(self.front)} of the image in front of the screen",
        ]
        return " · ".join(parts + [f"{_percent(self.missing)} is unknown"] * bool(self.missing))


def nearness(chunk: Tensor, inverted: bool) -> Tensor:
    """Return a chunk's depth ``[..., H, W, C]`` as float32 ``[..., H, W]``, near = 1, in 0..1; NaN stays."""
    depth = chunk[..., 0].float().clamp(0, 1)
    return 1 - depth if inverted else depth


def palette() -> Tensor:
    """Return OpenCV's Inferno, interpolated by ``BETWEEN`` steps, as RGB in 0..1, far to near."""
    import cv2

    ramp = np.arange(256, dtype=np.uint8)[:, None]
    blue_first = torch.from_numpy(cv2.applyColorMap(ramp, cv2.COLORMAP_INFERNO)).float() / 255  # [256, 1, 3]
    return F.interpolate(
        blue_first.flip(-1).movedim(0, -1), 255 * BETWEEN + 1, mode="linear", align_corners=True
    )[0].T.contiguous()


def colored(depth: Tensor, table: Tensor) -> Tensor:
    """Return RGB ``[..., 3]`` of depth in 0..1; NaN shows as far."""
    return F.embedding((depth.nan_to_num(0) * (len(table) - 1)).round_().int(), table)


def measure(frame: Tensor, screen: Screen) -> Measures:
    """Measure the next frame ``[H, W]`` in 0..1."""
    steps = BARS * FINE
    counts = (
        torch.bincount((frame.nan_to_num(2) * steps).int().flatten(), minlength=2 * steps + 1).cpu().double()
    )
    counts[steps - 1] += counts[steps]  # depth 1
    missing, counts = float(counts[-1]), counts[:steps]
    total = frame.numel() - missing
    if not total:
        return Measures([], 0, 0, 0, 0, missing=1)
    plane = float(screen.follow(torch.where(frame.isnan(), frame.nanmean(), frame) if missing else frame))
    # steps at each end that hold less than END in total
    far, near = (int((ends.cumsum(0) < END * total).sum()) for ends in (counts, counts.flip(0)))
    return Measures(
        shares=(counts.view(BARS, FINE).sum(1) / total).tolist(),
        near=1 - (near + 0.5) / steps,
        far=(far + 0.5) / steps,
        front=float((frame > plane).sum()) / total,
        plane=plane,
        missing=missing / frame.numel(),
    )


class _Page:
    """Draws histograms."""

    def __init__(self):
        from PIL import Image, ImageDraw, ImageFont

        self.fonts = {size: ImageFont.load_default(size) for size in (16, 20, 28)}
        self.canvas = ImageDraw.Draw
        self.empty = Image.new("RGB", (WIDTH, HEIGHT), BACKGROUND)
        strip = colored(torch.linspace(0, 1, RIGHT - LEFT), palette()).mul(255).round().byte()
        self.empty.paste(Image.fromarray(strip.expand(14, -1, -1).numpy()), (LEFT, BOTTOM + 6))
        draw = self.canvas(self.empty)
        draw.line([(LEFT, BOTTOM), (RIGHT, BOTTOM)], QUIET)
        for value, text in TICKS.items():
            draw.text((column(value), BOTTOM + 28), text, QUIET, self.fonts[16], anchor="ma")
        draw.text((LEFT, HEIGHT - 42), "behind the screen", BEHIND, self.fonts[20])
        draw.text((RIGHT, HEIGHT - 42), "in front of the screen", BEFORE, self.fonts[20], anchor="ra")

    def draw(self, facts: Measures, number: int) -> Tensor:
        """Return the image ``[HEIGHT, WIDTH, 3]`` in 0..1."""
        picture = self.empty.copy()
        draw = self.canvas(picture)
        draw.text((LEFT, 24), f"Depth of frame {number}", INK, self.fonts[28])
        draw.text((LEFT, 68), facts.words(), INK, self.fonts[20])
        if facts.missing < 1:
            self._bars(draw, facts)
            self._screen(draw, facts.plane)
        return torch.from_numpy(np.array(picture)).float() / 255

    def _bars(self, draw, facts: Measures) -> None:
        tallest = max(facts.shares)
        for bar, share in enumerate(facts.shares):
            left, height = LEFT + bar * BAR, math.ceil(math.sqrt(share / tallest) * (BOTTOM - TOP))
            if height:
                color = BEFORE if (bar + 0.5) / BARS > facts.plane else BEHIND
                draw.rectangle([left, BOTTOM - height, left + BAR - 2, BOTTOM - 1], color)

    def _screen(self, draw, plane: float) -> None:
        place, text = column(plane), f"screen at {plane:.2f}, as set by Stereo's auto"
        room = draw.textlength(text, self.fonts[16]) / 2
        draw.line([(place, TOP - 22), (place, BOTTOM)], INK, 2)
        draw.text(
            (min(max(place, LEFT + room), RIGHT - room), TOP - 44), text, INK, self.fonts[16], anchor="ma"
        )


def column(value: float) -> int:
    """Return the horizontal position of a depth in the image."""
    return round(LEFT + value * (RIGHT - LEFT))


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 or share == 0 else "less than 1 %"
