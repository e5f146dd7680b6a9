"""Find, make and move the boxes that MP4 and MOV files consist of (QuickTime calls them atoms)."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

BLOCK = 8 << 20  # bytes moved at a time


class Box(NamedTuple):
    """A box's name, and the offsets of its start, its body and its end."""

    kind: bytes
    start: int
    body: int
    stop: int


def make(kind: bytes, body: bytes) -> bytes:
    """Return a box of this name around ``body``."""
    if len(body) + 8 < 2**32:
        return struct.pack(">I4s", len(body) + 8, kind) + body
    return struct.pack(">I4sQ", 1, kind, len(body) + 16) + body


def boxes(data: bytes) -> Iterator[Box]:
    """Yield the boxes of ``data``; a terminating zero, which QuickTime may write, is not one."""
    at = 0
    while data[at : at + 4] != bytes(4) and (box := _header(data[at : at + 16], at, len(data))):
        yield box
        at = box.stop


def bodies(data: bytes) -> dict[bytes, bytes]:
    """Return the body of each box of ``data``, by name."""
    return {box.kind: data[box.body : box.stop] for box in boxes(data)}


def without(data: bytes, *kinds: bytes) -> bytes:
    """Return the boxes of ``data`` that have other names."""
    return b"".join(data[box.start : box.stop] for box in boxes(data) if box.kind not in kinds)


def scan(file: BinaryIO) -> list[Box]:
    """Return a file's top-level boxes by reading only headers; stop at an invalid one."""
    found: list[Box] = []
    end = file.seek(0, os.SEEK_END)
    while file.seek(found[-1].stop if found else 0) < end and (
        box := _header(file.read(16), found[-1].stop if found else 0, end)
    ):
        found.append(box)
    return found


def read(file: BinaryIO, box: Box) -> bytes:
    """Return a box's body."""
    file.seek(box.body)
    return file.read(box.stop - box.body)


def move(file: BinaryIO, start: int, stop: int, to: int) -> None:
    """Copy the bytes from ``start`` to ``stop`` to offset ``to``; the ranges may overlap."""
    starts = range(start, stop, BLOCK)
    for at in starts if to < start else reversed(starts):
        file.seek(at)
        block = file.read(min(BLOCK, stop - at))
        file.seek(at - start + to)
        file.write(block)


def _header(head: bytes, at: int, end: int) -> Box | None:
    if len(head) < 8:
        return None
    size, kind, body = *struct.unpack_from(">I4s", head), at + 8
    if size == 1 and len(head) >= 16:  # the size follows, 64 bits wide
        size, body = struct.unpack_from(">Q", head, 8)[0], at + 16
    stop = end if size == 0 else at + size
    return Box(kind, at, body, stop) if body <= stop <= end else None
