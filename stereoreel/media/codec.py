"""Open the encoder that a preset names, for pictures of one size and one clock."""

from __future__ import annotations

import math
import os
from fractions import Fraction
from types import SimpleNamespace

import av
import av.error

from ..clip import ClipInfo
from .options import preset, presets
from .picture import Pictures

FINE = 90_000  # ticks a second for a varying rate whose own clock has no common unit near this
STEREO_MODES = {"full_sbs": "left_right", "half_sbs": "left_right", "full_tb": "top_bottom", "half_tb": "top_bottom",
                "anaglyph": "anaglyph_cyan_red"}  # Matroska's words
FRAME_PACKING = {"half_sbs": "3", "half_tb": "4"}  # H.264's arrangement types; a full layout so marked would be squeezed by televisions


class Clock:
    """When each frame is shown: ``tick(frame)`` units of ``unit`` seconds, exact for every rational rate."""

    def __init__(self, info: ClipInfo):
        self.rate = info.fps.limit_denominator(100_000)
        self.unit, self._ticks = 1 / self.rate, None
        if info.times:
            unit = math.lcm(*{Fraction(time).denominator for time in info.times})
            self.unit = Fraction(1, unit if unit <= 10 * FINE else FINE)
            self._ticks, step = [], max(1, round(Fraction(1, 1000) / self.unit))
            # Two frames of one moment are put a millisecond apart: containers want steps, and Matroska has no smaller ones.
            for time in info.times:
                tick = round((time - info.times[0]) / self.unit)
                self._ticks.append(max(tick, self._ticks[-1] + step) if self._ticks else tick)

    def tick(self, frame: int) -> int:
        if self._ticks is None:
            return frame
        beyond = max(0, frame - len(self._ticks) + 1)
        return self._ticks[frame - beyond] + max(beyond, round(beyond / self.rate / self.unit))

    def seconds(self, tick: int) -> Fraction:
        return tick * self.unit


def open_encoder(container: av.container.OutputContainer, info: ClipInfo, settings: SimpleNamespace, pictures: Pictures, clock: Clock):
    """The container's video stream, its encoder open; ValueError where the codec is missing or refuses such frames."""
    os.environ.setdefault("SVT_LOG", "1")  # errors only: SVT-AV1 prints a page of settings otherwise
    entry = preset(settings)
    others = ", ".join(name for name in presets() if name != settings.format)
    refusal = (f"{settings.format} cannot hold frames of {pictures.size[0]} x {pictures.size[1]} at {float(info.fps):.6g} a second; "
               f"choose another format ({others}), a half layout, or another size.")
    if pictures.size[0] < entry.get("narrowest", 0):
        raise ValueError(refusal)
    try:
        stream = container.add_stream(entry["codec"], rate=clock.rate, options=codec_options(info, settings))
    except av.codec.codec.UnknownCodecError:
        raise ValueError(f"This PyAV was built without {entry['codec']}, which {settings.format} needs; "
                         f"choose another format ({others}).") from None
    context = stream.codec_context
    pictures.configure(context)
    context.time_base, context.thread_type = clock.unit, "AUTO"
    if "codec_tag" in entry:
        context.codec_tag = entry["codec_tag"]
    if info.views == 2 and settings.stereo_tags and entry["container"] == "matroska" and settings.layout in STEREO_MODES:
        stream.metadata["stereo_mode"] = STEREO_MODES[settings.layout]
    try:
        context.open()
    except av.error.FFmpegError as error:
        raise ValueError(refusal) from error
    return stream


def codec_options(info: ClipInfo, settings: SimpleNamespace) -> dict[str, str]:
    """The settings in the codec's own words."""
    entry = preset(settings)
    options = dict(entry.get("options", {}))
    if "crf" in entry:
        crf = entry["crf"]
        options[crf["option"]] = str(crf["default"] if settings.crf < 0 else max(crf["best"], min(settings.crf, crf["worst"])))
    if "speeds" in entry:
        options[entry["speeds"]["option"]] = entry["speeds"][settings.speed]
    if entry["codec"] == "libx264" and info.views == 2 and settings.stereo_tags and settings.layout in FRAME_PACKING:
        options["x264-params"] = f"frame-packing={FRAME_PACKING[settings.layout]}"
    return options


def container_options(settings: SimpleNamespace, clock: Clock) -> dict[str, str]:
    """For the muxer: a film's index at its beginning, free names for metadata, exact edits, little kept back for a silent track."""
    options = {"max_interleave_delta": "1000000"}  # microseconds; a subtitle every few minutes would else hold all picture since
    if preset(settings)["container"] in ("mp4", "mov"):
        ticks = clock.unit.denominator
        options |= {"movflags": "faststart+use_metadata_tags", "movie_timescale": str(ticks * math.ceil(10_000 / ticks))}
    return options
