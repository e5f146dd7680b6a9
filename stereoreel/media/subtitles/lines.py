"""The lines of a track as pictures for frames of one size, each at its own place."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice

import numpy as np
from PIL import Image

from ...core.clip import ClipInfo
from .cues import Cue, Cues, Picture
from .fonts import Fonts
from .script import Event
from .typeset import Drawing, Placed, Typesetter

log = logging.getLogger(__name__)
FEW = 8  # letters that a message names
MOST_AT_ONCE = 32  # lines that are shown together
FLAT = 1.02  # by which shapes may differ that are taken for equal
SD_LINES = (480, 486, 576)  # of canvases that are stretched to the shape of the frame


class Lines:
    """Draws lines of ``cues``; ``size`` scales text. Equal ``repr`` means equal pictures.

    Raise ValueError if no font has the letters.
    """

    def __init__(self, cues: Cues, size: float):
        self.cues, self.script, self.size = cues.lines, cues.script, size
        self.fonts = Fonts(cues.fonts)
        texts = [cue.shown for cue in cues.lines if isinstance(cue.shown, Event)]
        styles = {span.style for event in texts for row in event.rows for span in row}
        names = {self.fonts.find(one.font, one.bold, one.italic).name for one in styles}
        self._name = f"{cues.digest} {', '.join(sorted(names))} {size!r}"
        self.first = list(_groups(cues.lines))
        self._sheet: Sheet | None = None
        self._check(set("".join(event.text for event in texts)))

    def __repr__(self) -> str:
        return self._name

    def _check(self, letters: set[str]) -> None:
        missing = "".join(islice(self.fonts.missing(sorted(letters)), FEW))
        if missing:
            raise ValueError(
                f"No font on this machine has the letters {missing} of the subtitles. "
                "Install one, such as Noto Sans for their script."
            )

    def shown(self, begin: Fraction) -> Iterator[tuple[int, Cue]]:
        """Yield the lines that are not over at ``begin``, with their numbers, by their begin."""
        return ((number, cue) for number, cue in enumerate(self.cues) if cue.end > begin)

    def on(self, info: ClipInfo) -> Sheet:
        """Return the lines' pictures for frames of a clip."""
        size = info.width, info.height, info.pixel_aspect
        if self._sheet is None or self._sheet.size != size:
            self._sheet = Sheet(self, *size)
        return self._sheet


class Sheet:
    """Pictures of lines on frames of one size; it remembers where lines of text were placed."""

    def __init__(self, lines: Lines, width: int, height: int, aspect: Fraction):
        self.size = width, height, aspect
        self._lines, self._cues = lines, lines.cues
        self._width, self._height, self._aspect = width, height, float(aspect)
        square = max(1, round(width * self._aspect))
        self._setter = Typesetter(lines.script, lines.fonts, square, height, lines.size)
        self._placed: dict[int, Placed] = {}

    def draw(self, number: int) -> Drawing | None:
        """Return the picture of a line; None if nothing of it is in the frame."""
        shown = self._cues[number].shown
        try:
            drawing = self._picture(shown) if isinstance(shown, Picture) else self._text(number)
        except OSError:  # from FreeType
            log.warning("A line of the subtitles is left out, because the font that it needs is corrupt.")
            return None
        return drawing and _cropped(drawing, self._width, self._height)

    def _text(self, number: int) -> Drawing | None:
        drawing = self._place(number).drawn()
        if drawing is None or self._aspect == 1:
            return drawing
        width = max(1, round(drawing.pixels.shape[1] / self._aspect))
        pixels = _resized(drawing.pixels, width, drawing.pixels.shape[0])
        return Drawing(pixels, round(drawing.x / self._aspect), drawing.y)

    def _place(self, number: int) -> Placed:
        """Return a line's place, clear of the lines that are shown when it begins."""
        for one in range(self._lines.first[number], number + 1):
            cue = self._cues[one]
            if one in self._placed or not isinstance(cue.shown, Event):
                continue
            placed = self._setter.place(cue.shown)
            if not placed.fixed:
                earlier = range(max(self._lines.first[number], one - MOST_AT_ONCE), one)
                others = [self._placed[other] for other in earlier if self._meets(other, cue)]
                placed = placed.clear_of([other for other in others if not other.fixed])
            self._placed[one] = placed
        return self._placed[number]

    def _meets(self, number: int, cue: Cue) -> bool:
        other, shown = self._cues[number], cue.shown
        if not (isinstance(other.shown, Event) and isinstance(shown, Event)):
            return False
        return other.end > cue.begin and other.shown.layer == shown.layer

    def _picture(self, picture: Picture) -> Drawing:
        """Return a picture at the size of the frame; wider or higher canvases are centred on it.

        A canvas that is smaller than its picture, as some files state it, counts as large enough.
        """
        x, y, width, height = picture.box
        across, down = max(picture.canvas[0], x + width), max(picture.canvas[1], y + height)
        scale_x, scale_y = self._width / across, self._height / down
        shift = 0.0
        shape = across / down / (self._width * self._aspect / self._height)
        if down not in SD_LINES and not 1 / FLAT < shape < FLAT:
            scale_y = scale_x * self._aspect
            shift = (self._height - down * scale_y) / 2
        size = max(1, round(width * scale_x)), max(1, round(height * scale_y))
        top = round(y * scale_y + shift)
        top = max(0, min(top, self._height - size[1]))  # of bars that the frames lack
        pixels = picture.rgba.astype(np.float32) / 255
        pixels[..., :3] *= pixels[..., 3:]
        return Drawing(_resized(pixels, *size), round(x * scale_x), top)


def _groups(lines: tuple[Cue, ...]) -> Iterator[int]:
    """Yield for each line the first of those that it may have to be clear of, directly or by others."""
    first, end = 0, Fraction(0)
    for number, cue in enumerate(lines):
        if cue.begin >= end:
            first = number
        end = max(end, cue.end) if number > first else cue.end
        yield first


def _resized(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    if pixels.shape[:2] == (height, width):
        return pixels
    parts = [
        Image.fromarray(part).resize((width, height), Image.Resampling.BICUBIC)
        for part in np.moveaxis(pixels, -1, 0)
    ]
    return np.stack([np.asarray(part) for part in parts], -1).clip(0, 1)


def _cropped(drawing: Drawing, width: int, height: int) -> Drawing | None:
    """Return what may be seen of a drawing, also if it is moved sideways by its own width."""
    top, bottom = max(0, -drawing.y), min(drawing.pixels.shape[0], height - drawing.y)
    if top >= bottom or drawing.x >= 2 * width or drawing.x + drawing.pixels.shape[1] <= -width:
        return None
    return Drawing(drawing.pixels[top:bottom], drawing.x, drawing.y + top)
