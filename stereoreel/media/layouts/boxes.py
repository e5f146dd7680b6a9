"""Stereo metadata of MP4 and MOV files: the boxes ``st3d`` and ``sv3d``, which PyAV does not support.

Google's Spherical Video V2 defines both; Apple's ``vexu`` is only read. They go into the sample description
of the video, inside the file's index (``moov``), which grows. The index is put before the frames, so that a
film plays while it loads, and the frame offsets in it are corrected. Only the index is held in memory.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from .atoms import Box, bodies, boxes, make, move, read, scan, without

ARRANGEMENTS = ("mono", "top_bottom", "left_right", "custom", "right_left")  # the numbers of st3d
PACKED = {b"side": ("left_right", "right_left"), b"over": ("top_bottom", "bottom_top")}  # the words of pkin
TWO_VIEWS = "two_views"  # of vexu, if it does not say where they are
BOTH, SWAPPED = 3, 8  # bits of stri: there is a left and a right view; the right one comes first
PARENTS = (b"trak", b"mdia", b"minf", b"stbl")  # one in the other
ENTRY = 78  # bytes of a visual sample entry before the boxes inside it
# cropped at the top, bottom, left and right: a quarter of the sphere on either side
HALF = struct.pack(">4I", 0, 0, 0x40000000, 0x40000000)


class Marks(Protocol):
    """The boxes by which a file declares its views."""

    def applied(self, inside: bytes) -> bytes:
        """Return the boxes of a video sample description, with these in place of earlier ones."""


class Stereo(NamedTuple):
    """How a file's views are arranged, and whether they are VR180 half spheres.

    The arrangement is one of ``ARRANGEMENTS`` or, of Apple's boxes, one of ``PACKED`` or ``TWO_VIEWS``.
    """

    arrangement: str
    vr180: bool = False

    def applied(self, inside: bytes) -> bytes:
        """Return the boxes of a video sample description, with these at their end."""
        return without(inside, b"st3d", b"sv3d") + stereo_boxes(self)


def write_stereo(path: str | os.PathLike, stereo: Marks) -> None:
    """Write the boxes into a finished file, replacing existing ones, and move its index to the front.

    An interruption leaves the file corrupt, so use it on a file that does not have its final name yet. Raise
    ValueError if it is not an MP4 or MOV file, or is fragmented.
    """
    with open(path, "rb+") as file:
        found = scan(file)
        index = _index(found, Path(path).name)
        first = found[0].stop if found[0].kind == b"ftyp" else 0
        new = marked(index, read(file, index), stereo, first)
        grown = len(new) - (index.stop - index.start)
        moves = [(index.stop, found[-1].stop, index.stop + grown), (first, index.start, first + len(new))]
        # in the order in which neither overwrites bytes that the other still has to copy
        for one in moves if grown >= 0 else reversed(moves):
            move(file, *one)
        file.seek(first)
        file.write(new)
        file.truncate(found[-1].stop + grown)


def read_stereo(path: str | os.PathLike) -> Stereo | None:
    """Read the boxes of an MP4 or MOV file; None if there are none, or for another type of file."""
    with open(path, "rb") as file:
        index = next((box for box in scan(file) if box.kind == b"moov"), None)
        data = read(file, index) if index else b""
    for entry in _entries(data):
        inside = bodies(entry[ENTRY:])
        if arrangement := _google(inside) or _apple(inside):
            projection = bodies(bodies(inside.get(b"sv3d", b"")).get(b"proj", b""))
            return Stereo(arrangement, projection.get(b"equi", b"")[4:20] == HALF)
    return None


def _google(inside: dict[bytes, bytes]) -> str:
    code = inside.get(b"st3d", b"")[4:5]
    return ARRANGEMENTS[code[0]] if code and code[0] < len(ARRANGEMENTS) else ""


def _apple(inside: dict[bytes, bytes]) -> str:
    """Return the arrangement in ``vexu``; empty without two views."""
    extended = bodies(inside.get(b"vexu", b""))
    code = bodies(extended.get(b"eyes", b"")).get(b"stri", b"")[4:5]
    if not code or code[0] & BOTH != BOTH:
        return ""
    word = bodies(extended.get(b"pack", b"")).get(b"pkin", b"")[4:8]
    return PACKED[word][bool(code[0] & SWAPPED)] if word in PACKED else TWO_VIEWS


def stereo_boxes(stereo: Stereo) -> bytes:
    """Return the encoded boxes."""
    result = make(b"st3d", bytes(4) + bytes([ARRANGEMENTS.index(stereo.arrangement)]))
    if stereo.vr180:
        # no rotation; equirectangular
        projection = make(b"prhd", bytes(4 + 12)) + make(b"equi", bytes(4) + HALF)
        result += make(b"sv3d", make(b"svhd", bytes(4) + b"StereoReel\0") + make(b"proj", projection))
    return result


def marked(index: Box, body: bytes, stereo: Marks, first: int) -> bytes:
    """Return a file's complete index with the boxes, and with the offsets for its new position ``first``."""
    old = index.stop - index.start
    # an upper bound of its length, even with 64-bit offsets
    bound = _Places(first, index.start, old, 2 * old + 1024)
    size = len(make(b"moov", _mended(body, stereo, bound, bound)))
    return make(b"moov", _mended(body, stereo, bound._replace(new=size), bound))


