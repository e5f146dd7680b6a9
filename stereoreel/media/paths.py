"""Which files a graph may touch: those under the host's folders and under the roots an administrator lists.

Roots come from the environment (``STEREOREEL_MEDIA_ROOTS``, separated as in PATH) or from ``media_roots.txt``
in the pack's folder (one a line), never from a widget: a graph may arrive over the network.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from ..core.options import is_unicode, one_line, shown
from ..core.places import CHECKOUT

ROOTS_VARIABLE = "STEREOREEL_MEDIA_ROOTS"
ROOTS_FILE = CHECKOUT / "media_roots.txt"
LONGEST_NAME = 200  # bytes: file systems take 255, and numbers, tags and endings are added


def confine(path: str | os.PathLike, roots: Iterable[str | os.PathLike]) -> Path:
    """The real path of ``path``, which need not exist; PermissionError when it is outside every root, links followed."""
    path = os.fspath(path)
    if not path or "\0" in path or not is_unicode(path):
        raise ValueError("The path of a file is empty or malformed; give the name of a file.")
    real = os.path.realpath(path)
    if not any(_inside(real, root) for root in [*roots, *listed_roots()]):
        raise PermissionError(
            f"{path} is outside the folders that may be used; put it into ComfyUI's input folder, "
            f"or let an administrator list its folder in {ROOTS_VARIABLE}."
        )
    return Path(real)


def check_file(path: str | os.PathLike) -> None:
    """FileNotFoundError, IsADirectoryError or ValueError where a path names no file."""
    name = os.fspath(path)
    if "\0" in name or not is_unicode(name):
        raise ValueError(
            f"{one_line(name)} is no name of a file, because of the characters in it; give another."
        )
    if os.path.isdir(name):
        raise IsADirectoryError(f"{one_line(name)} is a folder; name a file in it.")
    if not os.path.isfile(name):
        raise FileNotFoundError(
            f"There is no file {one_line(name)}; check the name, or upload the video first."
        )


def check_name(path: str | os.PathLike, what: str = "name") -> None:
    """ValueError where no file can, or should, be made under a name: control characters, or a part that file systems do not take."""
    name = os.fspath(path)
    if one_line(name) != name:
        raise ValueError(
            f"The {what} {shown(name)} holds characters that names of files should not have; leave them out."
        )
    if any(len(os.fsencode(part)) > LONGEST_NAME for part in name.replace("\\", "/").split("/")):
        raise ValueError(f"The {what} {shown(name)} is too long; give one of at most {LONGEST_NAME} bytes.")


def confine_prefix(prefix: str, output_root: str | os.PathLike) -> Path:
    """Where files named after ``prefix`` (``"video/clip"``) go; ValueError when that is not below ``output_root``, links followed."""
    name = prefix.replace("\\", "/").rsplit("/", 1)[-1]
    if name in ("", ".", ".."):
        raise ValueError(f"The filename prefix {shown(prefix)} names no file; give one such as video/clip.")
    check_name(prefix, "filename prefix")
    full = os.path.realpath(os.path.join(output_root, prefix.replace("\\", "/")))
    if not _inside(full, output_root) or full == os.path.realpath(output_root):
        raise ValueError(
            f"The filename prefix {shown(prefix)} leads out of the output folder; give one inside it, such as video/clip."
        )
    return Path(full)


def listed_roots() -> list[Path]:
    """The folders an administrator allows besides the host's own."""
    listed = os.environ.get(ROOTS_VARIABLE, "").split(os.pathsep)
    if ROOTS_FILE.is_file():
        listed += [
            line
            for line in ROOTS_FILE.read_text(encoding="utf-8").splitlines()
            if not line.lstrip().startswith("#")
        ]
    return [Path(root.strip()) for root in listed if root.strip()]


def _inside(real: str, root: str | os.PathLike) -> bool:
    base = os.path.realpath(root)
    try:
        return os.path.commonpath([os.path.normcase(real), os.path.normcase(base)]) == os.path.normcase(base)
    except ValueError:  # another drive
        return False
