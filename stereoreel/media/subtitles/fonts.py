"""Fonts for subtitles, by family name, or by the characters that a text needs; never by path."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import ImageFont
from PIL.ImageFont import FreeTypeFont

PROBE = 32  # pixels at which fonts are examined
EM = 1000  # pixels at which proportions are measured
MOST_IN_FILE = 16  # fonts of a collection
SUFFIXES = (".ttf", ".otf", ".ttc", ".otc")
SIMILAR = {
    "arial": ("arial", "liberation sans", "arimo", "helvetica"),
    "helvetica": ("helvetica", "liberation sans", "arial"),
    "times new roman": ("times new roman", "liberation serif", "tinos", "dejavu serif"),
    "courier new": ("courier new", "liberation mono", "cousine", "dejavu sans mono"),
}
USUAL = ("dejavu sans", "noto sans", "liberation sans", "arial", "segoe ui", "helvetica neue", "helvetica")
WIDE = (
    "noto sans cjk",
    "noto sans sc",
    "source han sans",
    "microsoft yahei",
    "pingfang",
    "hiragino",
    "arial unicode",
)
ANYTHING = "\U0010ffff"  # has no glyph


class Face:
    """One font at any size; ``ascent`` and ``descent`` are shares of the em."""

    def __init__(self, font: FreeTypeFont):
        self._font, self._sizes = font, dict[float, FreeTypeFont]()
        family, style = font.getname()
        self.family, style = (family or "").lower(), (style or "").lower()
        self.bold = any(word in style for word in ("bold", "black", "heavy"))
        self.italic = any(word in style for word in ("italic", "oblique"))
        self.name = f"{family} {style}"
        self.plain = style in ("book", "regular", "roman", "normal", "medium", "")
        self._large = font.font_variant(size=EM)
        ascent, descent = self._large.getmetrics()
        self.ascent, self.descent = ascent / EM, descent / EM
        self._covered = dict[str, bool]()

    def at(self, pixels: float) -> FreeTypeFont:
        """Return the font with lines of this height, ascent and descent together."""
        em = max(1.0, pixels / max(0.1, self.ascent + self.descent))
        if em not in self._sizes:
            self._sizes[em] = self._font.font_variant(size=em)
        return self._sizes[em]

    def length(self, text: str, pixels: float, **shaping: Any) -> float:
        """Return how long a text is in lines of this height, without the rounding of small sizes."""
        em = pixels / max(0.1, self.ascent + self.descent)
        return self._large.getlength(text, **shaping) * em / EM

    def covers(self, letter: str) -> bool:
        """Whether the font has a glyph of its own for a character."""
        if letter not in self._covered:
            found, none = (self._font.getmask(one) for one in (letter, ANYTHING))
            self._covered[letter] = found.size != none.size or bytes(found) != bytes(none)
        return self._covered[letter]


class Fonts:
    """The fonts of this machine, and those that a video brings along, which come first.

    The machine's are listed when the first one is needed.
    """

    def __init__(self, embedded: Sequence[bytes] = ()):
        self._own = [face for data in embedded for face in _faces(BytesIO(data))]
        self._system: list[Face] | None = None
        self._fallbacks = dict[str, Face | None]()

    def find(self, family: str, bold: bool, italic: bool) -> Face:
        """Return the font of a family that is nearest to a style, or one of a similar family."""
        wanted = family.lower().strip()
        for name in dict.fromkeys((wanted, *SIMILAR.get(wanted, ()), *USUAL)):
            same = [face for face in self._all() if face.family == name]
            if same:
                return min(same, key=lambda face: (face.bold != bold, face.italic != italic, not face.plain))
        return self._all()[-1]

    def split(self, text: str, family: str, bold: bool, italic: bool) -> Iterator[tuple[str, Face]]:
        """Divide a text into parts of one font each, the family's own where it has the characters."""
        first = self.find(family, bold, italic)
        part, current = "", first
        for letter in text:
            face = (
                current if _takes_any(letter) or (current is not first and current.covers(letter)) else None
            )
            face = face or (first if first.covers(letter) else self._covering(letter) or first)
            if face is not current and part:
                yield part, current
                part = ""
            part, current = part + letter, face
        if part:
            yield part, current

    def missing(self, letters: Iterable[str]) -> list[str]:
        """Return the characters for which no font has a glyph."""
        usual = self.find("", False, False)
        return [
            letter
            for letter in letters
            if not _takes_any(letter) and not usual.covers(letter) and self._covering(letter) is None
        ]

    def _covering(self, letter: str) -> Face | None:
        if letter not in self._fallbacks:
            ranked = sorted(self._all(), key=_unusual)
            self._fallbacks[letter] = next((face for face in ranked if face.covers(letter)), None)
        return self._fallbacks[letter]

    def _all(self) -> list[Face]:
        if self._system is None:
            self._system = [face for path in _files() for face in _faces(path)]
            shipped = ImageFont.load_default(PROBE)
            self._system += _faces(BytesIO(shipped.font_bytes)) if isinstance(shipped, FreeTypeFont) else []
        return [*self._own, *self._system]


def _takes_any(letter: str) -> bool:
    """Whether a character is drawn with whatever font its neighbour has: spaces, marks, controls."""
    return unicodedata.category(letter)[0] in "ZMC"


def _unusual(face: Face) -> tuple:
    """Rank fonts for characters that the chosen one lacks: well-known families first, plain styles first."""
    known = next((place for place, name in enumerate((*USUAL, *WIDE)) if face.family.startswith(name)), 99)
    return known, face.bold, face.italic, not face.plain, face.name


def _faces(source: Path | BytesIO) -> Iterator[Face]:
    """Yield the fonts of a file; none if it cannot be read."""
    for index in range(MOST_IN_FILE):
        try:
            if isinstance(source, BytesIO):
                source.seek(0)
            yield Face(ImageFont.truetype(source, PROBE, index))
        except (OSError, ValueError):
            return
        if isinstance(source, Path) and not source.suffix.lower().endswith("c"):
            return


def _files() -> list[Path]:
    """Return the font files of this machine, in a fixed order."""
    found = []
    for folder in _folders():
        for place, _, names in os.walk(folder):
            found += [Path(place) / name for name in names if name.lower().endswith(SUFFIXES)]
    return sorted(found)


def _folders() -> list[Path]:
    home = Path.home()
    if sys.platform == "win32":
        local = Path(os.environ.get("LOCALAPPDATA", home))
        return [Path(os.environ.get("WINDIR", "C:\\Windows")) / "Fonts", local / "Microsoft/Windows/Fonts"]
    if sys.platform == "darwin":
        return [Path("/System/Library/Fonts"), Path("/Library/Fonts"), home / "Library/Fonts"]
    data = os.environ.get("XDG_DATA_HOME") or home / ".local/share"
    return [Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), Path(data) / "fonts", home / ".fonts"]
