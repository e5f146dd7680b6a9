"""Encoder presets from ``models_config/encode.yaml``: container, codec, quality, speed, audio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from ...core.places import data, read_yaml

PRESETS_FILE = data("models_config") / "encode.yaml"
# the same for hardware and software encoders
OF_THE_FILE = ("container", "extension", "codec_tag", "audio_copy", "audio", "subtitles")


@dataclass(frozen=True)
class Quality:
    """A codec's scale of constant quality: ``crf`` from ``best`` to ``worst``, lower is better.

    Each option in ``names`` is set to ``first + step * crf``; ``extra`` are options for constant quality.
    """

    names: tuple[str, ...]
    default: int
    best: int
    worst: int
    first: int = 0
    step: int = 1
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Speeds:
    """The option that sets a codec's speed, and its values for fast, balanced and best."""

    option: str
    fast: str
    balanced: str
    best: str


@dataclass(frozen=True)
class Sound:
    """The codec for audio that cannot be copied; ``bitrate`` is bits/s per channel, None if lossless."""

    codec: str
    bitrate: int | None = None


@dataclass(frozen=True)
class Limits:
    """Limits of a preview: the longest side in pixels, frames per second, seconds."""

    side: int
    fps: int
    seconds: int


@dataclass(frozen=True)
class Preset:
    """One entry of the file, which documents each field at its top; missing fields are empty or None."""

    container: str
    extension: str
    codec: str
    pix_fmt: str
    pictures: str = ""
    text: str = ""
    codec_tag: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    crf: Quality | None = None
    speeds: Speeds | None = None
    audio_copy: tuple[str, ...] = ()
    audio: Sound | None = None
    subtitles: tuple[str, ...] = ()
    narrowest: int = 0
    light: str | None = None
    passes: str | None = None
    reproducible: Mapping[str, str] = field(default_factory=dict)
    fastest: int | None = None
    hardware: tuple[Preset, ...] = ()
    limits: Limits | None = None
    clock: int | None = None
    muxer: Mapping[str, str] = field(default_factory=dict)
    multiview: bool = False
    alpha: str = ""


@cache
def presets() -> dict[str, Preset]:
    """Every preset by name, in the file's order."""
    read = read_yaml(PRESETS_FILE)
    return {name: preset_of(entry) for name, entry in read.items()}


def preset_of(entry: Mapping) -> Preset:
    """Return a preset from its YAML entry; its hardware encoders write the same type of file."""
    result = {
        **entry,
        "audio_copy": tuple(entry.get("audio_copy", ())),
        "subtitles": tuple(entry.get("subtitles", ())),
    }
    for name, kind in {"speeds": Speeds, "audio": Sound, "limits": Limits}.items():
        if name in entry:
            result[name] = kind(**entry[name])
    if "crf" in entry:
        result["crf"] = _quality(**entry["crf"])
    shared = {name: entry[name] for name in OF_THE_FILE if name in entry}
    result["hardware"] = tuple(preset_of({**shared, **card}) for card in entry.get("hardware", ()))
    return Preset(**result)


def _quality(option: str | list[str], **more) -> Quality:
    extra = more.pop("with", {})
    return Quality((option,) if isinstance(option, str) else tuple(option), extra=extra, **more)
