"""Read and write the bits of H.264 and HEVC headers, and split streams into NAL units.

Clauses are those of ITU-T H.265; H.264 has the same codes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

START = b"\0\0\1"


class BitReader:
    """Read numbers from the payload of a NAL unit; raise IndexError at its end."""

    def __init__(self, data: bytes):
        data = data.replace(b"\0\0\3", b"\0\0")  # 7.4.2: emulation prevention
        self._text = bin(int.from_bytes(b"\1" + data, "big"))[3:]
        self._at = 0

    def u(self, count: int) -> int:
        """Return an unsigned number of ``count`` bits."""
        self._at += count
        if self._at > len(self._text):
            raise IndexError
        return int(self._text[self._at - count : self._at], 2)

    def ue(self) -> int:
        """Return a number in Exp-Golomb code (9.2)."""
        one = self._text.find("1", self._at)
        zeros = one - self._at
        if one < 0 or zeros > 32:
            raise IndexError
        self._at = one
        return self.u(zeros + 1) - 1

    def align(self) -> None:
        """Skip to the next byte."""
        self._at += -self._at % 8


class BitWriter:
    """Write numbers into the payload of a NAL unit."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._bits = 0

    def u(self, count: int, value: int) -> None:
        """Append an unsigned number of ``count`` bits; raise ValueError if it needs more."""
        if not 0 <= value < 1 << count:
            raise ValueError(f"{value} does not fit into {count} bits.")
        self._text.append(f"{value:0{count}b}")
        self._bits += count

    def ue(self, value: int) -> None:
        """Append a number in Exp-Golomb code (9.2)."""
        length = (value + 1).bit_length()
        self.u(2 * length - 1, value + 1)

    def align(self, bit: int) -> None:
        """Repeat ``bit`` up to the next byte."""
        while self._bits % 8:
            self.u(1, bit)

    def stopped(self) -> bytes:
        """Return the bits, the stop bit and zeros up to a whole byte (7.3.2.11)."""
        self.u(1, 1)
        self.align(0)
        return int("".join(self._text), 2).to_bytes(self._bits // 8, "big")

    def unit(self, header: bytes) -> bytes:
        """Return the NAL unit: ``header`` and the stopped bits with emulation prevention (7.3.1.1)."""
        return header + re.sub(rb"\0\0(?=[\0-\3])", b"\0\0\3", self.stopped())


def separated(data: bytes) -> Iterator[bytes]:
    """Yield the NAL units between start codes (annex B)."""
    at = data.find(START)
    while at >= 0:
        end = data.find(START, at + 3)
        if unit := data[at + 3 : end if end >= 0 else len(data)]:
            yield unit
        at = end


def sized(data: bytes, length: int) -> Iterator[bytes]:
    """Yield the NAL units of a packet, each after its size in ``length`` bytes."""
    at = 0
    while at + length < len(data):
        size = int.from_bytes(data[at : at + length], "big")
        if unit := data[at + length : at + length + size]:
            yield unit
        at += length + size
