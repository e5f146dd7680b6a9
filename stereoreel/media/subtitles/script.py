"""Styles and override tags of ASS, the form in which FFmpeg's decoders return every text subtitle.

What moves or changes while a line is shown is drawn as at its beginning: karaoke, fades, ``\\t``, ``\\move``.
Drawings, clips, rotation and blur are left out, and letters of a line after the first ``MOST_LETTERS``. No
tag names a file, so none is read for one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Rgba = tuple[int, int, int, int]  # alpha: 255 is opaque

TAG = re.compile(r"\\([^\\(]+)(?:\(([^)]*)\)?)?")
READ = (
    "pos", "move", "an", "a", "fn", "fs", "b", "i", "u", "s", "c", "1c", "3c", "4c", "alpha", "1a", "3a",
    "4a", "bord", "shad", "r", "q", "p", "fscx", "fscy",
)  # fmt: skip
SKIPPED = (
    "fsp", "fsc", "fad", "fade", "fr", "frx", "fry", "frz", "fax", "fay", "fe", "be", "blur",
    "clip", "iclip", "2c", "2a", "k", "kf", "ko", "K", "org", "pbo", "t", "xbord", "ybord", "xshad", "yshad",
)  # fmt: skip
NAMES = sorted((*READ, *SKIPPED), key=len, reverse=True)
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")  # which end a paragraph, or have no glyph
NUMBER = re.compile(r"[-+]?\d*\.?\d+")
LARGEST = 1e4  # of any number in a file
MOST_LETTERS = 2000  # of a line; a page of a book has as many


@dataclass(frozen=True)
class Style:
    """How text looks; lengths are in the script's own units, ``alignment`` is that of a numeric keypad."""

    font: str = "Arial"
    size: float = 16
    colour: Rgba = (255, 255, 255, 255)
    outline_colour: Rgba = (0, 0, 0, 255)
    back_colour: Rgba = (0, 0, 0, 255)
    wide: float = 1  # times the usual width and height of letters
    high: float = 1
    bold: bool = False
    italic: bool = False
    underline: bool = False
    strike: bool = False
    box: bool = False
    outline: float = 1
    shadow: float = 0
    alignment: int = 2
    margins: tuple[float, float, float] = (10, 10, 10)  # left, right, vertical


@dataclass(frozen=True)
class Script:
    """The header of a script: the size of its canvas, and its styles."""

    width: float = 384
    height: float = 288
    wraps: int = 0
    scales_outline: bool = True
    styles: Mapping[str, Style] = field(default_factory=dict)

    def style(self, name: str) -> Style:
        return self.styles.get(name.lstrip("*")) or self.styles.get("Default") or Style()


@dataclass(frozen=True)
class Span:
    """Consecutive text in one style."""

    text: str
    style: Style


@dataclass(frozen=True)
class Event:
    """A line of a script: rows of spans, and its place; ``position`` is the anchor of ``alignment``."""

    rows: tuple[tuple[Span, ...], ...]
    alignment: int
    margins: tuple[float, float, float]
    position: tuple[float, float] | None
    wraps: int
    layer: int

    @property
    def text(self) -> str:
        return "\n".join("".join(span.text for span in row) for row in self.rows)


def parse_script(header: str) -> Script:
    """Return the canvas and styles of a header; what is missing or malformed has libass's defaults."""
    section, facts, styles, names = "", {}, {}, list[str]()
    for line in header.splitlines():
        if line.startswith("["):
            section = line.strip().lower()
            continue
        key, _, value = (part.strip() for part in line.partition(":"))
        if section == "[script info]":
            facts[key.lower()] = value
        elif section.endswith("styles]") and key.lower() == "format":
            names = [name.strip().lower() for name in value.split(",")]
        elif section.endswith("styles]") and key.lower() == "style":
            given = dict(zip(names, (part.strip() for part in value.split(","))))
            styles[given.get("name", "").lstrip("*")] = _style(given, legacy="+" not in section)
    width, height = (_number(facts.get(name, "")) for name in ("playresx", "playresy"))
    width = width or (height * 4 / 3 if height else 384)
    height = height or width * 3 / 4
    scales = facts.get("scaledborderandshadow", "yes").lower() in ("yes", "1")
    return Script(width, height, int(_number(facts.get("wrapstyle", ""))), scales, styles)


def parse_event(script: Script, line: str) -> Event | None:
    """Return an event of ``order, layer, style, name, three margins, effect, text``; None without text."""
    fields = line.split(",", 8)
    if len(fields) < 9:
        return None
    style = script.style(fields[2])
    margins = tuple(_number(one) or usual for one, usual in zip(fields[4:7], style.margins))
    reader = _Reader(script, style)
    rows = tuple(reader.rows(fields[8]))
    if not any(span.text.strip() for row in rows for span in row):
        return None
    left, right, vertical = margins
    return Event(
        rows,
        reader.alignment,
        (left, right, vertical),
        reader.position,
        reader.wraps,
        int(_number(fields[1])),
    )


