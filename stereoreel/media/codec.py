"""Open the encoder that a preset names, for pictures of one size and one clock."""

from __future__ import annotations

import math
import os
from fractions import Fraction
from types import SimpleNamespace

import av
import av.error

from ..clip import ClipInfo
from .boxes import Stereo
from .options import preset, presets
from .picture import Pictures

FINE = 90_000  # ticks a second for a varying rate whose own clock has no common unit near this
ANAGLYPHS = ("anaglyph", "anaglyph_color", "anaglyph_half_color", "anaglyph_gray")
STEREO_MODES = {"full_sbs": "left_right", "half_sbs": "left_right", "full_tb": "top_bottom", "half_tb": "top_bottom",
                "cross_eyed": "right_left", "interlaced_rows": "row_interleaved_lr", "interlaced_columns": "col_interleaved_lr",
                "checkerboard": "checkerboard_lr", "vr180": "left_right", **dict.fromkeys(ANAGLYPHS, "anaglyph_cyan_red")}  # Matroska's words
STEREO_BOXES = {"full_sbs": Stereo("left_right"), "half_sbs": Stereo("left_right"), "full_tb": Stereo("top_bottom"),
                "half_tb": Stereo("top_bottom"), "vr180": Stereo("left_right", vr180=True)}  # what st3d has a number for
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
    if _says_so_itself(info, settings):
        options["x264-params"] = f"frame-packing={FRAME_PACKING[settings.layout]}"
    return options


def _says_so_itself(info: ClipInfo, settings: SimpleNamespace) -> bool:
    """Whether the codec's own stream tells how the eyes are packed."""
    return preset(settings)["codec"] == "libx264" and info.views == 2 and settings.stereo_tags and settings.layout in FRAME_PACKING


def stereo_of(info: ClipInfo, settings: SimpleNamespace) -> Stereo | None:
    """What an MP4 or MOV file is to say of its two eyes; None where it is another file, or there is nothing to say.

    A stream that says so itself is said nothing of: FFmpeg 9 stops at frames that are told twice.
    """
    if info.views == 1 or not settings.stereo_tags or preset(settings)["container"] not in ("mp4", "mov") or _says_so_itself(info, settings):
        return None
    return STEREO_BOXES.get(settings.layout)


def container_options(info: ClipInfo, settings: SimpleNamespace, clock: Clock) -> dict[str, str]:
    """For the muxer: a film's index at its beginning, free names for metadata, exact edits, little kept back for a silent track."""
    options = {"max_interleave_delta": "1000000"}  # microseconds; a subtitle every few minutes would else hold all picture since
    if preset(settings)["container"] in ("mp4", "mov"):
        ticks = clock.unit.denominator
        first = "" if stereo_of(info, settings) else "faststart+"  # write_stereo moves the index, which is done once
        options |= {"movflags": first + "use_metadata_tags", "movie_timescale": str(ticks * math.ceil(10_000 / ticks))}
    return options
