"""Whether names are free to be written: nothing that a job reads is replaced, and nothing by accident."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def refuse_harm(
    targets: Iterable[Path],
    protected: Iterable[Path] = (),
    overwrite: bool = False,
    *,
    folders: bool = False,
) -> None:
    """Raise, before anything is written, unless all ``targets`` are free to be written.

    They are files, or ``folders``.

    - ValueError for a name that is malformed, given twice, or one of the ``protected`` files, by any path,
      link or hard link.
    - IsADirectoryError or NotADirectoryError for a folder in the place of a file, or a file in that of a
      folder.
    - FileExistsError for a file that exists, unless ``overwrite``.
    """
    read, seen = _Identities(protected), {}
    for target in targets:
        _check_place(target, folders)
        real = os.path.normcase(os.path.realpath(target))
        if real in seen:
            raise ValueError(f"{target} would be written twice. Give each output a name of its own.")
        seen[real] = target
        if (source := read.find(target)) is not None:
            also = "" if os.path.abspath(target) == os.path.abspath(source) else f", as {source}"
            raise ValueError(f"{target} is a file that this job reads{also}. Choose another output name.")
        if folders and os.path.lexists(target) and not overwrite:
            raise FileExistsError(
                f"{target} already exists, and folders are never replaced. Choose another name."
            )
        if os.path.lexists(target) and not overwrite:
            raise FileExistsError(
                f"{target} already exists. Choose another name, or replace it with --overwrite "
                "(in Python: overwrite=True)."
            )


def refuse_folders(targets: Iterable[Path], folders: Iterable[Path]) -> None:
    """Raise IsADirectoryError if a file to be written has the name of a folder to be made or its parent."""
    for target in targets:
        for folder in folders:
            file, result = (Path(os.path.normcase(os.path.realpath(path))) for path in (target, folder))
            if file == result or file in result.parents:
                raise IsADirectoryError(
                    f"{target} would be both a file and a folder, because {folder} is a folder of this "
                    "job. Choose another name for one of them."
                )


def _check_place(target: Path, folder: bool) -> None:
    if "\0" in str(target) or not target.name:
        raise ValueError(f"{str(target)!r} is not a file name. Choose another output name.")
    if target.is_dir() and folder:
        return
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder. Name a file in it, such as {target / 'film.mp4'}.")
    if os.path.lexists(target) and not target.is_symlink() and not target.is_file():
        raise FileExistsError(f"{target} is not an ordinary file. Choose another output name.")
    parent = next((parent for parent in target.absolute().parents if os.path.lexists(parent)), None)
    if parent is not None and not parent.is_dir():
        raise NotADirectoryError(
            f"{parent} is a file, so nothing can be stored in it. Choose another output folder."
        )


class _Identities:
    """Files by what their paths lead to; one that does not exist leads where its name says."""

    def __init__(self, paths: Iterable[Path]):
        self._known = {identity: path for path in paths for identity in self._of(path)}

    def find(self, path: Path) -> Path | None:
        """Return the file that is the same as this one, by any path, link or hard link."""
        return next((self._known[one] for one in self._of(path) if one in self._known), None)

    @staticmethod
    def _of(path: Path) -> list[str | tuple[int, int]]:
        real = os.path.realpath(path)
        try:
            status = os.stat(real)
        except OSError:
            return [os.path.normcase(real)]
        return [os.path.normcase(real), (status.st_dev, status.st_ino)]
