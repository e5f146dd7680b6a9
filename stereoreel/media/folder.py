"""Find the films in folders: files with moving pictures, in natural order, each once."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Callable, Iterator
from glob import glob, has_magic
from pathlib import Path
from typing import NamedTuple

from ..core.files import PART
from ..core.options import one_line
from ..core.system_errors import plain_errors
from .read.container import STILL, STILL_SUFFIXES, open_media
from .read.probe import probe, video_stream

# Files of these names are meant to be videos, so that one which cannot be opened is a fault to report.
SUFFIXES = (
    ".3g2", ".3gp", ".asf", ".avi", ".dv", ".f4v", ".flv", ".gxf", ".h264", ".h265", ".hevc",
    ".ivf", ".m2t", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts",
    ".mxf", ".nut", ".obu", ".ogm", ".ogv", ".rm", ".rmvb", ".tod", ".ts", ".vob", ".webm",
    ".wmv", ".wtv", ".y4m",
)  # fmt: skip
_MISSING = "The link leads to no file. Check it."
TEXT = 4096  # bytes by which a text file is recognised


class Problem(NamedTuple):
    """A path that is left out. ``fault``: it may be or hold a film, but cannot be read."""

    path: Path
    why: str
    fault: bool = False


def natural(path: str | os.PathLike) -> list[list[tuple[bool, int, str]]]:
    """Return a sort key of a path by which ``shot 2`` comes before ``shot 10``, in upper or lower case."""
    return [*(_pieces(part) for part in Path(path).parts), [(True, 0, os.fspath(path))]]


def _pieces(name: str) -> list[tuple[bool, int, str]]:
    split = re.split(r"([0-9]+)", unicodedata.normalize("NFC", name).casefold())
    return [(not piece.isdigit(), int(piece) if piece.isdigit() else 0, piece) for piece in split if piece]


def base_of(given: Path) -> Path:
    """Return the folder below which the films of a folder, a pattern or a file lie."""
    if os.path.isdir(given):
        return given
    return _fixed(given) if is_pattern(given) else given.parent


def is_pattern(given: Path) -> bool:
    """Whether a path is a pattern, such as ``clips/*.mp4``, and not the name of a file or a folder."""
    return not os.path.lexists(given) and has_magic(str(given.relative_to(_fixed(given))))


def _fixed(given: Path) -> Path:
    """Return the part of a path before its first folder that is a pattern; ``[2024]`` may be a folder."""
    base = Path()
    for part in given.parts[:-1]:
        if has_magic(part) and not os.path.lexists(base / part):
            break
        base /= part
    return base


def files_of(
    given: Path, leave_out: Callable[[Path], bool] = lambda folder: False
) -> Iterator[Path | Problem]:
    """Yield the files that a path names: itself, those below a folder, or those that match a pattern.

    They are in natural order. Hidden files, parts of files and the folders in ``leave_out`` are left out
    without a word; below a folder, one that is a link or cannot be read is a ``Problem``.
    """
    if os.path.isdir(given):
        yield from _below(given, leave_out)
    elif not is_pattern(given):
        yield given
    else:
        base, everywhere = base_of(given), "**" in given.parts
        pattern = str(given.relative_to(base))
        found = (base / path for path in glob(pattern, root_dir=base, recursive=True))
        for path in sorted(found, key=natural):
            inside = [base / part for part in path.relative_to(base).parents[:-1]]
            if any(map(leave_out, inside)) or _is_part(path):
                continue
            if not os.path.isdir(path):
                yield path
            elif not everywhere and not leave_out(path):  # as a shell would expand it
                yield from _below(path, leave_out)


def _below(folder: Path, leave_out: Callable[[Path], bool]) -> Iterator[Path | Problem]:
    try:
        with plain_errors(folder), os.scandir(folder) as entries:
            paths = [folder / entry.name for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        yield Problem(folder, _reason(folder, error), fault=True)
        return
    for path in sorted(paths, key=natural):
        if not os.path.isdir(path):
            if not _is_part(path):
                yield path
        elif os.path.islink(path):
            yield Problem(path, "it is a link to a folder. Name it in --input to take its films")
        elif not leave_out(path):
            yield from _below(path, leave_out)


def _is_part(path: Path) -> bool:
    return bool(re.search(f"{PART}$", path.name))


def films_in(folder: Path) -> list[Path]:
    """Return the files in a folder that are named as videos, in natural order.

    Raise NotADirectoryError if there is no such folder.
    """
    if not os.path.isdir(folder):
        raise NotADirectoryError(f"There is no folder {one_line(folder.name)}. Create it, or choose another.")
    files = (path for path in _below(folder, lambda folder: True) if isinstance(path, Path))
    return [path for path in files if path.suffix.lower() in SUFFIXES]


def why_no_film(path: Path) -> Problem | None:
    """Return why a file is left out of a folder's films, by its content; None for a film.

    A file with the name of a video that cannot be opened is a fault, unless its content is text.
    """
    named = path.suffix.lower() in SUFFIXES
    try:
        with plain_errors(path):
            ordinary = stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError as error:
        return Problem(path, _MISSING if os.path.islink(path) else _reason(path, error), fault=named)
    except OSError as error:
        return Problem(path, _reason(path, error), fault=True)
    if not ordinary:
        return Problem(path, "it is not an ordinary file")
    try:
        with open_media(path) as file:
            stream = video_stream(file, path.name)
            image = file.format.name.endswith(STILL) or path.suffix.lower() in STILL_SUFFIXES
            coded = bool(stream.codec_context.width)
    except OSError as error:
        return Problem(path, _reason(path, error), fault=True)
    except ValueError as error:
        if named and not _is_text(path):
            return Problem(path, str(error), fault="holds no video" not in str(error))
        return Problem(path, "it is not a video")
    if image:
        return Problem(path, "it is an image") if _is_still(path) else None
    if not coded and not named:  # demuxers of bare streams take nearly anything
        return Problem(path, "it is not a video")
    return None


def _reason(path: Path, error: OSError) -> str:
    """Return the message of an error without the path, which a Problem names."""
    return str(error).removeprefix(f"{path}: ")


def _is_still(path: Path) -> bool:
    try:
        return probe(path).frames == 1
    except (OSError, ValueError):
        return True


def _is_text(path: Path) -> bool:
    """Whether a file begins as text does; one that is empty or cannot be read does not."""
    try:
        with open(path, "rb") as file:
            begin = file.read(TEXT)
        text = begin.decode() if len(begin) < TEXT else begin[:-4].decode("utf-8", "ignore")
    except (OSError, UnicodeDecodeError):
        return False
    return bool(begin) and all(letter.isprintable() or letter.isspace() for letter in text)
