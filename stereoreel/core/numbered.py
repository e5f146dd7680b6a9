"""Numbered pictures as one clip: a folder of them, or a pattern such as ``frames/%05d.png``.

A pattern is the last part of a path only: ``%05d`` or ``#####`` stand for a number, ``*`` and ``?`` for any
characters. An existing file of that name is a file.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from .options import one_line

PICTURES = frozenset(
    [".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".exr", ".dpx", ".bmp", ".webp", ".hdr"]
    + [".jp2", ".j2k", ".ppm", ".pgm", ".pbm", ".pam", ".sgi", ".avif", ".heic", ".heif"]
)
SAME = {".jpeg": ".jpg", ".jpe": ".jpg", ".jfif": ".jpg", ".tiff": ".tif"}  # suffixes of one format
NUMBER = re.compile(r"%(?:0(\d))?d|(#+)")
DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class Numbered:
    """The pictures that ``path``, a folder or a pattern, names, in order; ``gaps`` says which are missing."""

    path: Path
    files: tuple[Path, ...]
    gaps: str = ""

    @property
    def state(self) -> tuple[str, int, int, int]:
        """Path, total size, and a hash of names, sizes and modification times: equal as long as all are."""
        facts = [(file.name, status.st_size, status.st_mtime_ns) for file, status in self._stats()]
        digest = hashlib.blake2b(repr(facts).encode("utf-8", "surrogateescape"), digest_size=7).digest()
        return str(self.path), sum(size for _, size, _ in facts), int.from_bytes(digest, "big"), 0

    def _stats(self) -> Iterator[tuple[Path, os.stat_result]]:
        return ((file, os.stat(file)) for file in self.files)


def names_pictures(path: str | os.PathLike) -> bool:
    """Whether a path is a folder or a pattern, not a file."""
    path = os.fspath(path)
    if "\0" in path:
        return False
    if os.path.isdir(path):
        return True
    name = os.path.basename(path)
    return not os.path.lexists(path) and bool(NUMBER.search(name) or "*" in name or "?" in name)


def holds_pictures(folder: Path) -> bool:
    """Whether a folder holds two or more numbered pictures."""
    try:
        with os.scandir(folder) as entries:
            found = (one for one in entries if DIGITS.search(one.name) and _is_picture(one))
            return next(found, None) is not None and next(found, None) is not None
    except OSError:  # it is no folder, or may not be read
        return False


def numbered(path: str | os.PathLike) -> Numbered:
    """Return the pictures of a folder or a pattern, in the order of their numbers.

    Raise FileNotFoundError or IsADirectoryError if there is none, ValueError if they are of several formats
    or sequences.
    """
    path = Path(os.path.realpath(path))
    folder, name = (path, "*") if path.is_dir() else (path.parent, path.name)
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}. Check the path.")
    accepts = _matcher(name)
    with os.scandir(folder) as entries:
        found = [entry.name for entry in entries if accepts(entry.name) and _is_picture(entry)]
    if not found:
        if folder == path:
            raise IsADirectoryError(
                f"{one_line(str(folder))} is a folder without pictures. Name a file in it, or another folder."
            )
        raise FileNotFoundError(
            f"No picture in {one_line(str(folder))} matches {one_line(name)}. Check their names."
        )
    _check_format(folder, found)
    found.sort(key=natural)
    if folder == path:
        _check_one_sequence(folder, found)
    return Numbered(path, tuple(folder / one for one in found), _gaps(found))


def natural(name: str) -> tuple:
    """Return the sort key by which ``2`` is before ``10``."""
    parts = DIGITS.split(name)
    return tuple(
        (0, int(part), part) if number % 2 else (1, 0, part) for number, part in enumerate(parts)
    ), name


def _matcher(name: str):
    """Return whether a file name fits a pattern, as a function."""
    numbers = NUMBER.findall(name)
    if len(numbers) > 1 or (numbers and ("*" in name or "?" in name)):
        raise ValueError(f"{name} has several placeholders. Use one, such as %05d or *.")
    if not numbers:
        pattern = re.compile(fnmatch.translate(name), re.IGNORECASE if os.name == "nt" else 0)
        return lambda one: not one.startswith(".") and bool(pattern.match(one))
    (width, hashes), (before, after) = numbers[0], (re.escape(part) for part in NUMBER.split(name)[::3])
    digits = int(width or 0) or len(hashes)
    number = rf"(?:\d{{{digits}}}|[1-9]\d{{{digits},}})" if digits else r"(?:0|[1-9]\d*)"
    return re.compile(before + number + after).fullmatch


def _is_picture(entry: os.DirEntry) -> bool:
    return os.path.splitext(entry.name)[1].lower() in PICTURES and entry.is_file()


def _check_format(folder: Path, names: Iterable[str]) -> None:
    suffixes = Counter(os.path.splitext(name)[1] for name in names)
    if len({SAME.get(suffix.lower(), suffix.lower()) for suffix in suffixes}) > 1:
        first, second = (suffix for suffix, _ in suffixes.most_common(2))
        raise ValueError(
            f"{folder} has pictures of several formats, {first} and {second}. "
            f"Name those of one, such as {folder / f'*{first}'}."
        )


def _check_one_sequence(folder: Path, names: Iterable[str]) -> None:
    stems = Counter(_stem(name) for name in names)
    several = [stem for stem, count in stems.items() if count > 1]
    if len(several) > 1:
        first, second = (stem.replace("#", "*") for stem in several[:2])
        raise ValueError(
            f"{folder} has several sequences, {first} and {second}. "
            f"Name one of them, such as {folder / first}."
        )


def _stem(name: str) -> str:
    """Return a name with its last number replaced."""
    return re.sub(r"\d+(?=\D*$)", "#", os.path.splitext(name)[0]) + os.path.splitext(name)[1]


def _gaps(names: Sequence[str]) -> str:
    """Say which numbers a sequence lacks; empty if it lacks none, or is not numbered."""
    if len({_stem(name) for name in names}) != 1 or "#" not in _stem(names[0]):
        return ""
    numbers = [int(DIGITS.findall(os.path.splitext(name)[0])[-1]) for name in names]
    usual = min((later - earlier for earlier, later in pairwise(numbers)), default=1)
    gaps = [
        (earlier + usual, later - usual)
        for earlier, later in pairwise(numbers)
        if usual and later - earlier > usual
    ]
    if not gaps:
        return ""
    missing = sum((last - first) // usual + 1 for first, last in gaps)
    places = ", ".join(str(first) if first == last else f"{first} to {last}" for first, last in gaps[:5])
    return f"lacks {missing} numbers: {places}{f' and {len(gaps) - 5} more gaps' if len(gaps) > 5 else ''}"
