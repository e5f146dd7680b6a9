"""Typeset an event of ASS with Pillow, in the proportions of libass: the height of a line is the font size.

Text is drawn larger and averaged, so that hinting moves nothing and places are exact to a part of a pixel.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import islice
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, features

from .fonts import Face, Fonts
from .script import Event, Rgba, Script, Style

FINE, LEAST_FINE = 8, 2  # times the size at which text is drawn
LARGE = 160  # pixels of a line's height at which hinting moves little
SHEAR, WEIGHT = 0.2, 1 / 40  # of an italic and a bold that no font of the family has
RIGHT_TO_LEFT = ("R", "AL")
MOST_PIXELS = 1 << 24  # of a drawing; a larger one is drawn coarser
MOST_RUNS = 256  # of a row
MOST_ROWS = 64


@dataclass(frozen=True, eq=False)
class Drawing:
    """A picture ``[h, w, 4]``, float32, premultiplied alpha, with its left top corner at ``x, y``."""

    pixels: np.ndarray
    x: int
    y: int


@dataclass(frozen=True)
class Run:
    """Text of one font and style on a row; ``height`` is that of its line in pixels of the frame."""

    text: str
    style: Style
    face: Face
    height: float

    @property
    def ascent(self) -> float:
        return self.height * self.face.ascent / (self.face.ascent + self.face.descent)


@dataclass(frozen=True, eq=False)
class Placed:
    """Rows with their corner at ``x, y``; ``unit`` is that of outlines in pixels.

    ``falls``: other lines move it down, not up. ``fixed``: the script states its place.
    """

    block: _Block
    x: float
    y: float
    column: int
    unit: float
    falls: bool
    fixed: bool

    def drawn(self) -> Drawing | None:
        """Return the picture; None if nothing of it is visible."""
        return self.block.drawn(self.x, self.y, self.column, self.unit)

    def clear_of(self, others: Sequence[Placed]) -> Placed:
        """Return it moved up or down, so that it covers no row of the others, outlines included."""
        left, right, height = self.x, self.x + self.block.width, self.block.height
        above, below, y = self.edge, height + self.edge, self.y
        beside = [one for one in others if one.x < right and one.x + one.block.width > left]
        for one in sorted(beside, key=lambda one: one.y, reverse=not self.falls):
            top, bottom = one.y - one.edge, one.y + one.block.height + one.edge
            if top < y + below and bottom > y - above:
                y = bottom + above if self.falls else top - below
        return replace(self, y=y)

    @property
    def edge(self) -> float:
        """The widest outline in pixels."""
        return self.block.outline * self.unit


class Typesetter:
    """Places events on frames of ``width`` x ``height`` square pixels; ``size`` scales the text."""

    def __init__(self, script: Script, fonts: Fonts, width: int, height: int, size: float = 1):
        self._script, self._fonts = script, fonts
        self._width, self._height, self._size = width, height, size
        self._across, self._down = width / script.width, height / script.height

    def place(self, event: Event) -> Placed:
        """Return the rows of an event at its own place; nothing is drawn yet."""
        left, right, vertical = event.margins
        left, right, vertical = left * self._across, right * self._across, vertical * self._down
        styles = [span.style for row in event.rows for span in row]
        largest = max(style.size * style.high for style in styles) * self._down * self._size
        fine = round(min(FINE, max(LEAST_FINE, LARGE / max(largest, 1))))
        limit = max(1.0, self._width - left - right)
        rows = (row for given in event.rows for row in self._wrapped(self._runs(given), limit, event.wraps))
        block = _Block(list(islice(rows, MOST_ROWS)), fine)
        column, line = (event.alignment - 1) % 3, (event.alignment - 1) // 3  # left 0, bottom 0
        if event.position:
            x, y = event.position[0] * self._across, event.position[1] * self._down
            x -= block.width * column / 2
            y -= block.height * (2 - line) / 2
        else:
            x = left + (self._width - left - right - block.width) * column / 2
            y = (self._height - vertical - block.height, (self._height - block.height) / 2, vertical)[line]
        unit = self._down if self._script.scales_outline else 1.0
        return Placed(block, x, y, column, unit, falls=line == 2, fixed=event.position is not None)

    def _runs(self, spans: Sequence) -> list[Run]:
        runs = []
        for span in spans:
            style, height = span.style, span.style.size * span.style.high * self._down * self._size
            for text, face in self._fonts.split(span.text, style.font, style.bold, style.italic):
                runs.append(Run(text, style, face, height))
        empty = spans[0].style if spans else Style()
        face = self._fonts.find(empty.font, False, False)
        return runs[:MOST_RUNS] or [Run("", empty, face, empty.size * self._down * self._size)]

    def _wrapped(self, runs: list[Run], limit: float, wraps: int) -> list[list[Run]]:
        """Return rows no wider than ``limit`` if words permit; equally long ones if ``wraps`` is 0 or 3."""
        width = _row_width
        if wraps == 2 or width(runs) <= limit:
            return [_trimmed(runs)]
        rows: list[list[Run]] = [[]]
        for word in _words(runs):
            if rows[-1] and width(_trimmed([*rows[-1], *word])) > limit:
                rows.append([])
            rows[-1] += word
        if wraps in (0, 3):
            _balance(rows, width)
        return [_trimmed(row) for row in rows]


def _words(runs: Sequence[Run]) -> Iterator[list[Run]]:
    """Divide runs after spaces and around wide characters, where a row may end."""
    word: list[Run] = []
    for run in runs:
        start = 0
        for place in range(1, len(run.text) + 1):
            before = run.text[place - 1]
            wide = any(unicodedata.east_asian_width(one) in "WF" for one in run.text[place - 1 : place + 1])
            closing = place < len(run.text) and unicodedata.category(run.text[place])[0] == "P"
            last = place == len(run.text)
            if last or before == " " or (wide and not closing):
                word.append(Run(run.text[start:place], run.style, run.face, run.height))
                start = place
                if not last or before == " " or wide:
                    yield word
                    word = []
    if word:
        yield word


def _balance(rows: list[list[Run]], width) -> None:
    """Move words to the next row as long as both become more alike."""
    for upper, lower in zip(rows, rows[1:]):
        while len(words := list(_words(upper))) > 1:
            shorter = [run for word in words[:-1] for run in word]
            longer = [*words[-1], *lower]
            now = abs(width(_trimmed(upper)) - width(_trimmed(lower)))
            if abs(width(_trimmed(shorter)) - width(_trimmed(longer))) >= now:
                break
            upper[:], lower[:] = shorter, longer


def _trimmed(row: Sequence[Run]) -> list[Run]:
    """Join the runs of one style, without the spaces at the ends of the row."""
    joined: list[Run] = []
    for run in row:
        if joined and (joined[-1].style, joined[-1].face) == (run.style, run.face):
            run = Run(joined.pop().text + run.text, run.style, run.face, run.height)
        joined.append(run)
    while joined and not joined[0].text.strip(" "):
        joined.pop(0)
    while joined and not joined[-1].text.strip(" "):
        joined.pop()
    for place, strip in ((0, str.lstrip), (-1, str.rstrip)):
        if joined:
            run = joined[place]
            joined[place] = Run(strip(run.text, " "), run.style, run.face, run.height)
    return joined or list(row[:1])


def _row_width(row: Sequence[Run]) -> float:
    return sum(_advance(run) for run in row)


def _advance(run: Run) -> float:
    length = run.face.length(_shown(run.text), run.height, **_shaping(run.text))
    return length * run.style.wide / run.style.high


class _Block:
    """Rows of runs, one above the other; widths and heights are in pixels of the frame."""

    def __init__(self, rows: Sequence[list[Run]], fine: int):
        self._fine = fine
        self._rows = [_in_reading_order(row) for row in rows]
        self._widths = [_row_width(row) for row in self._rows]
        self._ascents = [max(run.ascent for run in row) for row in self._rows]
        below = [max(run.height - run.ascent for run in row) for row in self._rows]
        self._heights = [one + other for one, other in zip(self._ascents, below)]
        self.width, self.height = max(self._widths), sum(self._heights)
        self.outline = max(0, *(run.style.outline for row in self._rows for run in row))

    def drawn(self, x: float, y: float, column: int, unit: float) -> Drawing | None:
        """Return the picture with the block's corner at ``x, y``; ``unit`` is that of outlines in pixels."""
        styles = [run.style for row in self._rows for run in row]
        border = max(max(one.outline, 0) + abs(one.shadow) for one in styles) * unit
        pad = round(border + max(self._heights) / 2) + 2
        left, top = round(x) - pad, round(y) - pad
        width, height = round(self.width) + 2 * pad + 2, round(self.height) + 2 * pad + 2
        fine = self._fine if width * height * self._fine**2 <= MOST_PIXELS else 1
        if width * height > MOST_PIXELS:
            return None
        canvas = _Canvas(width, height, fine, unit)
        at = y - top
        for row, across, ascent, down in zip(self._rows, self._widths, self._ascents, self._heights):
            place = x - left + (self.width - across) * column / 2
            for run in row:
                canvas.add(run, place, at + ascent, at, at + down)
                place += _advance(run)
            at += down
        pixels = canvas.pixels()
        visible = np.argwhere(pixels[..., 3] > 0)
        if not len(visible):
            return None
        (first, begin), (last, end) = visible.min(0), visible.max(0) + 1
        pixels = np.ascontiguousarray(pixels[first:last, begin:end])
        return Drawing(pixels, left + int(begin), top + int(first))


