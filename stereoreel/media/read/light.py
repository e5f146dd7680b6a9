"""HDR10's static metadata: read from a frame, and said again in an encoder's own words."""

from __future__ import annotations

import struct
from fractions import Fraction

from ...core.clip import Light

# What each encoder calls the screen and the levels, and how many of its units make 1 of a coordinate and 1
# candela per square metre.
WORDS = {
    "x265-params": ("master-display", "max-cll", 50_000, 10_000),
    "svtav1-params": ("mastering-display", "content-light", None, None),
}


def read_light(frame) -> Light | None:
    """What a decoded frame says, from its own stream or its container; None where it says nothing."""
    screen, levels = (
        frame.side_data.get(kind) for kind in ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL")
    )
    if screen is None and levels is None:
        return None
    primaries, luminance = ((), ()) if screen is None else _screen(bytes(screen))
    return Light(primaries, luminance, () if levels is None else struct.unpack_from("=2I", bytes(levels)))


def _screen(data: bytes) -> tuple[tuple[Fraction, ...], tuple[Fraction, ...]]:
    """Primaries and luminance from FFmpeg's AVMasteringDisplayMetadata: ten fractions, then which of them are meant."""
    *numbers, has_primaries, has_luminance = struct.unpack_from("=22i", data)
    values = [
        Fraction(over, under) if under else Fraction(0) for over, under in zip(numbers[::2], numbers[1::2])
    ]
    return (tuple(values[:8]) if has_primaries else ()), (tuple(values[8:]) if has_luminance else ())


def light_words(light: Light, option: str) -> str:
    """The value that an encoder's ``option`` (one of ``WORDS``) takes; empty where there is nothing that it could say."""
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
