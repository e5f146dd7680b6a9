"""What an overflow, a damaged file or a broken driver makes of a picture, seen before it spoils the film."""

from __future__ import annotations

from torch import Tensor

BLACK = 2 / 255  # the brightest that a black picture may be
LIT = 32 / 255  # how bright the brightest spot of the source must be for a black picture of it to be wrong
# mean difference at a seam of tiles that see the same pixels there; rounding makes a hundredth of it
MOSAIC = 0.1


def faults(sources: Tensor, made: Tensor) -> dict[int, str]:
    """What is wrong with which picture of a batch ``[N, C, H, W]``, float, 0..1."""
    low, high = (bound.amax((1, 2, 3)) for bound in (-made, made))  # NaN goes through both
    finite = low.isfinite() & high.isfinite()
    black = (high <= BLACK) & (sources.amax((1, 2, 3)) >= LIT)
    if bool((finite & ~black).all()):  # the one question to the device
        return {}
    named = enumerate(zip(finite.tolist(), black.tolist()))
    return {
        index: "is black" if whole else "holds NaN or infinity"
        for index, (whole, dark) in named
        if dark or not whole
    }


def seam_fault(disagreement: float) -> str | None:
    """What is wrong where tiles meet: they should agree on the pixels that both of them see."""
    if disagreement <= MOSAIC:
        return None
    return f"falls apart into tiles (neighbours differ by {100 * disagreement:.0f} % where they see the same pixels)"


def check_size(sources: Tensor, made: Tensor, scale: int) -> None:
    """RuntimeError where a network gives another size than it declares."""
    wanted = tuple(side * scale for side in sources.shape[-2:])
    if tuple(made.shape[-2:]) != wanted:
        raise RuntimeError(
            f"the network made {made.shape[-1]}x{made.shape[-2]} pixels where {wanted[1]}x{wanted[0]} are due; use another model."
        )
