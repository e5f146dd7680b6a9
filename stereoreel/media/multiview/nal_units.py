"""NAL units of HEVC streams: their types, their layers, and access units of two layers.

Clauses are those of ITU-T H.265.
"""

from __future__ import annotations

from ..bits import separated

VPS, SPS, PPS, PREFIX_SEI = 32, 33, 34, 39  # table 7-1
FIRST_NON_VCL = 32
HEADER = 2  # bytes
SEPARATOR = b"\0\0\0\1"


def kind(unit: bytes) -> int:
    """Return a unit's type: ``nal_unit_type`` (7.3.1.2)."""
    return unit[0] >> 1 & 63


def layer(unit: bytes) -> int:
    """Return a unit's layer: ``nuh_layer_id`` (7.3.1.2)."""
    return (unit[0] & 1) << 5 | unit[1] >> 3


def moved(unit: bytes, to: int) -> bytes:
    """Return the unit in another layer."""
    return bytes((unit[0] & 0xFE | to >> 5, (to & 31) << 3 | unit[1] & 7)) + unit[HEADER:]


def units(data: bytes) -> list[bytes]:
    """Return the units between start codes (annex B), without the zeros that may follow each (B.1)."""
    return [unit.rstrip(b"\0") for unit in separated(data) if len(unit) > HEADER]


def parameter_sets(data: bytes) -> list[bytes]:
    """Return the parameter sets between start codes."""
    return [unit for unit in units(data) if kind(unit) in (VPS, SPS, PPS)]


def joined(base: bytes, other: bytes) -> bytes:
    """Return an access unit: ``base`` as it is, followed by the pictures of ``other`` in layer 1 (F.7.4.2.4).

    Both have start codes. Parameter sets and messages of ``other`` are dropped.
    """
    pictures = (moved(unit, 1) for unit in units(other) if kind(unit) < FIRST_NON_VCL)
    return base + b"".join(SEPARATOR + unit for unit in pictures)
