"""Detect frames broken by an overflow, a corrupt file or a faulty driver before they reach the film."""

from __future__ import annotations

import torch
from torch import Tensor

from ...image.host_copy import Download

BLACK = 2 / 255  # a frame whose maximum is at most this counts as black
LIT = 32 / 255  # a black output is wrong if the maximum of its source is at least this
# mean difference between tiles where they overlap; rounding causes a hundredth of it
MOSAIC = 0.1


class Verdict:
    """Whether the images of a batch are broken, computed on their device; the answer arrives later.

    Sources and outputs are ``[N, C, H, W]``, float, 0..1. ``seams`` ``[N]``, if images were divided, says how
    far tiles differ on the pixels they share; they should agree.
    """

    def __init__(self, sources: Tensor, outputs: Tensor, seams: Tensor | None = None):
        low, high = (bound.amax((1, 2, 3)) for bound in (-outputs, outputs))  # both keep NaN
        unfit = ~(low.isfinite() & high.isfinite())
        black = (high <= BLACK) & (sources.amax((1, 2, 3)) >= LIT)
        seams = torch.zeros_like(high) if seams is None else seams
        found = torch.stack([seams.float(), black.float(), unfit.float()])
        self._broken = Download(((found[0] > MOSAIC) | black | unfit).any())
        self._found = found

    def faults(self) -> dict[int, str]:
        """Return the fault of each broken image by its index."""
        if not bool(self._broken.wait()):
            return {}
        named = enumerate(self._found.T.tolist())
        return {index: _fault(*values) for index, values in named if _fault(*values)}


def _fault(seam: float, black: float, unfit: float) -> str:
    if unfit:
        return "contains NaN or infinity"
    if black:
        return "is black"
    if seam > MOSAIC:
        return f"shows visible tiles (neighbours differ by {100 * seam:.0f} % on the pixels they share)"
    return ""


def check_size(sources: Tensor, outputs: Tensor, scale: int) -> None:
    """Raise RuntimeError if a model returns another size than it declares."""
    expected = tuple(side * scale for side in sources.shape[-2:])
    if tuple(outputs.shape[-2:]) != expected:
        raise RuntimeError(
            f"Model output is {outputs.shape[-1]}x{outputs.shape[-2]}; expected {expected[1]}x{expected[0]}. "
            "Use another model."
        )
