"""Keep Frames: a stage's output, rounded so that it can be stored on disk without loss.

``film.frame_store`` stores it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import Tensor

from .clip import ClipInfo, Shot
from .options import Options, option
from .transforms import Weightless

WHITE = 65535
FORMATS = {1: "gray16le", 3: "gbrp16le"}


@dataclass(frozen=True)
class KeepOptions(Options):
    """Options of Keep Frames."""

    folder: str = option(
        "kept/StereoReel", "Where frames are kept, inside the output folder. They stay until you delete them."
    )


OPTIONS = KeepOptions


@dataclass(frozen=True)
class Keep(Weightless):
    """The frames unchanged but for rounding to 16 bits.

    ``root`` is the folder, inside that of outputs, where a film keeps them.
    """

    root: str
    label: str = "Keep"
    faithful = True

    def describe(self, clip: ClipInfo) -> ClipInfo:
        if clip.channels not in FORMATS:
            raise ValueError(
                f"{self.label}: frames with alpha cannot be kept. Place this node before alpha is added."
            )
        return clip

    def __call__(self, shot: Shot, chunks: Iterable[Tensor]) -> Iterator[Tensor]:
        for chunk in chunks:
            yield levels(chunk).div(WHITE)


def levels(chunk: Tensor) -> Tensor:
    """Return the values stored for a chunk: whole numbers, still as floats."""
    return chunk.float().mul(WHITE).round_().clamp_(0, WHITE)
