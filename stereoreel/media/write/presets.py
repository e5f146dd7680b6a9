"""Encoder presets, as ``models_config/encode.yaml`` describes them: container, codec, quality, speed, sound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import yaml

from ...core.places import data

PRESETS_FILE = data("models_config") / "encode.yaml"
# whichever encoder is used
OF_THE_FILE = ("container", "extension", "codec_tag", "audio_copy", "audio", "subtitles")


@dataclass(frozen=True)
class Quality:
    """A codec's scale of constant quality: ``crf`` between ``best`` and ``worst``, lower is better.

    Each option in ``names`` takes ``first + step * crf``; ``extra`` are options that constant quality needs.
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
    """The option that sets a codec's speed, and its words for fast, balanced and best."""

    option: str
    fast: str
    balanced: str
    best: str


@dataclass(frozen=True)
class Sound:
    """The codec of sound that cannot be copied; ``bitrate`` is bits a second and channel, None if lossless."""

    codec: str
    bitrate: int | None = None


@dataclass(frozen=True)
class Limits:
    """What a preview holds: the longest side in pixels, frames a second, seconds."""

    side: int
    fps: int
    seconds: int


@dataclass(frozen=True)
class Preset:
    """One entry of the file, whose head explains each field; what an entry lacks is empty or None here."""

    container: str
    extension: str
    codec: str
    pix_fmt: str
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
    fastest: int | None = None
    hardware: tuple[Preset, ...] = ()
    limits: Limits | None = None
    clock: int | None = None
    muxer: Mapping[str, str] = field(default_factory=dict)


@cache
def presets() -> dict[str, Preset]:
    """Every preset by name, in the file's order."""
    read = yaml.safe_load(PRESETS_FILE.read_text(encoding="utf-8"))
    return {name: preset_of(entry) for name, entry in read.items()}


def preset_of(entry: Mapping) -> Preset:
    """A preset as YAML writes it; its hardware encoders fill the same kind of file."""
    made = {
        **entry,
        "audio_copy": tuple(entry.get("audio_copy", ())),
        "subtitles": tuple(entry.get("subtitles", ())),
    }
    for name, kind in {"speeds": Speeds, "audio": Sound, "limits": Limits}.items():
        if name in entry:
            made[name] = kind(**entry[name])
    if "crf" in entry:
        made["crf"] = _quality(**entry["crf"])
    shared = {name: entry[name] for name in OF_THE_FILE if name in entry}
    made["hardware"] = tuple(preset_of({**shared, **card}) for card in entry.get("hardware", ()))
    return Preset(**made)


def _quality(option: str | list[str], **more) -> Quality:
    extra = more.pop("with", {})
    return Quality((option,) if isinstance(option, str) else tuple(option), extra=extra, **more)
