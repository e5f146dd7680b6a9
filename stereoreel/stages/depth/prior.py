"""Guess depth from one frame's layout: low, central, set apart from the border is near; sky is far.

What stands in the foreground by its colours is near too, and, to a small part, what is red rather than green.
The weights of these cues were fitted to pairs of points marked by hand. Cues that did not help on clips they
were not fitted to were left out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .edges import guided
from .foreground import standing

GRID = 64  # longer side of the images on which distances from the border are measured
RED = 40.0  # a of Lab, from green to red, that counts as 1
STEADY = 0.002  # cost of a grid step without any change of colour
NOISE = 0.02  # change of colour a grid step that costs nothing


class Layout(NamedTuple):
    """Two guesses of nearness ``[H, W]``, about 0..1.

    ``place`` leaves out the foreground's colours, which change when a thing passes: motion is judged by it.
    """

    nearness: np.ndarray
    place: np.ndarray


def layout(image: np.ndarray, near_ground: float) -> Layout:
    """Guess nearness of ``image`` ``[H, W, 3]``, whose values are in 0..1.

    ``near_ground`` 0..1 weighs the height in the frame.
    """
    import cv2

    height, width = image.shape[:2]
    down = ((np.arange(height, dtype=np.float32) + 0.5) / height)[:, None]
    across = ((np.arange(width, dtype=np.float32) + 0.5) / width)[None] * 2 - 1
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
    color = lab(image)
    border, middle = apart(color), 1 - across**2
    guess = 0.77 * near_ground * down + 0.25 * middle + 0.27 * detail - 0.08 * sky
    guess = guess - 0.28 * near_ground * np.clip(1 - 4 * down, 0, 1)
    coarse = 0.2 * border + 0.5 * standing(color) + 0.11 * color[..., 1] * (100 / RED)
    fine, edge = (
        cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR) for one in (coarse, border)
    )
    place = 1.1 * near_ground * down + 0.5 * edge + 0.3 * middle + 0.1 * detail - 0.25 * sky
    return Layout((guess + fine).astype(np.float32), place.astype(np.float32))


def lab(image: np.ndarray) -> np.ndarray:
    """Return Lab over 100, ``[h, w, 3]``, of an image reduced to ``GRID``."""
    import cv2

    height, width = image.shape[:2]
    ratio = min(1.0, GRID / max(height, width))
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    return cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2Lab) / 100


def apart(color: np.ndarray) -> np.ndarray:
    """Return how far each pixel of Lab ``[h, w, 3]`` is set apart from the border, ``[h, w]`` in 0..1.

    The distance is the least change of colour on a way to the top or to the upper part of a side, where the
    background mostly is (Wei et al., "Geodesic Saliency Using Background Priors", ECCV 2012).
    """
    import cv2

    change = sum(
        cv2.Sobel(color[..., k], cv2.CV_32F, *way, scale=0.125) ** 2
        for k in range(3)
        for way in ((1, 0), (0, 1))
    )
    cost = np.maximum(np.sqrt(change) - NOISE, 0) + STEADY
    border = np.zeros(cost.shape, bool)
    border[0] = border[: round(0.6 * len(cost)), [0, -1]] = True
    distance = geodesic(cost.astype(np.float32), np.where(border, 0, 1e3).astype(np.float32))
    return distance / (distance + np.percentile(distance, 80) + 1e-3)


def geodesic(cost: np.ndarray, distance: np.ndarray, rounds: int = 2) -> np.ndarray:
    """Return the geodesic distance ``[h, w]`` by sweeps down, up, right and left."""
    for _ in range(rounds):
        for cost_way, distance_way in ((cost, distance), (cost.T, distance.T)):
            for price, result in ((cost_way, distance_way), (cost_way[::-1], distance_way[::-1])):
                for line in range(1, len(result)):
                    before = result[line - 1]
                    least = before.copy()
                    np.minimum(least[1:], before[:-1], out=least[1:])
                    np.minimum(least[:-1], before[1:], out=least[:-1])
                    np.minimum(result[line], least + price[line], out=result[line])
    return distance


def surfaces(guess: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Smooth the guess over regions of one colour, and keep a part of it so that the ground still recedes."""
    side = max(image.shape[:2])
    drawn = guided(guess[..., None], image, max(1, side // 12), 5e-4, step=max(1, side // 128))
    drawn = guided(drawn, image, max(1, side // 32), 5e-4, step=max(1, side // 192))
    return 0.4 * guess + 0.6 * drawn[..., 0]
