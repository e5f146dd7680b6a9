"""Files that a graph may access: those below the host's folders and the roots that an administrator lists.

Roots come from the environment (``STEREOREEL_MEDIA_ROOTS``, separated as in PATH) or from ``media_roots.txt``
in the pack's folder (one per line), never from a widget, because a graph may arrive over the network.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ..core.numbered import names_pictures, numbered
from ..core.options import is_unicode, one_line, shown
from ..core.places import CHECKOUT

ROOTS_VARIABLE = "STEREOREEL_MEDIA_ROOTS"
ROOTS_FILE = CHECKOUT / "media_roots.txt"
LONGEST_NAME = 200  # bytes: file systems take 255, and numbers, tags and endings are added
DIGITS = 8  # of the hash at the end of a shortened name


def confine(path: str | os.PathLike, roots: Iterable[str | os.PathLike]) -> Path:
    """Return the real path of ``path``, links resolved; the file need not exist.

    Raise PermissionError if it is outside every root, or a folder or pattern of pictures some of which are.
    """
    path = os.fspath(path)
    if not path or "\0" in path or not is_unicode(path):
        raise ValueError("The file path is empty or malformed. Give the name of a file.")
    real = os.path.realpath(path)
    permitted = [*roots, *listed_roots()]
    if not all(any(_inside(one, root) for root in permitted) for one in (real, *_linked_pictures(real))):
        raise PermissionError(
            f"{path} is outside the permitted folders. Put it into ComfyUI's input folder, "
            f"or ask an administrator to add its folder to {ROOTS_VARIABLE}."
        )
    return Path(real)


def _linked_pictures(path: str) -> list[str]:
    """Return the real paths of the links among numbered pictures; nothing for another path."""
    if not names_pictures(path):
        return []
    with suppress(OSError, ValueError):  # said when they are opened
        return [os.path.realpath(file) for file in numbered(path).files if file.is_symlink()]
    return []


def check_file(path: str | os.PathLike) -> None:
    """Raise FileNotFoundError, IsADirectoryError or ValueError if a path does not name a file."""
    name = os.fspath(path)
    if "\0" in name or not is_unicode(name):
        raise ValueError(
            f"{one_line(name)} is not a valid file name, because of the characters in it. Give another name."
        )
    if os.path.isdir(name):
        raise IsADirectoryError(f"{one_line(name)} is a folder. Name a file in it.")
    if not os.path.isfile(name):
        raise FileNotFoundError(
            f"There is no file {one_line(name)}. Check the name, or upload the video first."
        )


def check_name(path: str | os.PathLike, what: str = "name") -> None:
    """Raise ValueError if a file name has control characters or a part that is too long for file systems."""
    name = os.fspath(path)
    if one_line(name) != name:
        raise ValueError(
            f"The {what} {shown(name)} has characters that file names should not have. Remove them."
        )
    if any(len(os.fsencode(part)) > LONGEST_NAME for part in name.replace("\\", "/").split("/")):
        raise ValueError(f"The {what} {shown(name)} is too long. Use at most {LONGEST_NAME} bytes.")


def shortened(name: str, room: int = LONGEST_NAME) -> str:
    """Return a name in at most ``room`` bytes; the end of a longer one is replaced by a hash of it."""
    if len(os.fsencode(name)) <= room:
        return name
    mark = hashlib.blake2b(os.fsencode(name), digest_size=DIGITS // 2).hexdigest()
    plain = name
    while len(os.fsencode(plain)) > max(room - DIGITS - 1, 0):
        plain = plain[:-1]
    return f"{plain}_{mark}"


def confine_prefix(prefix: str, output_root: str | os.PathLike) -> Path:
    """Return the path that ``prefix`` (such as ``"video/clip"``) names below ``output_root``, links resolved.

    Raise ValueError if it is not below ``output_root``.
    """
    name = prefix.replace("\\", "/").rsplit("/", 1)[-1]
    if name in ("", ".", ".."):
        raise ValueError(f"The filename prefix {shown(prefix)} has no file name. Use one such as video/clip.")
    check_name(prefix, "filename prefix")
    full = os.path.realpath(os.path.join(output_root, prefix.replace("\\", "/")))
    if not _inside(full, output_root) or full == os.path.realpath(output_root):
        raise ValueError(
            f"The filename prefix {shown(prefix)} leads out of the output folder. "
            "Use one inside it, such as video/clip."
        )
    return Path(full)


def listed_roots() -> list[Path]:
    """Return the folders that an administrator permits besides the host's own."""
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
