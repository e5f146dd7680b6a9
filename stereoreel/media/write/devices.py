"""Devices on which a film is watched, from ``models_config/devices.yaml``: what suits them, and limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache

from ...core.places import data, read_yaml

FILE = data("models_config") / "devices.yaml"
NONE = "none"  # no device
BLOCK = 16  # pixels of the blocks in which levels count a frame
# of a device's bits and buffer, for an encoder: each unit of a film begins with a full buffer, and after the
# units are joined the limits hold for units of 3.4 seconds and more
BITS_USED, BUFFER_USED = 0.88, 0.45
# encoders that take the level as an option of its own; x265 takes it among its parameters
TAKES_LEVEL = ("libx264", "h264_nvenc", "hevc_nvenc")


@dataclass(frozen=True)
class CodecLimits:
    """What a device decodes of one kind of codec; 0 and empty fields set no limit.

    ``picture`` and ``rate`` are pixels of a frame and of a second, ``bits`` and ``buffer`` kbit/s and kbit.
    ``key_every`` is in seconds.
    """

    level: str = ""
    tier: str = ""
    picture: int = 0
    rate: int = 0
    bits: int = 0
    buffer: int = 0
    key_every: float = 0.0
    b_frames: int = 0

    def holds(self, width: int, height: int, fps: Fraction) -> bool:
        """Whether frames of this size, at this rate, are within the limits."""
        pixels = -(-width // BLOCK) * -(-height // BLOCK) * BLOCK * BLOCK
        return (not self.picture or pixels <= self.picture) and (not self.rate or pixels * fps <= self.rate)


@dataclass(frozen=True)
class FrameLimits:
    """The largest frame, in pixels, and frames a second; 0 sets no limit."""

    width: int = 0
    height: int = 0
    fps: int = 0

    def holds(self, width: int, height: int) -> bool:
        return (not self.width or width <= self.width) and (not self.height or height <= self.height)


@dataclass(frozen=True)
class Device:
    """One entry of the file, which documents each field at its top."""

    title: str
    text: str
    options: Mapping[str, str | float]
    screen: str
    copy: str
    sources: Mapping[str, str]
    limits: FrameLimits = FrameLimits()
    shape: tuple[int, int] | None = None
    panel: tuple[int, int] | None = None
    codecs: Mapping[str, CodecLimits] = field(default_factory=dict)

    def of_codec(self, codec: str) -> CodecLimits:
        """Return the limits for an encoder of FFmpeg, without any if the device states none for it."""
        return self.codecs.get(kind(codec), CodecLimits())


@cache
def devices() -> dict[str, Device]:
    """Every device by name, in the file's order."""
    read = read_yaml(FILE)
    return {name: device_of(entry) for name, entry in read.items()}


def device_of(entry: Mapping) -> Device:
    """Return a device from its YAML entry."""
    result = dict(entry)
    result["limits"] = FrameLimits(**entry.get("limits", {}))
    result["codecs"] = {name: CodecLimits(**limits) for name, limits in entry.get("codecs", {}).items()}
    for name in ("shape", "panel"):
        if name in entry:
            width, height = entry[name]
            result[name] = width, height
    return Device(**result)


def device(name: str) -> Device | None:
    """Return a device by its name; None for ``none``."""
    return None if name == NONE else devices()[name]


def kind(codec: str) -> str:
    """Return the kind of an encoder of FFmpeg: h264, hevc, or its own name."""
    if "264" in codec:
        return "h264"
    return "hevc" if "265" in codec or "hevc" in codec else codec


def level_options(codec: str, limits: CodecLimits) -> dict[str, str]:
    """Return the encoder's options for a level; empty if it derives the level from the frames."""
    if not limits.level:
        return {}
    if codec == "libx265":
        return {"x265-params": f"level-idc={limits.level}:high-tier={int(limits.tier == 'high')}"}
    return {"level": limits.level} if codec in TAKES_LEVEL else {}


def stream_options(codec: str, limits: CodecLimits, fps: Fraction, streams: int = 1) -> dict[str, str]:
    """Return the encoder's options for these limits; each of ``streams`` gets its share of the bits."""
    options = level_options(codec, limits)
    if limits.bits:
        options["maxrate"] = str(round(1000 * limits.bits * BITS_USED / streams))
        options["bufsize"] = str(round(1000 * (limits.buffer or limits.bits) * BUFFER_USED / streams))
    if limits.key_every:
        options["g"] = str(max(1, round(limits.key_every * fps)))
    if limits.b_frames:
        options["bf"] = str(limits.b_frames)
    return options
