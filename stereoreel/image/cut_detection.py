"""Cut detection: a new shot begins if no motion can explain a frame from the previous one.

Flashes, fades, noise and fast pans change every pixel but are not cuts; two scenes in the same colours are.
So the score compares structure: whether optical flow there and back agrees, and how well the compensated
frames correlate.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from torch import Tensor

from .flow import SMALLEST, flow, grayscale, warp
from .resize import resize

WHOLE = slice(None), slice(None)  # rows and columns
LONG_SIDE = 320  # of a thumbnail: larger finds no more, and costs more
GATE_SIDE = 32
GATE = 0.12  # least difference of 32x32 images for which motion is computed
LOST = 0.5  # share of pixels with inconsistent motion there and back, at sensitivity 0.5
UNLIKE = 0.2  # 1 - correlation after motion is compensated, at sensitivity 0.5
ASTRAY = 1.5  # pixels by which motion there and back may differ
PLAIN_UNLIKE = 0.5  # the same for frames too small for optical flow, which are compared as they are
# contrast in grey levels (standard deviation at 32x32) below which a frame is blank, noise included
FAINT = 3.0


class CutDetector:
    """Take thumbnails in order and return for each whether it begins a new shot.

    ``sensitivity`` is 0..1: more finds more cuts. A blank frame (black, or white in a flash) is never a cut;
    the frame after it is compared with the last one that was not blank.
    """

    def __init__(self, sensitivity: float = 0.5):
        self.sensitivity = sensitivity
        self._last: tuple[np.ndarray, np.ndarray] | None = None  # the frame, and the same at 32x32
        self._picture = WHOLE

    def look_at(self, picture: tuple[slice, slice]) -> None:
        """Compare these rows and columns too from now on: bars, which never change, would hide a cut."""
        self._picture = picture

    def feed(self, gray: np.ndarray) -> bool:
        """Whether the next thumbnail, uint8 ``[h, w]``, begins a new shot; the first frame does not."""
        small = reduced(gray)
        if small.std() < FAINT:
            return False
        last, self._last = self._last, (gray.copy(), small)
        if last is None or not differ(last[1], small):
            return False
        if is_new_shot(last[0], gray, self.sensitivity):
            return True
        picture = gray[self._picture]
        return picture.size < gray.size and is_new_shot(last[0][self._picture], picture, self.sensitivity)


def find_cuts(thumbnails: Iterable[np.ndarray], sensitivity: float = 0.5) -> list[int]:
    """Return the indices of the frames that begin a new shot, the first excepted.

    ``thumbnails`` are uint8 ``[h, w]`` in order.
    """
    detector = CutDetector(sensitivity)
    return [index for index, gray in enumerate(thumbnails) if detector.feed(gray)]


def thumbnail(frames: Tensor) -> np.ndarray:
    """Return uint8 luma ``[T, h, w]`` of frames ``[T, H, W, C]`` in 0..1, long side 320 at most."""
    height, width = frames.shape[1:3]
    shrink = min(1.0, LONG_SIDE / max(height, width))
    step = max(1, int(0.5 / shrink))  # all pixels of a large frame would take three times as long
    return grayscale(
        resize(
            frames[:, ::step, ::step, :3],
            max(1, round(height * shrink)),
            max(1, round(width * shrink)),
            "area",
        )
    )


def is_cut(previous: np.ndarray, current: np.ndarray, sensitivity: float = 0.5) -> bool:
    """Whether ``current`` begins a new shot after ``previous``; both uint8 ``[h, w]`` of one size."""
    return differ(reduced(previous), reduced(current)) and is_new_shot(previous, current, sensitivity)


def differ(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two frames at 32x32 differ enough, apart from brightness and contrast, to compute motion."""
    return 1 - correlation(first, second, faint=2.0) >= GATE


def is_new_shot(first: np.ndarray, second: np.ndarray, sensitivity: float) -> bool:
    """Whether two frames that differ belong to two shots."""
    return score(first, second) > 4 ** (0.5 - sensitivity)


def reduced(image: np.ndarray) -> np.ndarray:
    """Return the frame at 32x32, float; a side shorter than that keeps its size."""
    import cv2

    side = tuple(min(GATE_SIDE, edge) for edge in image.shape[::-1])
    return cv2.resize(image.astype(np.float32), side, interpolation=cv2.INTER_AREA)


