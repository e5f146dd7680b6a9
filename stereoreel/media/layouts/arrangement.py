"""Two views on a GPU and the layout that they are to get, for a kernel that packs them as it reads them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .anaglyph import COLOR, DUBOIS, GRAY, HALF_COLOR, Matrix
from .layout import pack

# how a kernel finds a pixel of the packed frame; ``mix`` in stored values, ``dubois`` in linear light
WHOLE, ACROSS, HALF_ACROSS, DOWN, HALF_DOWN, ROWS, COLUMNS, CHECKERED, MIX, LINEAR_MIX = range(10)
KINDS = {
    "full_sbs": ACROSS,
    "cross_eyed": ACROSS,
    "two_files": ACROSS,
    "half_sbs": HALF_ACROSS,
    "full_tb": DOWN,
    "half_tb": HALF_DOWN,
    "interlaced_rows": ROWS,
    "interlaced_columns": COLUMNS,
    "checkerboard": CHECKERED,
    "anaglyph": LINEAR_MIX,
    "anaglyph_color": MIX,
    "anaglyph_half_color": MIX,
    "anaglyph_gray": MIX,
}
MATRICES = {
    "anaglyph": DUBOIS, "anaglyph_color": COLOR, "anaglyph_half_color": HALF_COLOR, "anaglyph_gray": GRAY,
}  # fmt: skip
SWAPPED = ("cross_eyed",)


class Arrangement(NamedTuple):
    """One frame of two views ``[2, 1, H, W, C]``, and its layout, one of ``KINDS``."""

    views: Tensor
    layout: str

    @property
    def kind(self) -> int:
        return KINDS[self.layout]

    @property
    def device(self) -> torch.device:
        return self.views.device

    @property
    def eyes(self) -> tuple[Tensor, Tensor]:
        """The view that the layout has first, and the other one, ``[H, W, C]``."""
        left, right = self.views[0, 0], self.views[1, 0]
        return (right, left) if self.layout in SWAPPED else (left, right)

    @property
    def matrices(self) -> tuple[Matrix, Matrix] | None:
        """The weights by which an anaglyph mixes the colours of each view."""
        return MATRICES.get(self.layout)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the packed frame."""
        height, width = self.views.shape[2:4]
        return {
            ACROSS: (height, 2 * width),
            HALF_ACROSS: (height, width + width % 2),
            DOWN: (2 * height, width),
            HALF_DOWN: (height + height % 2, width),
        }.get(self.kind, (height, width))

    def packed(self) -> Tensor:
        """Return the frame ``[H', W', C]``, as ``pack`` makes it."""
        return pack(self.views, self.layout)[0]


def arranged(views: Tensor, layout: str) -> Arrangement | None:
    """Return one frame ``[2, 1, H, W, C]`` as an arrangement, if it is on a GPU and a kernel can pack it."""
    return Arrangement(views, layout) if views.is_cuda and views.ndim == 5 and layout in KINDS else None
