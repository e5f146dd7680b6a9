"""Dissolve detection: one shot becomes another while every frame is a mixture of the two.

No frame of a dissolve differs from the last one as after a cut. So frames some way apart are compared: if
they belong to two shots, those between them are mixtures of the two in the expected shares, and none of the
texture stays in place, the second shot begins in the middle.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np

from .cut_detection import FAINT, CutDetector, denoised, is_new_shot

SPANS = (32, 24, 16, 12, 8)  # frames from the first to the last one compared
SIDE = 16  # of the images whose mixture is fitted: at this size motion changes little
ALIKE = 0.8  # correlation from which two frames are one shot
LEAST = 0.9  # share of the variance between that a mixture of the ends must explain
PRESENT = 0.05  # share that each of the two shots must have
STEP = 0.3  # by which the share of the second shot may differ from that of an even dissolve
TEXTURE = 16  # pixels: side of the neighbourhood whose light and contrast do not matter
FLAT = 4.0  # levels: contrast there that is no texture
KEPT = 0.2  # most of the texture that may be the same in the same place; up to 0.14 in dissolves


class ShotDetector:
    """Take thumbnails in order and collect the first frames of shots, after cuts and in dissolves."""

    def __init__(self, sensitivity: float = 0.5):
        self.starts: list[int] = []  # of all shots but the first
        self._cuts, self._dissolves, self._count = CutDetector(sensitivity), DissolveDetector(sensitivity), 0

    def look_at(self, picture: tuple[slice, slice]) -> None:
        """Look for cuts in these rows and columns too from now on: the picture within its bars."""
        self._cuts.look_at(picture)

    def feed(self, gray: np.ndarray) -> None:
        """Take the next thumbnail, uint8 ``[h, w]``."""
        cut = self._cuts.feed(gray)
        goes_on = self._dissolves.inside
        ago = self._dissolves.feed(gray, cut)
        if cut and self._count:
            self.starts.append(self._count)
        elif ago is not None:
            if goes_on:
                self.starts.pop()
            self.starts.append(self._count - ago)
        self._count += 1


def find_shots(thumbnails: Iterable[np.ndarray], sensitivity: float = 0.5) -> list[int]:
    """Return the first frames of all shots but the first; ``thumbnails`` are uint8 ``[h, w]`` in order."""
    detector = ShotDetector(sensitivity)
    for gray in thumbnails:
        detector.feed(gray)
    return detector.starts


class DissolveDetector:
    """Take thumbnails in order, and say after a dissolve how many frames ago the second shot began.

    A dissolve is found before its end. While it is ``inside`` one, later answers replace the first: the two
    shots are purer at the ends of the frames compared, and the second begins nearer to the middle.
    """

    def __init__(self, sensitivity: float = 0.5):
        self.sensitivity, self.inside = sensitivity, False
        self._shared = 1.0  # least correlation of the two shots in this dissolve
        # the thumbnail, and the same at 16x16 without its mean
        self._line: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=max(SPANS) + 1)

    def feed(self, gray: np.ndarray, cut: bool = False) -> int | None:
        """Return how many frames before the next thumbnail, uint8 ``[h, w]``, the second shot began, or None.

        ``cut`` says that the thumbnail begins a shot itself.
        """
        if cut:
            self._line.clear()
            self.inside = False
        self._line.append((gray, flattened(gray)))
        for span in SPANS:
            if span >= len(self._line):
                continue
            shared = self._mixed(span)
            if shared < self._shared if self.inside else shared <= ALIKE and self._replaced(span):
                self.inside, self._shared = True, shared
                return span // 2
        if self.inside:
            self.inside, last = False, self._line[-1]
            self._line.clear()
            self._line.append(last)
        return None

    def _mixed(self, span: int) -> float:
        """Return the correlation of the ends of the last ``span`` frames if the rest are mixtures, else 1."""
        images = [self._line[place - 1 - span][1] for place in range(0, span + 1, span // 4)]
        powers = [float(image @ image) for image in (images[0], images[-1])]
        if min(powers) < images[0].size * FAINT**2:
            return 1.0
        shared = float(images[0] @ images[-1]) / (powers[0] * powers[1]) ** 0.5
        if shared > ALIKE:
            return 1.0
        mixed = all(is_mixture(images[part], images[0], images[-1], part / 4) for part in (2, 1, 3))
        return shared if mixed else 1.0

    def _replaced(self, span: int) -> bool:
        """Whether the last ``span`` frames lead to another shot."""
        first, last = self._line[-1 - span][0], self._line[-1][0]
        # the cheaper question first
        return is_replaced(first, last) and is_new_shot(first, last, self.sensitivity)


def flattened(gray: np.ndarray) -> np.ndarray:
    """Return a thumbnail at 16x16 or less as a vector, float32, without its mean."""
    import cv2

    size = tuple(min(SIDE, edge) for edge in gray.shape[::-1])
    small = cv2.resize(gray, size, interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    return small - small.mean()


def is_replaced(first: np.ndarray, last: np.ndarray) -> bool:
    """Whether the texture of one thumbnail is gone in another, whatever the light in each part of them.

    It stays where a lamp or a shadow passes over a still picture, and around a title or a picture in it.
    """
    (one, plain), (other, bare) = texture(first), texture(last)
    power = np.sqrt(np.maximum(mean_around(one * one) * mean_around(other * other), 0))
    textured = ~(plain & bare)
    alike = textured & (mean_around(one * other) > ALIKE * power)
    return bool(np.count_nonzero(alike) <= KEPT * np.count_nonzero(textured))


def texture(gray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a thumbnail without the mean and the contrast of each neighbourhood, and a mask of flat ones."""
    detail = denoised(gray).astype(np.float32)
    detail -= mean_around(detail)
    contrast = np.sqrt(np.maximum(mean_around(detail * detail), 0))
    return detail / (contrast + FLAT), contrast < FLAT


def mean_around(image: np.ndarray) -> np.ndarray:
    """Return the means of the neighbourhoods of all pixels, float32 ``[h, w]``."""
    import cv2

    return cv2.blur(image, (TEXTURE, TEXTURE))


def is_mixture(image: np.ndarray, first: np.ndarray, second: np.ndarray, share: float) -> bool:
    """Whether an image is a sum of two others of which the second has about ``share``; all without mean."""
    ends = np.stack([first, second])
    products, wanted = ends @ ends.T + np.eye(2, dtype=np.float32), ends @ image
    parts = np.linalg.solve(products, wanted)
    if np.abs(parts - (1 - share, share)).max() > STEP or parts.min() < PRESENT:
        return False
    rest = image - parts @ ends
    return bool(rest @ rest <= (1 - LEAST) * (image @ image + image.size))