def score(first: np.ndarray, second: np.ndarray) -> float:
    """Return the confidence of a cut; above 1 is one.

    Both signs must show: motion that disagrees, and images that do not correlate.
    """
    first, second = (denoised(image) for image in match_exposure(first, second))
    found = structure(first, second)
    # a whip pan exceeds the range of optical flow unless its shift is removed first
    if found > 0.5 and min(first.shape) >= SMALLEST:
        found = min(found, structure(*overlap(first, second)))
    return found


def structure(first: np.ndarray, second: np.ndarray) -> float:
    """Return the score of two frames in the same light."""
    if min(first.shape) < SMALLEST:
        return (1 - correlation(first, second)) / PLAIN_UNLIKE
    there, back = flow(first, second, "fast"), flow(second, first, "fast")
    return min(inconsistency(there, back) / LOST, decorrelation(first, second, there, back) / UNLIKE)


def denoised(image: np.ndarray) -> np.ndarray:
    """Blur the frame slightly: noise, which no motion explains, must not look like a change of scene."""
    import cv2

    return cv2.GaussianBlur(image, (0, 0), 1.5)


def overlap(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what both frames show if the second is the first shifted as a whole.

    Return the full frames if that is less than a third in each direction.
    """
    import cv2

    window = cv2.createHanningWindow(first.shape[::-1], cv2.CV_32F)
    (x, y), _ = cv2.phaseCorrelate(first.astype(np.float32), second.astype(np.float32), window)
    height, width = first.shape
    x, y = round(x), round(y)
    if abs(x) > width * 2 / 3 or abs(y) > height * 2 / 3:
        return first, second
    return (
        first[max(0, -y) : height - max(0, y), max(0, -x) : width - max(0, x)],
        second[max(0, y) : height - max(0, -y), max(0, x) : width - max(0, -x)],
    )


def inconsistency(there: np.ndarray, back: np.ndarray) -> float:
    """Return the share of pixels that do not return to where they started, of those inside the frame."""
    inside = inside_frame(there)
    if not inside.any():
        return 1.0
    return float((np.linalg.norm(there + warp(back, there, cubic=False), axis=-1) > ASTRAY)[inside].mean())


def decorrelation(first: np.ndarray, second: np.ndarray, there: np.ndarray, back: np.ndarray) -> float:
    """Return 1 - correlation after compensation, in the better direction, of pixels inside the frame."""
    pairs = (
        (first, warp(second, there, cubic=False), inside_frame(there)),
        (second, warp(first, back, cubic=False), inside_frame(back)),
    )
    return 1 - max(correlation(one[inside], other[inside]) for one, other, inside in pairs)


def inside_frame(motion: np.ndarray) -> np.ndarray:
    """Return a mask ``[H, W]`` of the pixels that motion leaves inside the frame."""
    height, width = motion.shape[:2]
    rows, columns = np.indices((height, width), dtype=np.float32)
    x, y = columns + motion[..., 0], rows + motion[..., 1]
    return (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)


def match_exposure(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both frames in the light of the one that is clipped more, stretched to full contrast.

    A flash then affects both in the same way.
    """
    clipped = [np.count_nonzero((image < 4) | (image > 251)) for image in (first, second)]
    if clipped[0] <= clipped[1]:
        first = match_histogram(first, second)
    else:
        second = match_histogram(second, first)
    low, high = np.percentile(first, 1), np.percentile(first, 99)
    gain = 255 / max(high - low, 8)
    return tuple(np.clip((image - low) * gain + 0.5, 0, 255).astype(np.uint8) for image in (first, second))


def match_histogram(image: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Map the levels of an image, in order, to those of another of the same size."""
    shares, wanted = (np.cumsum(np.bincount(picture.ravel(), minlength=256)) for picture in (image, like))
    return np.searchsorted(wanted, shares, side="left").clip(0, 255).astype(np.uint8)[image]


def correlation(first: np.ndarray, second: np.ndarray, faint: float = 1.0) -> float:
    """Return the correlation of two grey images, -1..1; about ``faint`` grey levels count as no contrast."""
    if not first.size:
        return 0.0
    first, second = (image - image.mean(dtype=np.float32) for image in (first, second))
    shared, power, least = (
        np.mean(first * second),
        (np.mean(first * first), np.mean(second * second)),
        faint * faint,
    )
    return float((shared + least) / ((power[0] + least) * (power[1] + least)) ** 0.5)
