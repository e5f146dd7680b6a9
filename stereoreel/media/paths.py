"""Which files a graph may touch: those under the host's folders and under the roots an administrator lists.

Roots come from the environment (``STEREOREEL_MEDIA_ROOTS``, separated as in PATH) or from ``media_roots.txt`` in the pack's folder
(one a line), never from a widget: a graph may arrive over the network.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

ROOTS_VARIABLE = "STEREOREEL_MEDIA_ROOTS"
ROOTS_FILE = Path(__file__).resolve().parents[2] / "media_roots.txt"


def confine(path: str | os.PathLike, roots: Iterable[str | os.PathLike]) -> Path:
    """The real path of ``path``, which need not exist; PermissionError when it is outside every root, links followed."""
    path = os.fspath(path)
    if not path or "\0" in path:
        raise ValueError("The path of a file is empty or malformed; give the name of a file.")
    real = os.path.realpath(path)
    if not any(_inside(real, root) for root in [*roots, *listed_roots()]):
        raise PermissionError(
            f"{path} is outside the folders that may be used; put it into ComfyUI's input folder, "
            f"or let an administrator list its folder in {ROOTS_VARIABLE}."
        )
    return Path(real)


def confine_prefix(prefix: str, output_root: str | os.PathLike) -> Path:
    """Where files named after ``prefix`` (``"video/clip"``) go; ValueError when that is not below ``output_root``, links followed."""
    name = prefix.replace("\\", "/").rsplit("/", 1)[-1]
    if name in ("", ".", "..") or "\0" in prefix:
        raise ValueError(f"The filename prefix {prefix!r} names no file; give one such as video/clip.")
    full = os.path.realpath(os.path.join(output_root, prefix.replace("\\", "/")))
    if not _inside(full, output_root) or full == os.path.realpath(output_root):
        raise ValueError(f"The filename prefix {prefix!r} leads out of the output folder; give one inside it, such as video/clip.")
    return Path(full)


def listed_roots() -> list[Path]:
    """The folders an administrator allows besides the host's own."""
    listed = os.environ.get(ROOTS_VARIABLE, "").split(os.pathsep)
    if ROOTS_FILE.is_file():
        listed += [line for line in ROOTS_FILE.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]
    return [Path(root.strip()) for root in listed if root.strip()]


def _inside(real: str, root: str | os.PathLike) -> bool:
    base = os.path.realpath(root)
    try:
        return os.path.commonpath([os.path.normcase(real), os.path.normcase(base)]) == os.path.normcase(base)
    except ValueError:  # another drive
        return False
