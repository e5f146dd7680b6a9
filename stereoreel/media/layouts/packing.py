"""How the frames of an existing file hold two views, and the size of one view in them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import sqrt

SIDE_BY_SIDE, TOP_BOTTOM = "side by side", "top-bottom"
ROWS, COLUMNS, CHECKERBOARD = "interlaced rows", "interlaced columns", "checkerboard"
ALTERNATING = "alternating frames"
RED_CYAN, GREEN_MAGENTA = "red-cyan anaglyph", "green-magenta anaglyph"
UNKNOWN = "two views"  # the file says that there are two, and not where
MONO = "one view"
ANAGLYPHS = (RED_CYAN, GREEN_MAGENTA)
SHARED = (
    SIDE_BY_SIDE,
    TOP_BOTTOM,
    ROWS,
    COLUMNS,
    CHECKERBOARD,
)  # both views have their own pixels of a frame

FILE_NAME = "its file name"  # as a reason
USUAL = 16 / 9  # the shape of one view, for guessing whether views are squeezed
SQUEEZED = Fraction(3, 2)  # pixels at least this wide, or this high, undo the squeeze of half views


@dataclass(frozen=True)
class Packing:
    """An arrangement of two views, which of them comes first, and what says so.

    ``half``: whether both are squeezed into the size of one; None if only their shape tells. ``sphere``: each
    view is half a sphere (VR180).
    """

    kind: str
    right_first: bool = False
    half: bool | None = None
    reason: str = ""
    sphere: bool = False

    @property
    def views(self) -> int:
        return 1 if self.kind in (MONO, UNKNOWN) else 2

    @property
    def doubtful(self) -> bool:
        """Whether only a file name states it, or the views cannot be had as they were."""
        return self.reason == FILE_NAME or self.kind in (UNKNOWN, *ANAGLYPHS)

    def fitted(self, width: int, height: int, aspect: Fraction) -> Packing:
        """Return the packing with ``half`` decided, for frames of this size and pixel shape."""
        if self.kind not in (SIDE_BY_SIDE, TOP_BOTTOM):
            return replace(self, half=False)
        if self.half is not None:
            return self
        wide = self.kind == SIDE_BY_SIDE
        if not self.sphere and (aspect >= SQUEEZED if wide else aspect <= 1 / SQUEEZED):
            return replace(self, half=True)
        shape, full = width * float(aspect) / height, sqrt(2) if wide else 1 / sqrt(2)
        half = shape < USUAL * full if wide else shape > USUAL * full
        return replace(self, half=half and not self.sphere)

    def view(self, width: int, height: int, aspect: Fraction) -> tuple[int, int, Fraction]:
        """Return width and height of one view without its squeeze, and the shape of its pixels.

        The packing is a ``fitted`` one.
        """
        wide, high = self.kind in (SIDE_BY_SIDE, COLUMNS), self.kind in (TOP_BOTTOM, ROWS)
        if self.kind == SIDE_BY_SIDE:
            width = width // 2 * (2 if self.half else 1)
        elif self.kind == TOP_BOTTOM:
            height = height // 2 * (2 if self.half else 1)
        if wide and aspect >= SQUEEZED and (self.half or self.kind == COLUMNS):
            aspect /= 2
        elif high and aspect <= 1 / SQUEEZED and (self.half or self.kind == ROWS):
            aspect *= 2
        return width, height, aspect

    def __str__(self) -> str:
        """Describe it: ``half side by side, right eye first, by its file name``."""
        words = [("half " if self.half else "") + self.kind]
        words += ["VR180"] * self.sphere + ["right eye first"] * (self.right_first and self.views == 2)
        return ", ".join([*words, *([f"by {self.reason}"] if self.reason else [])])


# Names of packings: those of Encode's layouts, where one exists.
NAMED = {
    "mono": Packing(MONO),
    "full_sbs": Packing(SIDE_BY_SIDE, half=False),
    "half_sbs": Packing(SIDE_BY_SIDE, half=True),
    "full_tb": Packing(TOP_BOTTOM, half=False),
    "half_tb": Packing(TOP_BOTTOM, half=True),
    "cross_eyed": Packing(SIDE_BY_SIDE, right_first=True, half=False),
    "interlaced_rows": Packing(ROWS),
    "interlaced_columns": Packing(COLUMNS),
    "checkerboard": Packing(CHECKERBOARD),
    "alternating": Packing(ALTERNATING),
    "anaglyph": Packing(RED_CYAN),
    "anaglyph_magenta": Packing(GREEN_MAGENTA),
    "vr180": Packing(SIDE_BY_SIDE, half=False, sphere=True),
}
AUTO = "auto"
CHOICES = (AUTO, *NAMED)


def of_layout(layout: str) -> Packing:
    """Return the packing of a file in this layout of Encode Video; one view if two cannot be separated."""
    if layout.startswith("anaglyph"):
        return NAMED["anaglyph"]
    return NAMED.get(layout, NAMED["mono"])
