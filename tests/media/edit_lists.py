"""Replace the edit lists of MP4 and MOV files, whose index is at their end."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from stereoreel.media.layouts.atoms import bodies, boxes, make

EMPTY = -1  # the start of an edit that shows nothing
Edits = Sequence[tuple[float, float]]


def edited(path: Path, edits: Mapping[str, Edits]) -> Path:
    """Give the tracks of each kind (``vide``, ``soun``) their edits: (start, duration) in seconds.

    The start counts from the first frame that is shown, so that a file's own edit list is followed.
    """
    data = path.read_bytes()
    top = {box.kind: box for box in boxes(data)}
    moov = top[b"moov"]
    assert moov.stop == len(data)
    body = b""
    movie = data[moov.body : moov.stop]
    scale = struct.unpack_from(">I", bodies(movie)[b"mvhd"], 12)[0]
    for box in boxes(movie):
        part = movie[box.start : box.stop]
        body += _track(movie[box.body : box.stop], scale, edits) if box.kind == b"trak" else part
    path.write_bytes(data[: moov.start] + make(b"moov", body))
    return path


def _track(track: bytes, scale: int, edits: Mapping[str, Edits]) -> bytes:
    media = bodies(bodies(track)[b"mdia"])
    unit = struct.unpack_from(">I", media[b"mdhd"], 12)[0]
    wanted = edits.get(media[b"hdlr"][8:12].decode(), ())
    own = bodies(bodies(track).get(b"edts", b"")).get(b"elst", bytes(20))
    lead = max(0, struct.unpack_from(">i", own, 12)[0])
    entries = b"".join(
        struct.pack(
            ">Iihh",
            round(length * scale),
            EMPTY if start == EMPTY else round(start * unit) + lead,
            1,
            0,
        )
        for start, length in wanted
    )
    edts = make(b"edts", make(b"elst", struct.pack(">II", 0, len(wanted)) + entries))
    parts = [
        track[box.start : box.stop] + (edts if box.kind == b"tkhd" else b"")
        for box in boxes(track)
        if box.kind != b"edts"
    ]
    return make(b"trak", b"".join(parts))
