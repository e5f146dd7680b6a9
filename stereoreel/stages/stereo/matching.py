"""Measure the parallax of a stereo pair without depth, such as a film shot in stereo, by matching its views.

Semi-global matching (Hirschmüller, "Stereo processing by semi-global matching and mutual information", 2008),
OpenCV's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from ...core.clip import Shot
from ...image.flow import grayscale
from .overlay import REACH, Overlay

# width in pixels for matching; a step of the parallax is a 16th of a pixel, 0.01 % of the width
WIDTH = 640
BLOCK = 5  # side of the compared blocks, in pixels
# cost of a step by one pixel, and of a larger one, per compared pixel; OpenCV's advice
SMOOTH = (8, 32)
AGREE = 1  # pixels by which matching from the right view may differ; more counts as unknown


class MatchedOverlay(Overlay):
    """Stereo pairs ``[2, T, H, W, C]`` to the overlay's images ``[T, H, W, 3]`` of the left view."""

    joint = True

    def __call__(self, shot: Shot, pairs: Iterable[Tensor]) -> Iterator[dict[str, Tensor]]:
        place = shot.start
        for pair in pairs:
            parallax = torch.stack([matched(left, right) for left, right in zip(*map(grayscale, pair))]).to(
                self.device
            )
            yield {
                "clip": self.seen(
                    pair[0],
                    _grown(parallax, *pair.shape[2:4]),
                    parallax.new_zeros(len(parallax), 2),
                    shot,
                    place,
                )
            }
            place += len(parallax)


def matched(left: np.ndarray, right: np.ndarray) -> Tensor:
    """Return the left view's parallax ``[h, w]`` in frame pixels, NaN if uncertain; views are uint8.

    Positive in front of the screen; up to ``REACH`` percent of the width either way.
    """
    import cv2

    height, width = left.shape
    scale = min(1.0, WIDTH / width)
    if scale < 1:
        size = (round(width * scale), max(1, round(height * scale)))
        left, right = (cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (left, right))
    reach = 16 * -(-round(REACH / 100 * left.shape[1]) // 16)  # OpenCV counts in sixteens
    # it finds no match near the borders
    both = [cv2.copyMakeBorder(image, 0, 0, reach, reach, cv2.BORDER_REPLICATE) for image in (left, right)]
    matcher = cv2.StereoSGBM.create(
        -reach,
        2 * reach,
        BLOCK,
        P1=SMOOTH[0] * BLOCK**2,
        P2=SMOOTH[1] * BLOCK**2,
        disp12MaxDiff=AGREE,
        uniquenessRatio=5,
        speckleWindowSize=50,
        speckleRange=1,
    )
    found = torch.from_numpy(matcher.compute(*both)[:, reach:-reach].astype(np.float32)) / 16
    return torch.where(found >= -reach, found, torch.nan) / scale


def _grown(parallax: Tensor, height: int, width: int) -> Tensor:
    """Upsample by nearest neighbour, so that unknown stays unknown and no values are interpolated."""
    rows = (torch.arange(height, device=parallax.device) * parallax.shape[1]) // height
    columns = (torch.arange(width, device=parallax.device) * parallax.shape[2]) // width
    return parallax[:, rows][:, :, columns]
