"""How near the scene is behind a line of text, measured between two views."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

SIDE = 480  # pixels of width at which views are compared
FARTHEST = 0.1  # largest disparity that is searched, as a share of the width
PERCENTILE = 98
BLOCK = 5  # pixels
AROUND = 12  # rows above and below a box that are compared too
FEWEST = 24  # pixels that must be found


def nearest(pair: Tensor, box: tuple[int, int, int, int]) -> float | None:
    """Return the disparity of the nearest of the pixels in a box, in pixels; positive is before the screen.

    ``pair`` is ``[2, H, W, C]``. ``box`` is left, top, right, bottom. The nearest 2 percent do not count, nor
    does what only one view shows. None if the box has no texture to compare, and neither have its rows.
    """
    import cv2  # a slow import

    height, width = pair.shape[1:3]
    left, top, right, bottom = box
    scale = max(1.0, width / SIDE)
    reach = -(-round(FARTHEST * width / scale) // 8) * 8  # the search is over a multiple of 16
    rows = max(0, top - round(AROUND * scale)), min(height, bottom + round(AROUND * scale))
    columns = max(0, left - round(reach * scale)), min(width, right + round(reach * scale))
    if rows[0] >= rows[1] or columns[0] >= columns[1]:
        return None
    band = pair[:, slice(*rows), slice(*columns), :3].float().mean(-1, keepdim=True).movedim(-1, 1)
    size = [max(BLOCK, round((last - first) / scale)) for first, last in (rows, columns)]
    levels = (interpolate(band, size, mode="area")[:, 0].clamp(0, 1) * 255).round().to(torch.uint8)
    views = np.pad(levels.cpu().numpy(), ((0, 0), (0, 0), (reach, reach)), mode="edge")
    matcher = cv2.StereoSGBM.create(
        minDisparity=-reach, numDisparities=2 * reach, blockSize=BLOCK, P1=8 * BLOCK**2, P2=32 * BLOCK**2,
        disp12MaxDiff=1, uniquenessRatio=10, speckleWindowSize=30, speckleRange=1,
    )  # fmt: skip
    found = matcher.compute(*views)[:, reach:-reach] / 16
    known, inside = found > -reach, np.zeros(size, bool)
    down, across = (count / (last - first) for count, (first, last) in zip(size, (rows, columns)))
    inside[
        max(0, int((top - rows[0]) * down)) : max(1, round((bottom - rows[0]) * down)),
        max(0, int((left - columns[0]) * across)) : max(1, round((right - columns[0]) * across)),
    ] = True
    for chosen in (known & inside, known):
        if np.count_nonzero(chosen) >= FEWEST:
            return float(np.percentile(found[chosen], PERCENTILE)) / across
    return None