class _Places(NamedTuple):
    """Offsets when an index of ``old`` bytes at ``source`` becomes one of ``new`` bytes at ``first``."""

    first: int
    source: int
    old: int
    new: int

    def moved(self, places: np.ndarray) -> np.ndarray:
        return (
            places + np.where(places >= self.first, self.new, 0) - np.where(places > self.source, self.old, 0)
        )


def _index(found: list[Box], name: str) -> Box:
    indices = [box for box in found if box.kind == b"moov"]
    if len(indices) != 1 or any(box.kind == b"moof" for box in found):
        raise ValueError(
            f"{name} is not an unfragmented MP4 or MOV file, and only those can be marked as stereoscopic. "
            "Convert it first."
        )
    return indices[0]


def _entries(data: bytes, level: int = 0, video: bool = False) -> Iterator[bytes]:
    """Yield the video sample descriptions in an index, of which ``data`` is a box at this level."""
    for box in boxes(data):
        body = data[box.body : box.stop]
        if level < len(PARENTS) and box.kind == PARENTS[level]:
            yield from _entries(body, level + 1, video or _is_video(box, body))
        elif level == len(PARENTS) and box.kind == b"stsd" and video:
            yield from bodies(body[8:]).values()


def _is_video(box: Box, body: bytes) -> bool:
    return box.kind == b"trak" and bodies(bodies(body).get(b"mdia", b"")).get(b"hdlr", b"")[8:12] == b"vide"


def _mended(data: bytes, stereo: Marks, places: _Places, bound: _Places, video: bool = False) -> bytes:
    """Return an index, or the body of a box in it, with the new boxes and the new frame offsets.

    Offsets are 64 bits wide if those of ``bound`` need it.
    """
    parts: list[bytes] = []
    done = 0
    for box in boxes(data):
        body, done = data[box.body : box.stop], box.stop
        if box.kind in PARENTS:
            parts.append(make(box.kind, _mended(body, stereo, places, bound, video or _is_video(box, body))))
        elif box.kind == b"stsd" and video:
            parts.append(make(box.kind, body[:8] + b"".join(_marked(body[8:], stereo))))
        elif box.kind in (b"stco", b"co64"):
            parts.append(_moved(box.kind, body, places, bound))
        else:
            parts.append(data[box.start : box.stop])
    return b"".join((*parts, data[done:]))


def _marked(data: bytes, stereo: Marks) -> Iterator[bytes]:
    """Yield video sample descriptions, each with the new boxes."""
    for entry in boxes(data):
        body = data[entry.body : entry.stop]
        yield make(entry.kind, body[:ENTRY] + stereo.applied(body[ENTRY:]))


def _moved(kind: bytes, body: bytes, places: _Places, bound: _Places) -> bytes:
    """Return the box with the new offsets of a track's frames."""
    old = np.frombuffer(body, ">u4" if kind == b"stco" else ">u8", offset=8).astype(np.int64)
    wide = kind == b"co64" or (len(old) and bound.moved(old).max() >= 2**32)
    return make(
        b"co64" if wide else b"stco", body[:8] + places.moved(old).astype(">u8" if wide else ">u4").tobytes()
    )
