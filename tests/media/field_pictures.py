"""Write H.264 of which every field is a picture of its own (PAFF), as AVCHD cameras and DVB stations do.

All macroblocks are I_PCM, so that the bits are exact and no encoder is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

FRAME_BITS = ORDER_BITS = 8  # of a frame's number, and of its place in display order
MACROBLOCK = b"\x0d\0"  # mb_type 25 is I_PCM, then zeros up to the next byte
CLOCK = 90_000


class Field(NamedTuple):
    """A coded field: its NAL units, its frame's number in display order, and what starts with it."""

    data: bytes
    frame: int
    bottom: bool
    key: bool
    lasts: int  # fields


def write_fields(path: Path, frames: np.ndarray, rate: int, single: frozenset[int] = frozenset()) -> Path:
    """Write grey frames ``[N, H, W]`` as a transport stream, with every second frame decoded early.

    Frames in ``single`` are coded as one picture. Width and height are multiples of 16 and 32.
    """
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_mux_stream("h264", width=frames.shape[2], height=frames.shape[1])
        stream.time_base = Fraction(1, CLOCK)
        begun, step = 0, CLOCK // rate // 2
        for field in coded(frames, single):
            packet = av.Packet(field.data)
            packet.stream, packet.time_base = stream, Fraction(1, CLOCK)
            packet.is_keyframe = field.key
            packet.pts, packet.dts = (2 * field.frame + field.bottom + 2) * step, begun * step
            begun += field.lasts
            container.mux(packet)
    return path


def coded(frames: np.ndarray, single: frozenset[int] = frozenset()) -> Iterator[Field]:
    """Yield the fields in decoding order: 0, 2, 1, 4, 3 …, with a new sequence every 20 frames."""
    count, height, width = frames.shape
    for begin in range(0, count, 20):
        length = min(20, count - begin)
        order = [
            0,
            *(n for odd in range(1, length, 2) for n in ((odd + 1, odd) if odd + 1 < length else (odd,))),
        ]
        number = -1  # of the last reference
        for n in order:
            reference = n == 0 or n % 2 == 0 or n == length - 1
            number_now = number + 1
            if reference:
                number = number_now
            whole = begin + n in single
            for bottom in (None,) if whole else (False, True):
                units = [_sets(width, height)] if n == 0 and not bottom else []
                picture = frames[begin + n] if whole else frames[begin + n, int(bool(bottom)) :: 2]
                units.append(_slice(picture, n, number_now, bottom, reference, begin // 20))
                key = n == 0 and not bottom
                yield Field(b"".join(units), begin + n, bool(bottom), key, 2 if whole else 1)


def _slice(
    picture: np.ndarray, n: int, number: int, bottom: bool | None, reference: bool, sequence: int
) -> bytes:
    first = n == 0 and not bottom
    bits = _Bits().ue(0).ue(7).ue(0).u(number, FRAME_BITS).u(bottom is not None, 1)
    if bottom is not None:
        bits.u(bottom, 1)
    if first:
        bits.ue(sequence % 2)
    bits.u(2 * n + bool(bottom), ORDER_BITS)
    if first:
        bits.u(0, 2)
    elif reference:
        bits.u(0, 1)
    bits.ue(0).ue(1)  # the quantiser as it is, no deblocking
    bits.ue(25).align(0)
    rows, columns = (edge // 16 for edge in picture.shape)
    blocks = picture.reshape(rows, 16, columns, 16).swapaxes(1, 2).reshape(-1, 256)
    body = MACROBLOCK.join(block.tobytes() + b"\x80" * 128 for block in blocks)
    return _unit(3 * reference, 5 if first else 1, bits.data() + body + b"\x80")


def _sets(width: int, height: int) -> bytes:
    sequence = _Bits().u(77, 8).u(0, 8).u(30, 8).ue(0)
    sequence.ue(FRAME_BITS - 4).ue(0).ue(ORDER_BITS - 4).ue(2).u(0, 1)
    sequence.ue(width // 16 - 1).ue(height // 32 - 1).u(0, 1).u(0, 1).u(1, 1).u(0, 1)
    # of the usability information, only how many frames are reordered
    sequence.u(1, 1).u(0, 1).u(0, 1).u(0, 1).u(0, 1).u(0, 1).u(0, 1).u(0, 1).u(0, 1)
    sequence.u(1, 1).u(1, 1).ue(0).ue(0).ue(16).ue(16).ue(1).ue(2)
    picture = _Bits().ue(0).ue(0).u(0, 1).u(0, 1).ue(0).ue(0).ue(0).u(0, 1).u(0, 2).ue(0).ue(0).ue(0)
    picture.u(1, 1).u(0, 1).u(0, 1)
    return _unit(3, 7, sequence.align(1).data()) + _unit(3, 8, picture.align(1).data())


def _unit(importance: int, kind: int, payload: bytes) -> bytes:
    escaped = bytearray()
    for byte in payload if len(payload) < 64 else payload[:64]:
        if escaped[-2:] == b"\0\0" and byte <= 3:
            escaped.append(3)
        escaped.append(byte)
    return b"\0\0\0\1" + bytes([importance << 5 | kind]) + bytes(escaped) + payload[64:]


class _Bits:
    """Write numbers bit by bit."""

    def __init__(self):
        self._text = ""

    def u(self, value: int, count: int) -> _Bits:
        self._text += format(int(value), f"0{count}b")
        return self

    def ue(self, value: int) -> _Bits:
        return self.u(value + 1, 2 * (value + 1).bit_length() - 1)

    def align(self, stop: int) -> _Bits:
        """Fill the last byte with zeros, after a one if ``stop``."""
        self._text += "1" * stop
        self._text += "0" * (-len(self._text) % 8)
        return self

    def data(self) -> bytes:
        return int(self._text, 2).to_bytes(len(self._text) // 8, "big")
