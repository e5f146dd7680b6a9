"""Guess what stands in the foreground from the colours of one frame, if these differ from the background's.

Colours of the middle of the frame are compared with those of its top and sides by histograms, as a first step
of GrabCut does (Rother et al., SIGGRAPH 2004). A thing in the foreground stands on something that is near, or
is cut off by the lower edge: of what has its colours, only that counts.
"""

from __future__ import annotations

import numpy as np

LEVELS = (8, 16, 16)  # of L, a and b
CHROMA = 0.64  # largest a and b that are distinguished
NONE = 1e-3  # share of a colour that neither the middle nor the border has
HANGING = 0.5  # of the likelihood remains where what is below is background


def standing(color: np.ndarray) -> np.ndarray:
    """Return the likelihood ``[h, w]`` in 0..1 of foreground; ``color`` ``[h, w, 3]`` is Lab over 100."""
    return upright(likeness(color))


def likeness(color: np.ndarray) -> np.ndarray:
    """Return whether a colour is that of the middle of the frame, or of its top and sides, 0..1."""
    import cv2

    height, width = color.shape[:2]
    down = ((np.arange(height) + 0.5) / height)[:, None]
    across = np.abs((np.arange(width) + 0.5) / width * 2 - 1)[None]
    middle = np.exp(-((across / 0.5) ** 2) - ((down - 0.65) / 0.4) ** 2)
    top = np.clip(1 - down / 0.4, 0, 1) * np.clip(0.4 + across, 0, 1)
    sides = np.clip((across - 0.7) / 0.3, 0, 1) * np.clip((1 - down) / 0.3, 0, 1)
    place = np.ravel_multi_index(levels(color), LEVELS)
    inner, outer = (histogram(place, weight) for weight in (middle, np.maximum(top, sides)))
    found = ((inner + NONE) / (inner + outer + 2 * NONE)).ravel()[place]
    return cv2.GaussianBlur(found.astype(np.float32), (0, 0), 0.7)


def levels(color: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the bin of each of the three channels of Lab over 100, ``[h, w]`` each."""
    scaled = (color + (0, CHROMA, CHROMA)) / (1, 2 * CHROMA, 2 * CHROMA) * LEVELS
    return tuple(np.clip(scaled[..., k].astype(int), 0, count - 1) for k, count in enumerate(LEVELS))


def histogram(place: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the smoothed shares of the colours at ``place`` ``[h, w]`` by ``weight``, ``LEVELS``."""
    import cv2

    counts = np.bincount(place.ravel(), weight.ravel(), int(np.prod(LEVELS))).reshape(LEVELS)
    smooth = np.stack([cv2.GaussianBlur(layer, (3, 3), 0.7) for layer in counts])
    ends = np.concatenate([smooth[:1], smooth, smooth[-1:]])
    smooth = 0.25 * ends[:-2] + 0.5 * smooth + 0.25 * ends[2:]
    return smooth / (smooth.sum() + 1e-9)


def upright(found: np.ndarray) -> np.ndarray:
    """Return ``found`` ``[h, w]``, lowered where nothing likely is right below, down to the lower edge."""
    import cv2

    result = found.copy()
    for line in range(len(found) - 2, -1, -1):
        below = cv2.blur(result[line + 1][None], (3, 1))[0]
        result[line] = np.minimum(found[line], np.maximum(HANGING * found[line], below))
    return result
