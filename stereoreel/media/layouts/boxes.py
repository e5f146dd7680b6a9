"""What an MP4 or MOV file says of its two eyes: the boxes ``st3d`` and ``sv3d``, for which PyAV has no words.

Google's Spherical Video V2 defines both. They go into the description of the video's samples, inside the
file's index (``moov``), so that the index grows; it is put before the frames, where a film plays while it
loads, and the places of the frames in it are mended. Only the index is ever in memory.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .atoms import Box, bodies, boxes, make, move, read, scan

ARRANGEMENTS = ("mono", "top_bottom", "left_right")  # the numbers of st3d
PARENTS = (b"trak", b"mdia", b"minf", b"stbl")
ENTRY = 78  # bytes of a visual sample entry before the boxes inside it
# cut off above, below, left, right: a quarter of the sphere on either side
HALF = struct.pack(">4I", 0, 0, 0x40000000, 0x40000000)


class Stereo(NamedTuple):
    """How a file's eyes are arranged (one of ``ARRANGEMENTS``), and whether they are half spheres, as VR180 wants them."""

    arrangement: str
    vr180: bool = False


def write_stereo(path: str | os.PathLike, stereo: Stereo) -> None:
    """Put the boxes into a finished file, instead of any that were there; its index comes first afterwards.

    An interruption leaves the file useless, so this is for a file that has not got its name yet. ValueError
    where it is no MP4 or MOV file, or one in fragments.
    """
    with open(path, "rb+") as file:
        found = scan(file)
        index = _index(found, Path(path).name)
        first = found[0].stop if found[0].kind == b"ftyp" else 0
        new = marked(index, read(file, index), stereo, first)
        grown = len(new) - (index.stop - index.start)
        moves = [(index.stop, found[-1].stop, index.stop + grown), (first, index.start, first + len(new))]
        # so that neither overwrites what the other has yet to take
        for one in moves if grown >= 0 else reversed(moves):
            move(file, *one)
        file.seek(first)
        file.write(new)
        file.truncate(found[-1].stop + grown)


def read_stereo(path: str | os.PathLike) -> Stereo | None:
    """What the boxes of an MP4 or MOV file say; None where there are none, or it is another kind of file."""
    with open(path, "rb") as file:
        index = next((box for box in scan(file) if box.kind == b"moov"), None)
        data = read(file, index) if index else b""
    for entry in _entries(data):
        inside = bodies(entry[ENTRY:])
        code = inside.get(b"st3d", b"")[4:5]
        if code and code[0] < len(ARRANGEMENTS):
            projection = bodies(bodies(inside.get(b"sv3d", b"")).get(b"proj", b""))
            return Stereo(ARRANGEMENTS[code[0]], projection.get(b"equi", b"")[4:20] == HALF)
    return None


def stereo_boxes(stereo: Stereo) -> bytes:
    """The boxes themselves."""
    made = make(b"st3d", bytes(4) + bytes([ARRANGEMENTS.index(stereo.arrangement)]))
    if stereo.vr180:
        # not turned; equirectangular
        projection = make(b"prhd", bytes(4 + 12)) + make(b"equi", bytes(4) + HALF)
        made += make(b"sv3d", make(b"svhd", bytes(4) + b"StereoReel\0") + make(b"proj", projection))
    return made


def marked(index: Box, body: bytes, stereo: Stereo, first: int) -> bytes:
    """A file's index, whole, with the boxes in it and the places that are right once it stands at ``first`` and not where it is."""
    old = index.stop - index.start
    # no index is longer, even with places of 64 bits
    bound = _Places(first, index.start, old, 2 * old + 1024)
    size = len(make(b"moov", _mended(body, stereo, bound, bound)))
    return make(b"moov", _mended(body, stereo, bound._replace(new=size), bound))


class _Places(NamedTuple):
    """Where everything goes when an index of ``old`` bytes at ``index`` becomes one of ``new`` bytes at ``first``."""

    first: int
    index: int
    old: int
    new: int

    def moved(self, places: np.ndarray) -> np.ndarray:
        return (
            places + np.where(places >= self.first, self.new, 0) - np.where(places > self.index, self.old, 0)
        )


def _index(found: list[Box], name: str) -> Box:
    indices = [box for box in found if box.kind == b"moov"]
    if len(indices) != 1 or any(box.kind == b"moof" for box in found):
        raise ValueError(
            f"{name} is no MP4 or MOV file in one piece; only such files can be marked as stereoscopic."
        )
    return indices[0]


def _entries(data: bytes, video: bool = False) -> Iterator[bytes]:
    """The descriptions of video samples below an index or a part of it."""
    for box in boxes(data):
        body = data[box.body : box.stop]
        if box.kind in PARENTS:
            yield from _entries(body, video or _is_video(box, body))
        elif box.kind == b"stsd" and video:
            yield from bodies(body[8:]).values()


def _is_video(box: Box, body: bytes) -> bool:
    return box.kind == b"trak" and bodies(bodies(body).get(b"mdia", b"")).get(b"hdlr", b"")[8:12] == b"vide"


def _mended(data: bytes, stereo: Stereo, places: _Places, bound: _Places, video: bool = False) -> bytes:
    """An index, or the body of a box in it, with the new boxes and with the frames where they will be.

    Places are 64 bits wide where those of ``bound`` need it.
    """
    parts, done = [], 0
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


def _marked(data: bytes, stereo: Stereo) -> Iterator[bytes]:
    """Descriptions of video samples, each with the new boxes as its last ones."""
    for entry in boxes(data):
        body = data[entry.body : entry.stop]
        inside = body[ENTRY:]
        kept = b"".join(
            inside[box.start : box.stop] for box in boxes(inside) if box.kind not in (b"st3d", b"sv3d")
        )
        yield make(entry.kind, body[:ENTRY] + kept + stereo_boxes(stereo))


def _moved(kind: bytes, body: bytes, places: _Places, bound: _Places) -> bytes:
    """The box that says where a track's frames are."""
    old = np.frombuffer(body, ">u4" if kind == b"stco" else ">u8", offset=8).astype(np.int64)
    wide = kind == b"co64" or (len(old) and bound.moved(old).max() >= 2**32)
    return make(
        b"co64" if wide else b"stco", body[:8] + places.moved(old).astype(">u8" if wide else ">u4").tobytes()
    )
