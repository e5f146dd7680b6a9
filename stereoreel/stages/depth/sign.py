"""Decide whether depth from motion is the right way round, and how far it can be trusted, over a shot.

Parallax gives depth up to the sign of the camera's travel. The evidence of single frames is linked: depth of
one frame, warped to the next, either agrees with the depth found there or is its reverse. If it does neither,
the motion is not that of a still scene, and is not trusted.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

FADE = 0.9  # weight of evidence, per key frame of distance
CHANGE = 0.12  # of the confidence, at most, from one key frame to the next


class Link(NamedTuple):
    """Agreement of the depth of two consecutive key frames: -1 reversed, 0 unrelated, 1 equal."""

    agreement: float

    @property
    def carries(self) -> float:
        """Return the share of evidence that carries over, with its sign."""
        return float(np.sign(self.agreement) * np.clip((abs(self.agreement) - 0.15) / 0.3, 0, 1)) * FADE


class Decision:
    """The running decision of one shot; ``update`` once per key frame, in order."""

    def __init__(self):
        self._held: float | None = None  # signed confidence in -1..1
        self._past = self._weight = 0.0

    def update(self, signs: list[float], travels: list[float], links: list[float]) -> float:
        """Return the confidence -1..1 in the depth of a key frame as found; if negative, it is reversed.

        ``signs`` and ``travels`` are the evidence of this key frame and of those known after it. ``links`` is
        the agreement of each of them with the one before.
        """
        first = Link(links[0]).carries
        self._past, self._weight = self._past * first, self._weight * abs(first)
        total, weight, chain = self._past, self._weight, 1.0
        for place, (sign, travel, link) in enumerate(zip(signs, travels, links)):
            if place:
                chain *= Link(link).carries
            total, weight = total + chain * travel * sign, weight + abs(chain) * travel
        self._past, self._weight = self._past + travels[0] * signs[0], self._weight + travels[0]
        mean = total / (weight + 0.3)
        coherence = float(np.mean(np.abs(links[1:]))) if len(links) > 1 else abs(links[0])
        travelled = float(np.mean(travels))
        wanted = (
            np.sign(mean)
            * np.clip((abs(mean) - 0.15) / 0.3, 0, 1)
            * np.clip((coherence - 0.25) / 0.3, 0, 1)
            * np.clip((travelled - 0.2) / 0.4, 0, 1)
        )
        if self._held is None:
            self._held = float(wanted)
        else:
            held = self._held * float(np.sign(links[0]) or 1.0)
            self._held = held + float(np.clip(wanted - held, -CHANGE, CHANGE))
        return self._held
