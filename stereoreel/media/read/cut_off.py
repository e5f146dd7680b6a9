"""Detect files that are shorter than their headers state."""

from __future__ import annotations

import struct

from ..layouts.atoms import scan

HEADER = 128  # bytes
FLV_HEADER = 11  # bytes, of a tag
BOXES = (b"mdat", b"moof", b"moov")  # without them, frames are missing


def is_cut_off(container) -> bool | None:
    """Whether a file is truncated; None if its container does not state its length."""
    name = container.format.name
    if "matroska" in name:
        return _matroska(container)
    if "mp4" in name:
        return _mp4(container)
    if name == "flv":
        return _flv(container)
    return _avi(container) if name == "avi" else None


def _matroska(container) -> bool | None:
    with open(container.name, "rb") as file:
        head = file.read(HEADER)
    # the segment's id; its size follows, its own length in the leading zeros
    at = head.find(b"\x18\x53\x80\x67") + 4
    if at < 4 or at >= len(head):
        return None
    width = 9 - head[at].bit_length()
    if not 1 <= width <= 8:
        return None
    unknown = (1 << 7 * width) - 1
    size = int.from_bytes(head[at : at + width], "big") & unknown
    return None if size == unknown else at + width + size > container.size


def _mp4(container) -> bool:
    """Whether a box with frames does not fit into the file; bytes that are no box may follow the last one."""
    with open(container.name, "rb") as file:
        found = scan(file)
        file.seek(found[-1].stop if found else 0)
        return file.read(8)[4:] in BOXES


def _avi(container) -> bool | None:
    """Whether a RIFF chunk does not fit. Large files have several; an unfinished one states no size."""
    at, complete = 0, None
    with open(container.name, "rb") as file:
        while (head := file.read(8))[:4] == b"RIFF" and len(head) == 8:
            size = struct.unpack_from("<I", head, 4)[0]
            if not size:
                return None
            at += 8 + size + size % 2
            if at - size % 2 > container.size:
                return True
            complete = False
            file.seek(at)
    return complete


def _flv(container) -> bool:
    """Whether the file does not end with the size of its last tag, whose header states it too."""
    with open(container.name, "rb") as file:
        file.seek(max(0, container.size - 4))
        size = int.from_bytes(file.read(4), "big")
        if not FLV_HEADER < size <= container.size - 4:
            return True
        file.seek(container.size - 4 - size)
        return int.from_bytes(file.read(4)[1:], "big") != size - FLV_HEADER
