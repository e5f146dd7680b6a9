"""Contact sheet of a chain, for some frames.

It shows source, upscaled frame, depth, left and right views and an anaglyph.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PIL import Image
from torch import Tensor

from ..core.clip import ClipInfo
from ..core.excerpt import evenly_spaced
from ..image.page import contact_sheet, to_image
from ..media.layouts.layout import pack
from ..media.read.decode import FileSource
from ..media.write.observer import Observer
from ..models.headless import Headless

MOMENTS = 4


class ChainSheet(Observer):
    """Collect a few frames while a stereo pair is written, with its depth and its source frames."""

    def __init__(self, source: Path, info: ClipInfo, title: str):
        self._source, self._info, self._title = source, info, title
        self._wanted, self._seen = evenly_spaced(info.frames, MOMENTS), 0
        self._rows: dict[int, list[tuple[str, Image.Image]]] = {}

    def chunk(self, frames: int, shown: Callable[[], tuple[Tensor, ...]]) -> None:
        for wanted in self._wanted:
            if self._seen <= wanted < self._seen + frames:
                self._rows[wanted] = self._pictures(
                    *(chunk.narrow(-4, wanted - self._seen, 1) for chunk in shown())
                )
        self._seen += frames

    def save(self, path: Path) -> None:
        rows = [
            [("source", self._frame_of_source(wanted)), *row] for wanted, row in sorted(self._rows.items())
        ]
        contact_sheet(rows, self._title).save(path)

    @staticmethod
    def _pictures(pair: Tensor, depth: Tensor, frame: Tensor) -> list[tuple[str, Image.Image]]:
        anaglyph = pack(pair, "anaglyph")
        named = {"upscaled": frame, "depth": depth, "left": pair[0], "right": pair[1], "anaglyph": anaglyph}
        return [(name, to_image(picture[0])) for name, picture in named.items()]

    def _frame_of_source(self, wanted: int) -> Image.Image:
        """Return the source's frame that is shown at the same time."""
        info = FileSource(self._source, cuts=False).info
        shown = min(int(wanted / self._info.fps * info.fps), info.frames - 1)
        source = FileSource(self._source, start=info.time(shown), cuts=False)
        return to_image(next(source.chunks(Headless("cpu"), 1))[0])
