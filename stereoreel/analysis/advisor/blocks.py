"""Visibility of block compression, as a finding."""

from __future__ import annotations

from ...core.clip import ClipInfo
from ...image.blockiness import Blockiness
from .finding import Finding
from .windows import Window

LIGHT, STRONG = 0.25, 0.5  # of the value, for the wording


class Blocks:
    """The blockiness of a film, from every second frame of its windows."""

    def __init__(self) -> None:
        self.blockiness = Blockiness()

    def add(self, window: Window) -> None:
        for image in window.luma[window.own :: 2]:
            self.blockiness.add_bends(image)
        for image in window.luma[window.own :: 4]:
            self.blockiness.add_frequencies(image)

    def findings(self, info: ClipInfo) -> dict[str, Finding]:
        value = self.blockiness.value()
        if value is None:
            return {
                "blockiness": Finding(0.0, "0..1", "The frames are too small to detect blocks (0).", False)
            }
        meaning = (
            "no block compression shows" if value < 0.05 else "compression is light" if value < LIGHT
            else "compression removed detail and left some "
                 "blocks" if value < STRONG else "strong block compression, which an upscaler amplifies"
        )  # fmt: skip
        return {
            "blockiness": Finding(
                value, "0..1", f"Blockiness is {value:.2f} on a scale from 0 to 1: {meaning}."
            )
        }
