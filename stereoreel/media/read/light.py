"""HDR10 static metadata: read it from a frame, and format it as encoder parameters."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from fractions import Fraction

from ...core.clip import Light

# Each encoder's parameter names for the mastering display and the light levels, and its units per 1 of a
# coordinate and per candela per square metre.
WORDS = {
    "x265-params": ("master-display", "max-cll", 50_000, 10_000),
    "svtav1-params": ("mastering-display", "content-light", None, None),
}


def read_light(frame) -> Light | None:
    """Return a decoded frame's metadata, from its stream or its container; None if it has none."""
    found = side_data(frame) or {}
    screen, levels = (found.get(kind) for kind in ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"))
    if screen is None and levels is None:
        return None
    primaries, luminance = ((), ()) if screen is None else _screen(bytes(screen))
    return Light(primaries, luminance, () if levels is None else struct.unpack_from("=2I", bytes(levels)))


def side_data(frame) -> Mapping | None:
    """Return a decoded frame's side data by name; None if some of it is of a type that PyAV does not know.

    PyAV 18 reads none of it then. FFmpeg 8 attaches such data to every image with EXIF tags.
    """
    try:
        return frame.side_data
    except ValueError:
        return None


def _screen(data: bytes) -> tuple[tuple[Fraction, ...], tuple[Fraction, ...]]:
    """Return primaries and luminance from FFmpeg's AVMasteringDisplayMetadata.

    It holds ten fractions, then two flags for which of them are valid.
    """
    *numbers, has_primaries, has_luminance = struct.unpack_from("=22i", data)
    values = [
        Fraction(over, under) if under else Fraction(0) for over, under in zip(numbers[::2], numbers[1::2])
    ]
    return (tuple(values[:8]) if has_primaries else ()), (tuple(values[8:]) if has_luminance else ())


def light_words(light: Light, option: str) -> str:
    """Return the value of an encoder's ``option`` (one of ``WORDS``); empty without metadata for it."""
    screen, levels, unit, candela = WORDS[option]
    words = []
    if light.primaries and light.luminance:
        rx, ry, gx, gy, bx, by, wx, wy = (_number(value, unit) for value in light.primaries)
        darkest, brightest = (_number(value, candela) for value in light.luminance)
        words.append(f"{screen}=G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})L({brightest},{darkest})")
    if light.levels:
        words.append(f"{levels}={light.levels[0]},{light.levels[1]}")
    return ":".join(words)


def _number(value: Fraction, unit: int | None) -> str:
    return str(round(value * unit)) if unit else f"{float(value):.6g}"
