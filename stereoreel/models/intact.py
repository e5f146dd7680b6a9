"""Check that a file of weights is complete, without reading its tensors.

A checkpoint describes itself: the header of safetensors, the directory of a zip archive and the graph next to
ncnn's weights state how long the file must be. Only PyTorch's old format does not, so official files are also
compared with their published size, and smaller ones with their published hash.
"""

from __future__ import annotations

import os
import stat
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.file_cache import FileCache
from ..core.files import sha256
from . import ncnn_files

if TYPE_CHECKING:
    from .weights import File

HASHED = 256 << 20  # largest file hashed when listed, so that a list does not take minutes
ZIP, PICKLE, TAR = b"PK", b"\x80", b"ustar"
PAGES = (b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")
LFS = b"version https://git-lfs"


def fault(path: Path, published: File | None = None, files: FileCache | None = None) -> str | None:
    """Return the fault of a file of weights, to be read after its name (``is empty``), or None.

    ``published`` is the file that it must be a copy of, as far as its size and hash are known. ``files``
    caches the answer.
    """
    try:
        facts = os.stat(path)
        if not stat.S_ISREG(facts.st_mode):
            return "is a folder, not a file" if stat.S_ISDIR(facts.st_mode) else "is not a regular file"
        wanted = (published.bytes, published.sha256) if published else (None, None)
        files = files or FileCache()
        graph = ncnn_files.graph_of(path)
        if graph:  # a fact of two files
            state = os.stat(graph)
            wanted = (*wanted, state.st_size, state.st_mtime_ns)  # type: ignore[assignment]
            return files.get(path, ("ncnn", *wanted), lambda: ncnn_files.fault(path))
        return files.get(path, ("fault", *wanted), lambda: _fault(path, facts.st_size, *wanted, files))
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"


def _fault(
    path: Path, size: int, wanted: int | None, wanted_hash: str | None, files: FileCache
) -> str | None:
    """Return the ``fault`` of a regular file of ``size`` bytes."""
    if not size:
        return "is empty" if not wanted else f"is empty and should have {wanted} bytes"
    if wanted and size != wanted:
        return f"has {size} bytes instead of {wanted}"
    if found := _structure(path, size):
        return found
    if wanted_hash and size <= HASHED and (found := digest(path, files)) != wanted_hash.lower():
        return f"is not the published file: its SHA-256 is {found} instead of {wanted_hash}"
    return None


def _structure(path: Path, size: int) -> str | None:
    with open(path, "rb") as file:
        head = file.read(512)
    if head[8:9] == b"{":
        return _safetensors(path)
    if head.startswith(ZIP):
        return _archive(path, size)
    if head[257:262] == TAR:
        return "is in PyTorch's old tar format, which cannot be opened safely"
    if head.startswith(PICKLE):
        return None
    if path.suffix.lower() == ncnn_files.WEIGHTS and not head.isascii():
        graph = path.with_suffix(ncnn_files.GRAPH).name
        return (
            f"is corrupt, or one half of an ncnn model whose other half, {graph}, is not in the same folder"
        )
    return _no_checkpoint(head)


def _no_checkpoint(head: bytes) -> str:
    words = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if words.startswith(PAGES):
        return "is a web page, not a checkpoint"
    if words.startswith(LFS):
        return "is a Git LFS pointer, not the file itself"
    if words.startswith((b"{", b"[")):
        return "is JSON, not a checkpoint"
    return "is corrupt or not a checkpoint"


def _safetensors(path: Path) -> str | None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt"):  # maps the file, and checks its header against its length
            return None
    except (SafetensorError, OSError, ValueError, MemoryError, OverflowError) as error:
        reason = first_line(error).removeprefix("Error while deserializing header: ")
        return f"is corrupt or truncated ({reason})"


def _archive(path: Path, size: int) -> str | None:
    """Return the fault of an archive; PyTorch stores uncompressed, so its content fits in the file."""
    try:
        with zipfile.ZipFile(path) as archive:
            inside = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError, MemoryError) as error:
        return f"is corrupt or truncated ({first_line(error)})"
    declared = sum(one.file_size for one in inside)
    if declared > size or any(one.compress_type != zipfile.ZIP_STORED for one in inside):
        return f"is a compressed archive ({size} bytes that unpack to {declared}), not a checkpoint"
    if any(one.header_offset + one.compress_size > size for one in inside):
        return "is corrupt or truncated"
    names = {one.filename.partition("/")[2] for one in inside}
    if "data.pkl" not in names:
        return "is an archive, not a checkpoint"
    if "constants.pkl" in names or any(name.startswith("code/") for name in names):
        return "is a TorchScript archive, which is refused because it contains code"
    return None


def digest(path: Path, files: FileCache) -> str:
    """Return a file's SHA-256, read only if ``files`` does not have it."""
    return files.get(path, "sha256", lambda: sha256(path))


def first_line(error: BaseException) -> str:
    """Return an error's text in one line."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:160].rstrip(".")
