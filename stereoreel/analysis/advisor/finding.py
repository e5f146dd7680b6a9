"""One measurement of footage."""

from __future__ import annotations

from dataclasses import dataclass

# from which the upscaler should clean a clip before any other stage: noise in levels of 255, blockiness
NOISY, BLOCKY = 3.0, 0.5


@dataclass(frozen=True)
class Finding:
    """``value`` in ``unit`` (empty for a plain number), and its meaning in one plain sentence.

    ``sure`` is false if the sampled frames are inconclusive; the sentence says so too.
    """

    value: float
    unit: str
    text: str
    sure: bool = True
