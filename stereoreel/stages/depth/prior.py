"""Guess depth from one frame's layout: low, central, detailed is near; high, pale, bluish, smooth is far."""

from __future__ import annotations

import numpy as np

from .edges import guided


def layout(image: np.ndarray, near_ground: float, alone: np.ndarray | None = None) -> np.ndarray:
    """Guess nearness ``[H, W]``, about 0..1, of ``image`` ``[H, W, 3]`` in 0..1.

    ``near_ground`` 0..1 weighs the height in the frame. ``alone`` ``[H, W]`` is the confidence that a pixel
    moves on its own, as objects in front mostly do.
    """
    import cv2

    height, width = image.shape[:2]
    down = ((np.arange(height, dtype=np.float32) + 0.5) / height)[:, None]
    across = ((np.arange(width, dtype=np.float32) + 0.5) / width)[None] * 2 - 1
    centre = np.exp(-1.5 * across**2) * np.exp(-3 * (down - 0.6) ** 2)
    luma = image @ np.array([0.299, 0.587, 0.114], np.float32)
    reach = max(1, max(height, width) // 40)
    detail = cv2.blur(np.abs(luma - cv2.blur(luma, (3, 3))), (2 * reach + 1,) * 2)
    detail = detail / (detail + 0.02)
    blue = image[..., 2] - np.maximum(image[..., 0], image[..., 1])
    sky = (
        np.clip((luma - 0.45) * 3 + blue * 3, 0, 1)
        * np.clip(1.2 - 3 * detail, 0, 1)
        * np.clip(1.4 - 2 * down, 0, 1)
    )
    guess = 1.3 * near_ground * down + 0.2 * centre + 0.15 * detail - 0.35 * sky
    if alone is not None:
        guess = guess + 0.4 * alone
    return surfaces(guess.astype(np.float32), image)


def surfaces(guess: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Smooth the guess over regions of one colour, and keep a part of it so that the ground still recedes."""
    side = max(image.shape[:2])
    drawn = guided(guess[..., None], image, max(1, side // 12), 5e-4, step=max(1, side // 128))
    drawn = guided(drawn, image, max(1, side // 32), 5e-4, step=max(1, side // 256))
    return 0.4 * guess + 0.6 * drawn[..., 0]
