"""Blu-ray's graphic subtitles, written byte by byte, because FFmpeg has no encoder for them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

COLOURS = {1: (235, 128, 128), 2: (81, 90, 240)}  # Y, Cb, Cr of white and red
END = b""


class Block(NamedTuple):
    """A filled rectangle that is shown from ``begin`` to ``end`` seconds."""

    begin: float
    end: float
    x: int
    y: int
    width: int
    height: int
    colour: int = 1


def write_pgs(path: Path, canvas: tuple[int, int], blocks: Sequence[Block]) -> Path:
    """Write rectangles that follow each other; each set replaces the one before."""
    data = b""
    for number, block in enumerate(blocks):
        data += _shown(2 * number, canvas, block)
        following = blocks[number + 1].begin if number + 1 < len(blocks) else float("inf")
        if following > block.end:
            data += _set(block.end, [(0x16, _composition(2 * number + 1, canvas, b"")), (0x80, END)])
    path.write_bytes(data)
    return path


def _shown(number: int, canvas: tuple[int, int], block: Block) -> bytes:
    place = struct.pack(">HBBHH", 0, 0, 0, block.x, block.y)
    palette = b"\0\0" + b"".join(
        struct.pack("5B", index, luma, red, blue, 255) for index, (luma, blue, red) in COLOURS.items()
    )
    length = block.width
    row = b"\0" + struct.pack(">HB", 0xC000 | length, block.colour) + b"\0\0"
    picture = row * block.height
    size = struct.pack(">I", len(picture) + 4)[1:] + struct.pack(">HH", block.width, block.height)
    window = b"\1\0" + struct.pack(">4H", block.x, block.y, block.width, block.height)
    return _set(
        block.begin,
        [
            (0x16, _composition(number, canvas, place)),
            (0x17, window),
            (0x14, palette),
            (0x15, b"\0\0\0\xc0" + size + picture),
            (0x80, END),
        ],
    )


def _composition(number: int, canvas: tuple[int, int], place: bytes) -> bytes:
    return struct.pack(">HHBHBBBB", *canvas, 0x10, number, 0x80, 0, 0, bool(place)) + place


def _set(seconds: float, segments: Sequence[tuple[int, bytes]]) -> bytes:
    stamp = round(seconds * 90000)
    return b"".join(
        b"PG" + struct.pack(">IIBH", stamp, stamp, kind, len(data)) + data for kind, data in segments
    )
