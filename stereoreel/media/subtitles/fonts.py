"""Fonts for subtitles, by family name, or by the characters that a text needs; never by path."""

from __future__ import annotations

import functools
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
MOST_SIZES = 8  # of a font that are kept
MOST_SEARCHES = 4096  # characters
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
    """One font at any size; ``ascent`` and ``descent`` are shares of the em.

    Its file is open only while it is read, because a machine may have thousands.
    """

    def __init__(self, source: Path | bytes, index: int, family: str, style: str):
        self._source, self._index = source, index
        self._sizes = dict[float, FreeTypeFont]()
        self.family, self.name, style = family.lower(), f"{family} {style}", style.lower()
        self.bold = any(word in style for word in ("bold", "black", "heavy"))
        self.italic = any(word in style for word in ("italic", "oblique"))
        self.plain = style in ("book", "regular", "roman", "normal", "medium", "")
        self._covered = dict[str, bool]()

    @functools.cached_property
    def ascent(self) -> float:
        return self._large.getmetrics()[0] / EM

    @functools.cached_property
    def descent(self) -> float:
        return self._large.getmetrics()[1] / EM

    @functools.cached_property
    def _large(self) -> FreeTypeFont:
        return self._font.font_variant(size=EM)

    @functools.cached_property
    def _font(self) -> FreeTypeFont:
        """The font in memory."""
        data = self._source if isinstance(self._source, bytes) else self._source.read_bytes()
        return ImageFont.truetype(BytesIO(data), PROBE, self._index)

    def at(self, pixels: float) -> FreeTypeFont:
        """Return the font with lines of this height, ascent and descent together."""
        em = max(1.0, pixels / max(0.1, self.ascent + self.descent))
        if em not in self._sizes:
            if len(self._sizes) == MOST_SIZES:
                self._sizes.clear()
            self._sizes[em] = self._font.font_variant(size=em)
        return self._sizes[em]

    def length(self, text: str, pixels: float, **shaping: Any) -> float:
        """Return how long a text is in lines of this height, without the rounding of small sizes."""
        em = pixels / max(0.1, self.ascent + self.descent)
        return self._large.getlength(text, **shaping) * em / EM

    def covers(self, letter: str) -> bool:
        """Whether the font has a glyph of its own for a character, which is not corrupt."""
        if letter not in self._covered:
            try:
                self._covered[letter] = self._has(letter)
            except OSError:
                self._covered[letter] = False
        return self._covered[letter]

    def _has(self, letter: str) -> bool:
        known = "_font" in vars(self) or isinstance(self._source, bytes)
        font = self._font if known else ImageFont.truetype(self._source, PROBE, self._index)
        found, none = (font.getmask(one) for one in (letter, ANYTHING))
        return found.size != none.size or bytes(found) != bytes(none)


class Fonts:
    """The fonts of this machine, and those that a video brings along, which come first.

    The machine's are listed when the first one is needed.
    """

    def __init__(self, embedded: Sequence[bytes] = ()):
        self._own = [face for data in embedded for face in _faces(data)]
        self._fallbacks = dict[str, Face | None]()

    def find(self, family: str, bold: bool, italic: bool) -> Face:
        """Return the font of a family that is nearest to a style, or one of a similar family."""
        wanted = family.lower().strip()
        for name in dict.fromkeys((wanted, *SIMILAR.get(wanted, ()), *USUAL)):
            if same := self._families.get(name):
                return min(same, key=lambda face: (face.bold != bold, face.italic != italic, not face.plain))
        return self._all[-1]

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

    def missing(self, letters: Iterable[str]) -> Iterator[str]:
        """Yield the letters for which no font has a glyph; signs are not looked for."""
        usual = self.find("", False, False)
        for letter in letters:
            if (
                unicodedata.category(letter)[0] == "L"
                and not usual.covers(letter)
                and not self._covering(letter)
            ):
                yield letter

    def _covering(self, letter: str) -> Face | None:
        """Return a font with a character; after many searches only those that were found before are tried."""
        if letter not in self._fallbacks:
            used = list(dict.fromkeys(face for face in self._fallbacks.values() if face))
            more = sorted(self._all, key=_unusual) if len(self._fallbacks) < MOST_SEARCHES else []
            found = (face for face in (*used, *more) if face.covers(letter))
            self._fallbacks[letter] = next(found, None)
        return self._fallbacks[letter]

    @functools.cached_property
    def _families(self) -> dict[str, list[Face]]:
        found: dict[str, list[Face]] = {}
        for face in self._all:
            found.setdefault(face.family, []).append(face)
        return found

    @functools.cached_property
    def _all(self) -> list[Face]:
        """All fonts, Pillow's own last."""
        shipped = ImageFont.load_default(PROBE)
        last = _faces(shipped.font_bytes) if isinstance(shipped, FreeTypeFont) else ()
        return [*self._own, *(face for path in _files() for face in _faces(path)), *last]


def _takes_any(letter: str) -> bool:
    """Whether a character is drawn with whatever font its neighbour has: spaces, marks, controls."""
    return unicodedata.category(letter)[0] in "ZMC"


def _unusual(face: Face) -> tuple:
    """Rank fonts for characters that the chosen one lacks: well-known families first, plain styles first."""
    known = next((place for place, name in enumerate((*USUAL, *WIDE)) if face.family.startswith(name)), 99)
    return known, face.bold, face.italic, not face.plain, face.name


def _faces(source: Path | bytes) -> Iterator[Face]:
    """Yield the fonts of a file; none if it cannot be read."""
    for index in range(MOST_IN_FILE):
        try:
            font = ImageFont.truetype(BytesIO(source) if isinstance(source, bytes) else source, PROBE, index)
        except (OSError, ValueError):
            return
        family, style = font.getname()
        yield Face(source, index, family or "", style or "")
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
