"""Add to an animated WebP what FFmpeg omits.

That is the duration of the last frame, and the metadata that ComfyUI's canvas reads.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

HAS_NOTES, HAS_ALPHA = 8, 16  # bits of the first byte of VP8X
NOTES = {"prompt": 0x0110}  # ComfyUI's EXIF tags: Model for the prompt, lower numbers for everything else


def complete_webp(path: Path, milliseconds: int, notes: Mapping[str, str], alpha: bool = False) -> None:
    """Set the duration of a WebP and store the notes as EXIF. The complete file, which is small, is read.

    With ``alpha``, what is outside the frames, which are cut to their opaque part, is transparent.
    """
    chunks = list(_chunks(path.read_bytes()))
    pictures = [index for index, (kind, _) in enumerate(chunks) if kind == b"ANMF"]
    if pictures:
        before = sum(_shown(chunks[index][1]) for index in pictures[:-1])
        kind, body = chunks[pictures[-1]]
        chunks[pictures[-1]] = (
            kind,
            body[:12] + max(1, milliseconds - before).to_bytes(3, "little") + body[15:],
        )
    if alpha and chunks[0][0] == b"VP8X":
        kind, body = chunks[0]
        chunks[0] = kind, bytes([body[0] | HAS_ALPHA]) + body[1:]
        chunks = [(kind, bytes(4) + body[4:] if kind == b"ANIM" else body) for kind, body in chunks]
    if notes:
        if chunks[0][0] != b"VP8X":
            chunks.insert(0, (b"VP8X", _canvas(path)))
        kind, body = chunks[0]
        chunks[0] = kind, bytes([body[0] | HAS_NOTES]) + body[1:]
        chunks.append((b"EXIF", _exif(notes)))
    body = b"WEBP" + b"".join(
        kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for kind, data in chunks
    )
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)


def _chunks(data: bytes):
    at = 12
    while at < len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        yield kind, data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _shown(picture: bytes) -> int:
    """Return for how many milliseconds a frame of an animation is shown."""
    return int.from_bytes(picture[12:15], "little")


def _canvas(path: Path) -> bytes:
    """Return the body of VP8X for a single image."""
    with Image.open(path) as picture:
        return bytes(4) + b"".join((edge - 1).to_bytes(3, "little") for edge in picture.size)


def _exif(notes: Mapping[str, str]) -> bytes:
    exif = Image.Exif()
    for number, (name, text) in enumerate((name, text) for name, text in notes.items() if name not in NOTES):
        exif[0x010F - number] = f"{name}:{text}"
    for name in notes.keys() & NOTES.keys():
        exif[NOTES[name]] = f"{name}:{notes[name]}"
    return exif.tobytes().removeprefix(b"Exif\0\0")