class _Reader:
    """Reads the text of one event; the place that tags give it remains in the attributes."""

    def __init__(self, script: Script, style: Style):
        self._script, self._base, self._style = script, style, style
        self.alignment, self.wraps = style.alignment, script.wraps
        self.position: tuple[float, float] | None = None
        self._placed = self._draws = False

    def rows(self, text: str) -> Iterator[tuple[Span, ...]]:
        row: list[Span] = []
        left = MOST_LETTERS
        for part, is_block in _parts(text):
            if is_block:
                self._tags(part)
            elif not self._draws:
                plain = (
                    CONTROL.sub(" ", part)
                    .replace("\\n", "\n" if self.wraps == 2 else " ")
                    .replace("\\h", "\u00a0")
                )
                plain = plain.replace("\\N", "\n")[:left]
                left -= len(plain)
                first, *more = plain.split("\n")
                row.append(Span(first, self._style))
                for one in more:
                    yield tuple(row)
                    row = [Span(one, self._style)]
        yield tuple(row)

    def _tags(self, block: str) -> None:
        for written, inside in TAG.findall(block):
            name = next((name for name in NAMES if written.startswith(name)), None)
            if name in READ:
                self._tag(name, written[len(name) :].strip(), inside)

    def _tag(self, name: str, value: str, inside: str) -> None:
        number = _number(value)
        if name in ("pos", "move"):
            places = [_number(one) for one in inside.split(",")]
            if len(places) >= 2 and self.position is None:
                self.position = places[0], places[1]
        elif name in ("an", "a"):
            if not self._placed:
                place = int(number) if name == "an" else _keypad(int(number))
                self.alignment = place if 1 <= place <= 9 else self.alignment
                self._placed = True
        elif name == "q":
            self.wraps = int(number)
        elif name == "p":
            self._draws = number >= 1
        elif name == "r":
            self._style = self._script.style(value) if value else self._base
        elif name in ("b", "i", "u", "s"):
            what = {"b": "bold", "i": "italic", "u": "underline", "s": "strike"}[name]
            on = number >= 600 if number > 1 else bool(number)  # b may be a weight
            self._set(what, on if value else getattr(self._base, what))
        elif name in ("fscx", "fscy"):
            what = {"fscx": "wide", "fscy": "high"}[name]
            self._set(what, number / 100 if number > 0 else getattr(self._base, what))
        elif name in ("fn", "fs", "bord", "shad"):
            what = {"fn": "font", "fs": "size", "bord": "outline", "shad": "shadow"}[name]
            given = value if name == "fn" else number
            usable = bool(value) and (name != "fs" or number > 0)
            self._set(what, given if usable else getattr(self._base, what))
        else:
            self._colour(name, value)

    def _set(self, what: str, value: Any) -> None:
        self._style = replace(self._style, **{what: value})

    def _colour(self, name: str, value: str) -> None:
        places = {"1": "colour", "3": "outline_colour", "4": "back_colour"}
        chosen = places.values() if name == "alpha" else [places.get(name[0], "colour")]
        for what in chosen:
            old, base = getattr(self._style, what), getattr(self._base, what)
            red, green, blue, _ = _rgba(value)
            if name == "alpha" or name.endswith("a"):
                new = (*old[:3], 255 - red if value else base[3])  # the last two digits
            else:
                new = (red, green, blue, old[3]) if value else (*base[:3], old[3])
            self._set(what, new)


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the parts of a text, and whether each is a block of tags, without its braces."""
    place = 0
    while (start := text.find("{", place)) >= 0 and (end := text.find("}", start)) >= 0:
        yield text[place:start], False
        yield text[start + 1 : end], True
        place = end + 1
    yield text[place:], False


def _style(given: Mapping[str, str], legacy: bool) -> Style:
    usual = Style()

    def number(name: str, default: float) -> float:
        return _number(given[name]) if given.get(name) else default

    def colour(name: str, default: Rgba) -> Rgba:
        return _rgba(given[name]) if given.get(name) else default

    place = int(number("alignment", 2))
    place = _keypad(place) if legacy else place
    left, right, vertical = (number(f"margin{side}", 10) for side in "lrv")
    return Style(
        font=given.get("fontname", usual.font).lstrip("@") or usual.font,
        size=number("fontsize", usual.size) or usual.size,
        colour=colour("primarycolour", usual.colour),
        outline_colour=colour("outlinecolour", colour("tertiarycolour", usual.outline_colour)),
        back_colour=colour("backcolour", usual.back_colour),
        wide=abs(number("scalex", 100)) / 100 or 1,
        high=abs(number("scaley", 100)) / 100 or 1,
        bold=bool(number("bold", 0)),
        italic=bool(number("italic", 0)),
        underline=bool(number("underline", 0)),
        strike=bool(number("strikeout", 0)),
        box=number("borderstyle", 1) == 3,
        outline=number("outline", usual.outline),
        shadow=number("shadow", usual.shadow),
        alignment=place if 1 <= place <= 9 else 2,
        margins=(left, right, vertical),
    )


def _keypad(legacy: int) -> int:
    """Return the keypad's number of an alignment of SSA: 1 to 3, and 4 more at the top, 8 in the middle."""
    row = {0: 0, 4: 6, 8: 3}.get(legacy & 12, 0)
    return row + (legacy & 3) if legacy & 3 else 2


def _rgba(written: str) -> Rgba:
    """Return a colour written as ``&HAABBGGRR``, or as a decimal number; 0 is opaque there."""
    digits = written.strip("&").strip()
    try:
        value = int(digits[1:], 16) if digits[:1] in ("H", "h") else int(digits or "0")
    except ValueError:
        value = 0
    red, green, blue, clear = (value >> shift & 255 for shift in (0, 8, 16, 24))
    return red, green, blue, 255 - clear


def _number(written: str) -> float:
    """Return the number at the beginning of a text, within bounds; 0 if there is none."""
    found = NUMBER.match(written.strip())
    return max(-LARGEST, min(float(found[0]), LARGEST)) if found else 0.0
