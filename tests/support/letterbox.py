"""Composite bars over moving scenes: films whose bars are known to the row."""

from dataclasses import dataclass

import numpy as np

from stereoreel.image.bars import NO_BARS, Margins

RATIOS = (1.33, 1.66, 1.85, 2.0, 2.2, 2.39, 2.76, 9 / 16)


@dataclass(frozen=True)
class Barred:
    """A shot: its bars, and how they look; levels are grey levels of 255."""

    margins: Margins = NO_BARS
    frames: int = 12
    level: float = 0.0
    noise: float = 0.0
    tilt: bool = False  # edges lean by one row over the width
    text: bool = False  # a subtitle inside the lower bar
    logo: bool = False  # a channel's logo inside the upper bar
    light: float = 1.0  # of the scene
    seed: int = 0


def margins_of(ratio: float, width: int, height: int) -> Margins:
    """Return the bars that a picture of this ratio has in a frame."""
    if ratio > width / height:
        rows = height - round(width / ratio)
        return Margins(rows // 2, rows - rows // 2)
    columns = width - round(height * ratio)
    return Margins(0, 0, columns // 2, columns - columns // 2)


def moving_scene(shot: Barred, width: int, height: int) -> np.ndarray:
    """Return frames ``[T, H, W, 3]`` float32 0..255: soft texture that pans, and objects that cross it."""
    import cv2

    random = np.random.default_rng(shot.seed)
    wide, tall = width + 6 * shot.frames, height + 2 * shot.frames
    canvas = np.zeros((tall, wide, 3), np.float32)
    for grain, power in ((4, 60), (11, 45), (40, 20), (160, 8)):
        coarse = random.normal(0, power, (grain * tall // wide + 2, grain, 3)).astype(np.float32)
        canvas += cv2.resize(coarse, (wide, tall), interpolation=cv2.INTER_CUBIC)
    canvas = (canvas + random.uniform(70, 150)).clip(2, 253)
    speed = random.uniform(-5, 5), random.uniform(-1.5, 1.5)
    objects = [
        (
            random.uniform(0, 1, 2),
            random.uniform(-0.03, 0.03, 2),
            random.uniform(0.03, 0.15),
            random.uniform(0, 255, 3),
        )
        for _ in range(6)
    ]
    frames = []
    for time in range(shot.frames):
        x, y = (
            round(start * (speed < 0) * shot.frames + speed * time)
            for start, speed in ((5, speed[0]), (1.5, speed[1]))
        )
        x, y = min(max(x, 0), wide - width), min(max(y, 0), tall - height)
        image = canvas[y : y + height, x : x + width].copy()
        for place, drift, size, colour in objects:
            center = (place + drift * time) * (width, height)
            cv2.circle(
                image, tuple(int(c) for c in center), int(size * height), colour.tolist(), -1, cv2.LINE_AA
            )
        frames.append(image)
    return np.stack(frames) * shot.light


def barred(shot: Barred, width: int, height: int, scene: np.ndarray | None = None) -> np.ndarray:
    """Return the frames of a shot ``[T, H, W, 3]`` uint8: bars over ``scene``, noise over both."""
    random = np.random.default_rng(shot.seed + 1)
    frames = moving_scene(shot, width, height) if scene is None else scene.astype(np.float32)
    top, bottom, left, right = shot.margins
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    lean = x / (width - 1) if shot.tilt else 0.0
    cover = np.maximum.reduce(
        [
            (top - y + lean if shot.tilt and top else top - y).clip(0, 1),
            (y - (height - bottom) + 1 + (lean if shot.tilt and bottom else 0)).clip(0, 1),
            (left - x).clip(0, 1),
            (x - (width - right) + 1).clip(0, 1),
        ]
    )[..., None]
    frames = frames * (1 - cover) + shot.level * cover
    ink = _ink(shot, width, height)[..., None]
    frames = frames * (1 - ink) + 235 * ink
    if shot.noise:
        frames = frames + random.normal(0, shot.noise, frames.shape).astype(np.float32)
    return (frames + 0.5).clip(0, 255).astype(np.uint8)


def _ink(shot: Barred, width: int, height: int) -> np.ndarray:
    """Return where the subtitle and the logo are, 0..1 ``[H, W]``."""
    import cv2

    ink, (top, bottom, _, _) = np.zeros((height, width), np.uint8), shot.margins
    if shot.text and bottom > 12:
        words = ("I did not see", "WHO TOLD YOU?", "it, Marguerite -")[shot.seed % 3] + " none of you!"
        scale = min(bottom / 45, width / 700)
        span = cv2.getTextSize(words, cv2.FONT_HERSHEY_DUPLEX, scale, 1)[0]
        place = (width - span[0]) // 2, height - bottom + (bottom + span[1]) // 2
        cv2.putText(ink, words, place, cv2.FONT_HERSHEY_DUPLEX, scale, 255, 1, cv2.LINE_AA)
    if shot.logo and top > 12:
        cv2.circle(ink, (width - 2 * top, top // 2), top // 4, 180, -1, cv2.LINE_AA)
    return ink / np.float32(255)


def safe(shot: Barred) -> Margins:
    """Return the bars around the rows that are picture from end to end."""
    top, bottom, left, right = shot.margins
    # the lower edge leans into the picture, too
    return Margins(top + (shot.tilt and top > 0), bottom + (shot.tilt and bottom > 0), left, right)
