"""The display size of a Matroska track, which FFmpeg writes only from a field that PyAV does not set.

It tells players the shape of a pixel. The track is given a name when it is opened, whose bytes are then used
for the display size, so that nothing else in the file moves.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

RESERVED = "reserved for the display size"  # the name of the track until then
HEAD = 1 << 16  # bytes; the tracks are in front of the frames
SEGMENT, TRACKS, TRACK, VIDEO, NAME, VOID = 0x18538067, 0x1654AE6B, 0xAE, 0xE0, 0x536E, 0xEC
PIXEL_WIDTH, PIXEL_HEIGHT, DISPLAY_WIDTH, DISPLAY_HEIGHT = 0xB0, 0xBA, 0x54B0, 0x54BA
DISPLAY_UNIT = 0x54B2  # pixels without it


class Element(NamedTuple):
    """An element of EBML: its id, where it begins, where its content begins, and where it ends."""

    id: int
    start: int
    body: int
    stop: int


def write_display_size(path: str | os.PathLike, aspect: Fraction) -> None:
    """Write the display size for pixels of this shape in place of the reserved name of a track.

    The file must not have checksums. Raise ValueError if no track has that name.
    """
    with open(path, "rb+") as file:
        data = file.read(HEAD)
        for track in _tracks(data):
            if any(data[one.body : one.stop] == RESERVED.encode() for one in _elements(data, track, NAME)):
                file.seek(track.body)
                file.write(_with_display_size(data, track, aspect))
                return
    raise ValueError(f"{os.fspath(path)} has no track with room for a display size.")


def _tracks(data: bytes) -> Iterator[Element]:
    whole = Element(0, 0, 0, len(data))
    for segment in _elements(data, whole, SEGMENT):
        for tracks in _elements(data, segment, TRACKS):
            yield from _elements(data, tracks, TRACK)


def _with_display_size(data: bytes, track: Element, aspect: Fraction) -> bytes:
    """Return the content of a track, of the same length, without its name and with its display size."""
    parts = [_changed(data, one, aspect) for one in _elements(data, track) if one.id != NAME]
    room = track.stop - track.body - sum(map(len, parts))
    return b"".join((*parts, _made(VOID, bytes(room - 2))))


def _changed(data: bytes, element: Element, aspect: Fraction) -> bytes:
    if element.id != VIDEO:
        return data[element.start : element.stop]
    numbers = {one.id: int.from_bytes(data[one.body : one.stop], "big") for one in _elements(data, element)}
    # a stereo track has the size of one view already
    width = round(numbers.get(DISPLAY_WIDTH, numbers[PIXEL_WIDTH]) * aspect)
    height = numbers.get(DISPLAY_HEIGHT, numbers[PIXEL_HEIGHT])
    others = [
        data[one.start : one.stop]
        for one in _elements(data, element)
        if one.id not in (DISPLAY_WIDTH, DISPLAY_HEIGHT, DISPLAY_UNIT)
    ]
    size = [_made(DISPLAY_WIDTH, width.to_bytes(4, "big")), _made(DISPLAY_HEIGHT, height.to_bytes(4, "big"))]
    return _made(VIDEO, b"".join(others + size))


def _elements(data: bytes, parent: Element, wanted: int | None = None) -> Iterator[Element]:
    """Yield the elements inside another one, up to the end of the data."""
    at, stop = parent.body, min(parent.stop, len(data))
    while at < stop:
        start, id_length = at, 9 - data[at].bit_length()
        at += id_length
        length = 9 - data[at].bit_length()
        size = int.from_bytes(data[at : at + length], "big") & ((1 << 7 * length) - 1)
        at += length
        unknown = size == (1 << 7 * length) - 1
        one = Element(
            int.from_bytes(data[start : start + id_length], "big"),
            start,
            at,
            len(data) if unknown else at + size,
        )
        if wanted in (None, one.id):
            yield one
        at = one.stop


def _made(id: int, body: bytes) -> bytes:
    size = bytes([0x80 | len(body)]) if len(body) < 127 else (0x4000 | len(body)).to_bytes(2, "big")
    return id.to_bytes((id.bit_length() + 7) // 8, "big") + size + body
