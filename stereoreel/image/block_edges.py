"""Height of the steps that block compression leaves on its grid of 8x8 blocks, in levels.

The advisor's blockiness says whether blocks show; this says how wrong they are, which a filter has to know.
Codecs that smooth their own edges (H.264, HEVC, VP9) leave almost none.
"""

from __future__ import annotations

import numpy as np

BLOCK = 8  # pixels
MOST = 12.0  # levels; larger steps count as this, because they are edges of things


def block_step(luma: np.ndarray) -> float:
    """Return by how many levels steps across the grid exceed those inside blocks; about 0 uncompressed.

    ``luma`` is uint8 ``[H, W]``, its corner on the grid. A step is a difference of neighbours less the mean
    slope on both sides (Minami and Zakhor, 1995). Steps next to the edge, which a filter blurs, are left out.
    """
    if min(luma.shape) < 2 * BLOCK:
        return 0.0
    heights = np.zeros(BLOCK)
    for turned in (luma, luma.T):
        slopes = np.diff(turned.astype(np.float32), axis=0)
        steps = np.minimum(np.abs(slopes[1:-1] - (slopes[:-2] + slopes[2:]) / 2), MOST)
        # the first step leads to row 2
        heights += [steps[(row - 2) % BLOCK :: BLOCK].mean() / 2 for row in range(BLOCK)]
    return float(heights[0] - heights[2 : BLOCK - 1].mean())
