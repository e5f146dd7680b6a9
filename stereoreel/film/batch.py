"""Choose the films that folders and patterns name, and name the file that is written from each.

All names are decided before the first film, from the files alone, so that the same command finds them again.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path, PurePath
from typing import NamedTuple

from ..core.numbered import PICTURES, holds_pictures
from ..core.system_errors import plain_errors
from ..media.folder import SUFFIXES, Problem, base_of, files_of, is_pattern, natural, why_no_film
from ..media.paths import LONGEST_NAME, shortened
from ..media.read.container import open_media
from .finished import CLAIM
from .job_root import IDENTITY, is_job

CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Film(NamedTuple):
    """A film of a batch; ``name`` is its path below the folder that was given."""

    source: Path
    name: PurePath
    output: Path


@dataclass(frozen=True)
class Batch:
    """Films in the order in which they are made, and the files that are left out."""

    films: Sequence[Film]
    left_out: Sequence[Problem]


def names_many(given: Sequence[Path], output: Path | None = None) -> bool:
    """Whether these inputs name a folder, a pattern or several files; numbered pictures are one film.

    The film of the pictures, ``output``, may lie next to them.
    """
    return len(given) > 1 or any(
        (one.is_dir() or is_pattern(one)) and not _is_sequence(one, output) for one in given
    )


def _is_sequence(given: Path, output: Path | None) -> bool:
    """Whether a folder or a pattern names numbered pictures; films in a folder are preferred to them."""
    if not given.is_dir():
        return given.suffix.lower() in PICTURES and base_of(given) == given.parent
    if not holds_pictures(given):
        return False
    for place, folders, names in os.walk(given):
        folders[:] = [name for name in folders if not is_job(Path(place, name))]
        films = [Path(place, name) for name in names if name.lower().endswith(SUFFIXES)]
        if any(not _made_as(film, output) for film in films if not film.name.startswith(".")):
            return False
    return True


def _made_as(film: Path, output: Path | None) -> bool:
    """Whether a file is an output, or another of its files, such as its depth."""
    if output is None:
        return False
    return film.name.startswith(output.stem) and os.path.samefile(film.parent, output.parent)


@dataclass(frozen=True)
class Naming:
    """How outputs are named: their suffix, and ``also``, the files that are written besides one.

    ``owns(source, output)`` is whether an earlier run has made, or begun, this output from this source.
    """

    suffix: str
    also: Callable[[Path], Iterable[Path]] = lambda output: ()
    owns: Callable[[Path, Path], bool] = lambda source, output: False


def choose(given: Sequence[Path], output: Path, naming: Naming) -> Batch:
    """Return the films that folders, patterns and files name, with outputs below the folder ``output``.

    A film that is found twice, through a link or a hard link, is taken once. Raise ValueError if an output
    would be one of the films.
    """
    base = _common(given)
    found, left_out = _distinct(_films(given, output))
    names = [_relative(path, base) for path in found]
    outputs = name_outputs(dict(zip(names, found)), output, naming)
    _refuse_sources([file for path in outputs for file in (path, *naming.also(path))], found)
    return Batch([Film(*one) for one in zip(found, names, outputs)], left_out)


def _films(given: Sequence[Path], output: Path) -> Iterator[Path | Problem]:
    """Yield the films; the results of an earlier run, its jobs and its kept frames are not among them."""
    target = _real(output)

    def ours(folder: Path) -> bool:
        real = _real(folder)
        kept = re.fullmatch(IDENTITY, folder.name) and target in Path(real).parents
        try:
            return real == target or bool(kept) or is_job(folder)
        except OSError:  # the folder cannot be read, which is reported
            return False

    for one in given:
        for path in files_of(one, ours):
            if isinstance(path, Problem):
                yield path
            elif path == one and not os.path.lexists(path):
                yield Problem(path, f"There is no file {path.name}. Check the name.", fault=True)
            elif problem := why_no_film(path):
                yield problem
            elif target in Path(_real(path)).parents and _is_result(path):
                yield Problem(path, "StereoReel made it")
            else:
                yield path


def _distinct(paths: Iterable[Path | Problem]) -> tuple[list[Path], list[Problem]]:
    """Return each film once, ordinary files before links to them."""
    paths = list(paths)
    left_out = [path for path in paths if isinstance(path, Problem)]
    films = [path for path in paths if not isinstance(path, Problem)]
    first: dict[tuple, Path] = {}
    for path in sorted(films, key=lambda path: path.is_symlink()):
        try:
            with plain_errors(path):
                status = os.stat(path)
        except OSError as error:
            left_out.append(Problem(path, str(error), fault=True))
            continue
        one = first.setdefault((status.st_dev, status.st_ino), path)
        if one is not path and _absolute(one) != _absolute(path):
            left_out.append(Problem(path, f"it is the same file as {one}"))
    taken = set(first.values())
    return sorted(taken, key=natural), sorted(left_out, key=lambda problem: natural(problem.path))


def name_outputs(films: Mapping[PurePath, Path], folder: Path, naming: Naming) -> list[Path]:
    """Return the file below ``folder`` for each film, by its name and source: with another suffix.

    Where names differ in their suffix only, one keeps its name: the film that an earlier run has made under
    it, or else the one that has the suffix already, or else the first. The others carry their own suffix:
    ``a_mkv.mp4``. A film that was made under such a name keeps it, also when the others are gone, or when a
    film appears that is called so. Upper and lower case count as equal.
    """
    taken: set[str] = set()
    chosen: dict[PurePath, Path] = {}

    def plain(name: PurePath, stem: str = "") -> Path:
        stem = _clean(stem or name.stem, naming.suffix)
        return folder.joinpath(*map(_clean, name.parts[:-1]), stem + naming.suffix)

    def candidates(name: PurePath) -> Iterator[Path]:
        yield plain(name)
        stem = f"{name.stem}_{name.suffix[1:].lower()}".rstrip("_")
        yield plain(name, stem)
        for number in count(2):
            yield plain(name, f"{stem}_{number}")

    def claim(name: PurePath, path: Path) -> bool:
        files = {_folded(file) for file in (path, *naming.also(path))}
        if files & taken:
            return False
        taken.update(files)
        chosen[name] = path
        return True

    wanted = Counter(_folded(plain(name)) for name in films)

    def kept(name: PurePath, source: Path) -> Path | None:
        rivals = wanted[_folded(plain(name))]
        first, second, *rest = islice(candidates(name), rivals + 1)
        if rivals == 1 and not naming.owns(source, second):
            return None
        return next((path for path in (first, second, *rest) if naming.owns(source, path)), None)

    for name, source in films.items():
        if path := kept(name, source):
            claim(name, path)
    order = sorted(films, key=lambda name: (name.suffix.lower() != naming.suffix, natural(name)))
    others = [name for name in order if name not in chosen and not claim(name, plain(name))]
    for name in others:
        next(path for path in candidates(name) if claim(name, path))
    return [chosen[name] for name in films]


def _clean(name: str, suffix: str = "") -> str:
    """Return a name without control characters, shortened if file systems could not hold it."""
    return shortened(CONTROL.sub("_", name), LONGEST_NAME - len(suffix))


def _refuse_sources(targets: Iterable[Path], sources: Sequence[Path]) -> None:
    real = {os.path.normcase(_real(source)): source for source in sources}
    for target in targets:
        if source := real.get(os.path.normcase(_real(target))):
            raise ValueError(
                f"{target} is a film that this command reads, {source}. Choose another output folder."
            )


def _is_result(path: Path) -> bool:
    """Whether a file carries the tag of a film that was made in units."""
    try:
        with open_media(path) as file:
            return CLAIM in (name.lower() for name in file.metadata)
    except (OSError, ValueError):
        return False


def _common(given: Sequence[Path]) -> Path:
    """Return the folder to which names are relative: the only one given, or what several have in common."""
    bases = [_absolute(base_of(one)) for one in given]
    return Path(os.path.commonpath(bases)) if len({base.anchor for base in bases}) == 1 else Path()


def _relative(path: Path, base: Path) -> PurePath:
    full = _absolute(path)
    return full.relative_to(base) if full.is_relative_to(base) else PurePath(full.name)


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _folded(path: Path) -> str:
    return unicodedata.normalize("NFC", str(path)).casefold()