class _Canvas:
    """Layers of a drawing: all shadows, then outlines, then letters."""

    def __init__(self, width: int, height: int, fine: int, unit: float):
        self._size, self._fine, self._unit = (width * fine, height * fine), fine, unit
        self._layers: dict[int, np.ndarray] = {}

    def add(self, run: Run, x: float, y: float, top: float, bottom: float) -> None:
        """Add a run with its baseline at ``x, y``, on a row from ``top`` to ``bottom``."""
        style, edge = run.style, max(run.style.outline, 0) * self._unit
        letters = self._mask(run, x, y, 0)
        if style.box:
            border = self._box(x - edge, top - edge, x + _advance(run) + edge, bottom + edge)
        else:
            border = self._mask(run, x, y, edge) if edge else letters
        if style.shadow:
            far = round(style.shadow * self._unit * self._fine) // self._fine or 1
            self._paint(0, _shifted(border, far), style.back_colour)
        if edge or style.box:
            self._paint(1, border, style.outline_colour)
        self._paint(2, letters, style.colour)

    def _paint(self, layer: int, mask: np.ndarray, colour: Rgba) -> None:
        """Draw a colour into a layer, over what is in it."""
        opacity = (mask * (colour[3] / 255))[..., None]
        flat = np.array([*(part / 255 for part in colour[:3]), 1], np.float32)
        below = self._layers.get(layer)
        self._layers[layer] = flat * opacity + (0 if below is None else below * (1 - opacity))

    def pixels(self) -> np.ndarray:
        """Return the layers over each other, premultiplied."""
        lowest, *others = (self._layers[layer] for layer in sorted(self._layers))
        return reduce(lambda below, above: above + below * (1 - above[..., 3:]), others, lowest)

    def _mask(self, run: Run, x: float, y: float, edge: float) -> np.ndarray:
        """Return the coverage of a run's letters, each pixel's from 0 to 1, widened by ``edge`` pixels."""
        fine, style, face = self._fine, run.style, run.face
        font, text = face.at(run.height * fine), _shown(run.text)
        weight = run.height * fine * WEIGHT if style.bold and not face.bold else 0
        stroke = round(edge * fine + weight)
        at = x * fine, y * fine
        thick, length = run.height * fine / 16, _advance(run) * fine
        drawn = font.getlength(text, **_shaping(run.text)) or length
        room = min(round(self._size[0] + max(0, drawn - length)), MOST_PIXELS // self._size[1])
        image = Image.new("L", (max(room, self._size[0]), self._size[1]))
        draw = ImageDraw.Draw(image)
        draw.text(at, text, 255, font, anchor="ls", stroke_width=stroke, **_shaping(run.text))
        for on, height in ((style.underline, 0.1), (style.strike, -0.25)):
            if on:
                line = at[1] + height * run.height * fine
                draw.rectangle(
                    (at[0] - stroke, line - stroke, at[0] + drawn + stroke, line + thick + stroke), 255
                )
        shear, widen = SHEAR if style.italic and not face.italic else 0, drawn / max(length, 1)
        # hinting rounds every letter's width
        if shear or abs(drawn - length) > 0.5 or image.size != self._size:
            place = at[0] * (1 - widen) - shear * at[1]
            image = image.transform(
                self._size, Image.Transform.AFFINE, (widen, shear, place, 0, 1, 0), Image.Resampling.BILINEAR
            )
        return np.asarray(image.reduce(fine), np.float32) / 255

    def _box(self, left: float, top: float, right: float, bottom: float) -> np.ndarray:
        image = Image.new("L", self._size)
        corners = [round(edge * self._fine) for edge in (left, top, right, bottom)]
        ImageDraw.Draw(image).rectangle((corners[0], corners[1], corners[2] - 1, corners[3] - 1), 255)
        return np.asarray(image.reduce(self._fine), np.float32) / 255


def _shifted(mask: np.ndarray, far: int) -> np.ndarray:
    """Return a mask moved right and down."""
    moved = np.zeros_like(mask)
    if abs(far) < min(mask.shape):
        moved[max(far, 0) : mask.shape[0] + min(far, 0), max(far, 0) : mask.shape[1] + min(far, 0)] = mask[
            max(-far, 0) : mask.shape[0] - max(far, 0), max(-far, 0) : mask.shape[1] - max(far, 0)
        ]
    return moved


def _reads_left(text: str) -> bool:
    """Whether the first letter with a direction is of a script that is written to the left."""
    kinds = (unicodedata.bidirectional(letter) for letter in text)
    return next((kind in RIGHT_TO_LEFT for kind in kinds if kind in ("L", *RIGHT_TO_LEFT)), False)


def _in_reading_order(row: list[Run]) -> list[Run]:
    return row[::-1] if _reads_left("".join(run.text for run in row)) else row


def _shapes() -> bool:
    """Whether Pillow shapes scripts and orders their letters itself."""
    return bool(features.check_feature("raqm") and features.version_feature("fribidi"))


def _shaping(text: str) -> dict[str, Any]:
    """Return the options of Pillow for a text; pairs are not kerned, as libass does unless a script asks."""
    if not _shapes():
        return {}
    return {"direction": "rtl" if _reads_left(text) else "ltr", "features": ["-kern"]}


def _shown(text: str) -> str:
    """Return a text in the order in which it is drawn, which is its own if Pillow orders letters itself."""
    return text if _shapes() or not _reads_left(text) else visual_order(text)


def visual_order(text: str) -> str:
    """Return a text that reads to the left in the order from its left end; numbers keep theirs."""
    parts: list[str] = []
    for letter in text:
        forward = unicodedata.bidirectional(letter) in ("L", "EN", "AN", "ES", "CS")
        if (
            parts
            and forward
            and parts[-1][:1]
            and unicodedata.bidirectional(parts[-1][-1]) in ("L", "EN", "AN")
        ):
            parts[-1] += letter
        else:
            parts.append(letter)
    return "".join(reversed(parts))
