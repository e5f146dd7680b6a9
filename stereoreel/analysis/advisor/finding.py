"""One measurement of footage."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """``value`` in ``unit`` (empty for a plain number), and its meaning in one plain sentence.

    ``sure`` is false if the sampled frames are inconclusive; the sentence says so too.
    """

    value: float
    unit: str
    text: str
    sure: bool = True
