"""Detect frames broken by an overflow, a corrupt file or a faulty driver before they reach the film."""

from __future__ import annotations

from torch import Tensor

BLACK = 2 / 255  # a frame whose maximum is at most this counts as black
LIT = 32 / 255  # a black output is wrong if the maximum of its source is at least this
# mean difference between tiles where they overlap; rounding causes a hundredth of it
MOSAIC = 0.1


def faults(sources: Tensor, outputs: Tensor) -> dict[int, str]:
    """Return the fault of each broken image in a batch ``[N, C, H, W]``, float, 0..1, by its index."""
    low, high = (bound.amax((1, 2, 3)) for bound in (-outputs, outputs))  # both keep NaN
    finite = low.isfinite() & high.isfinite()
    black = (high <= BLACK) & (sources.amax((1, 2, 3)) >= LIT)
    if bool((finite & ~black).all()):  # the only synchronisation with the device
        return {}
    named = enumerate(zip(finite.tolist(), black.tolist()))
    return {
        index: "is black" if valid else "contains NaN or infinity"
        for index, (valid, dark) in named
        if dark or not valid
    }


def seam_fault(disagreement: float) -> str | None:
    """Return the fault at the seams of tiles, if any: tiles should agree on the pixels they share."""
    if disagreement <= MOSAIC:
        return None
    return f"shows visible tiles (neighbours differ by {100 * disagreement:.0f} % on the pixels they share)"


def check_size(sources: Tensor, outputs: Tensor, scale: int) -> None:
    """Raise RuntimeError if a model returns another size than it declares."""
    expected = tuple(side * scale for side in sources.shape[-2:])
    if tuple(outputs.shape[-2:]) != expected:
        raise RuntimeError(
            f"Model output is {outputs.shape[-1]}x{outputs.shape[-2]}; expected {expected[1]}x{expected[0]}. "
            "Use another model."
        )
