"""Open the encoder that a preset names, for frames of one size and one clock."""

from __future__ import annotations

import math
import os
import re
from typing import NamedTuple

import av
import av.error
from av.codec.context import Flags
from av.video.stream import VideoStream

from ...core.clip import ClipInfo
from ..layouts.boxes import Marks, Stereo
from ..multiview.spatial import Spatial
from ..read.clock import Clock
from ..read.light import light_words
from ..read.stereo import LAYOUT_TAG
from .devices import device, stream_options
from .display_size import RESERVED
from .layers import LayerEncoder
from .options import EncodeOptions
from .picture import Pictures
from .presets import Preset, Quality, presets
from .scheduling import kept_scheduling

ANAGLYPHS = ("anaglyph", "anaglyph_color", "anaglyph_half_color", "anaglyph_gray")
STEREO_MODES = {  # Matroska's names
    "full_sbs": "left_right",
    "half_sbs": "left_right",
    "full_tb": "top_bottom",
    "half_tb": "top_bottom",
    "cross_eyed": "right_left",
    "interlaced_rows": "row_interleaved_lr",
    "interlaced_columns": "col_interleaved_lr",
    "checkerboard": "checkerboard_lr",
    "vr180": "left_right",
    **dict.fromkeys(ANAGLYPHS, "anaglyph_cyan_red"),
}
STEREO_BOXES = {  # the arrangements that st3d has a number for
    "full_sbs": Stereo("left_right"),
    "half_sbs": Stereo("left_right"),
    "full_tb": Stereo("top_bottom"),
    "half_tb": Stereo("top_bottom"),
    "vr180": Stereo("left_right", vr180=True),
}
# H.264's arrangement types; televisions would squeeze a full layout that is tagged this way
FRAME_PACKING = {"half_sbs": "3", "half_tb": "4"}


MATROSKA = ("matroska", "webm")
DEVICE_TAG = "stereoreel_device"  # the device for which the file was written


class Rate(NamedTuple):
    """Target bits a second of the video.

    ``number`` is 1 for the first pass, in which the codec writes statistics to the file ``notes``, and 2 for
    a second pass that reads them. ``reproducible`` asks for equal bytes in every run, which may be slower.
    """

    bits: int
    number: int = 0
    notes: str = ""
    reproducible: bool = False

    def of_view(self, number: int) -> Rate:
        """Return the rate of one of two views: half of the bits, with statistics of its own."""
        return self._replace(bits=self.bits // 2, notes=f"{self.notes}-{number}" if number else self.notes)


def open_encoder(
    container: av.container.OutputContainer,
    info: ClipInfo,
    settings: EncodeOptions,
    entry: Preset,
    pictures: Pictures,
    clock: Clock,
    rate: Rate | None = None,
) -> VideoStream:
    """Add a video stream and open its encoder; raise ValueError if the codec is missing or rejects frames."""
    os.environ.setdefault("SVT_LOG", "1")  # errors only: SVT-AV1 prints a page of settings otherwise
    others = ", ".join(name for name in presets() if name != settings.format)
    refusal = (
        f"{settings.format} does not support frames of {pictures.size[0]} x {pictures.size[1]} "
        f"at {float(info.fps):.6g} frames a second. "
        f"Choose another format ({others}), a half layout, or another size."
    )
    if pictures.size[0] < entry.narrowest:
        raise ValueError(refusal)
    try:
        stream = container.add_stream(
            entry.codec, rate=clock.rate, options=codec_options(info, settings, entry, rate)
        )
        assert isinstance(stream, VideoStream)  # presets name video codecs only
    except av.codec.codec.UnknownCodecError:
        raise ValueError(
            f"This PyAV was built without {entry.codec}, which {settings.format} needs. "
            f"Choose another format ({others})."
        ) from None
    configure(stream.codec_context, entry, pictures, clock, rate)
    if (
        info.views == 2
        and settings.stereo_tags
        and entry.container == "matroska"
        and settings.layout in STEREO_MODES
    ):
        stream.metadata["stereo_mode"] = STEREO_MODES[settings.layout]
    if states_display_size(info, entry):
        stream.metadata["title"] = RESERVED
    try:
        with kept_scheduling():
            stream.codec_context.open()
    except av.error.FFmpegError as error:
        raise ValueError(refusal) from error
    return stream


def open_layers(
    left: VideoStream,
    info: ClipInfo,
    settings: EncodeOptions,
    entry: Preset,
    pictures: Pictures,
    clock: Clock,
    rate: Rate | None,
) -> LayerEncoder:
    """Open an encoder of the right view, with the options of the left one, whose stream gets both."""
    right = av.CodecContext.create(entry.codec, "w")
    assert isinstance(right, av.VideoCodecContext)
    right.options = codec_options(info, settings, entry, rate)
    right.flags |= left.codec_context.flags & Flags.global_header
    configure(right, entry, pictures, clock, rate)
    with kept_scheduling():
        right.open()
    return LayerEncoder(left.codec_context, right)


def states_display_size(info: ClipInfo, entry: Preset) -> bool:
    """Whether the container takes the shape of pixels as a display size, which is written afterwards."""
    return info.pixel_aspect != 1 and entry.container in MATROSKA


def configure(
    context: av.VideoCodecContext, entry: Preset, pictures: Pictures, clock: Clock, rate: Rate | None
) -> None:
    """Set an encoder's parameters other than its options, before it is opened."""
    pictures.configure(context)
    context.time_base, context.framerate, context.thread_type = clock.unit, clock.rate, "AUTO"
    context.bit_rate = rate.bits if rate else 0
    if entry.codec_tag:
        context.codec_tag = entry.codec_tag


def codec_options(
    info: ClipInfo, settings: EncodeOptions, entry: Preset, rate: Rate | None = None
) -> dict[str, str]:
    """Return the settings as the codec's own options."""
    options = dict(entry.options)
    if rate is None:
        options |= _quality(entry.crf, settings.crf)
    elif rate.number and entry.passes:
        notes = re.sub(r"([\\':=])", r"\\\1", rate.notes)  # these separate the parameters
        _append(options, entry.passes, f"pass={rate.number}:stats={notes}")
    if rate is not None and rate.reproducible:
        for name, words in entry.reproducible.items():
            _append(options, name, words)
    if entry.speeds:
        options[entry.speeds.option] = getattr(entry.speeds, settings.speed)
    for name, words in _device_options(info, settings, entry).items():
        _append(options, name, words) if name.endswith("-params") else options.update({name: words})
    if "maxrate" in options and entry.codec == "libx264" and options.get("crf") == "0":
        options["crf"] = "1"  # 0 is lossless, at any rate
    if info.color.light and entry.light:
        _append(options, entry.light, light_words(info.color.light, entry.light))
    if _stream_states_packing(info, settings, entry):
        _append(options, "x264-params", f"frame-packing={FRAME_PACKING[settings.layout]}")
    return options


def _device_options(info: ClipInfo, settings: EncodeOptions, entry: Preset) -> dict[str, str]:
    """Return the options that keep the stream within what the device decodes."""
    chosen = device(settings.device)
    if chosen is None:
        return {}
    streams = 2 if has_layers(info, entry) else 1
    return stream_options(entry.codec, chosen.of_codec(entry.codec), info.fps, streams)


def _quality(crf: Quality | None, wanted: int) -> dict[str, str]:
    if crf is None:
        return {}
    value = crf.default if wanted < 0 else max(crf.best, min(wanted, crf.worst))
    return {**crf.extra, **dict.fromkeys(crf.names, str(crf.first + crf.step * value))}


def _append(options: dict[str, str], name: str, words: str) -> None:
    """Append parameters to an option that may have some already."""
    if words:
        options[name] = f"{options[name]}:{words}" if name in options else words


def _stream_states_packing(info: ClipInfo, settings: EncodeOptions, entry: Preset) -> bool:
    """Whether the codec's own stream states how the views are packed."""
    return (
        entry.codec == "libx264"
        and info.views == 2
        and settings.stereo_tags
        and settings.layout in FRAME_PACKING
    )


def has_layers(info: ClipInfo, entry: Preset) -> bool:
    """Whether each view has an encoder and a layer of the stream; a clip of one view has neither."""
    return entry.multiview and info.views == 2


def stereo_of(info: ClipInfo, settings: EncodeOptions, entry: Preset) -> Marks | None:
    """Return the stereo boxes of an MP4 or MOV file; None for other files, or if no boxes are needed.

    A stream that states its packing itself gets no boxes, because FFmpeg 9 stops at frames with both. Layers
    are always declared, and not played otherwise.
    """
    if has_layers(info, entry) and entry.container in ("mp4", "mov"):
        return _spatial(settings)
    if (
        info.views == 1
        or not settings.stereo_tags
        or entry.container not in ("mp4", "mov")
        or _stream_states_packing(info, settings, entry)
    ):
        return None
    return STEREO_BOXES.get(settings.layout)


def own_tags(info: ClipInfo, settings: EncodeOptions, entry: Preset) -> dict[str, str]:
    """Return the pack's own tags: the device, and the layout by which Extract Video separates the views."""
    tags = {DEVICE_TAG: settings.device} if device(settings.device) else {}
    shared = info.views == 2 and settings.layout not in ("left", "right") and not has_layers(info, entry)
    return tags | ({LAYOUT_TAG: settings.layout} if shared and settings.stereo_tags else {})


def _spatial(settings: EncodeOptions) -> Spatial:
    half_sphere = settings.layout == "vr180"
    return Spatial(
        baseline=round(1000 * settings.baseline_mm),
        disparity=round(100 * settings.disparity_shift),
        field=180_000 if half_sphere else round(1000 * settings.spatial_field),
        half_sphere=half_sphere,
        described=settings.stereo_tags,
    )


def container_options(info: ClipInfo, settings: EncodeOptions, entry: Preset, clock: Clock) -> dict[str, str]:
    """Return the muxer's options: index first, free metadata names, exact edits, little buffering."""
    # microseconds; otherwise a subtitle every few minutes would buffer all video since the previous one
    options = {"max_interleave_delta": "1000000"}
    options |= entry.muxer
    if states_display_size(info, entry):
        options["write_crc32"] = "0"
    if entry.container in ("mp4", "mov"):
        ticks = clock.unit.denominator
        # write_stereo moves the index too, and once is enough
        first = "" if stereo_of(info, settings, entry) else "faststart+"
        options |= {
            "movflags": first + "use_metadata_tags",
            "movie_timescale": str(ticks * math.ceil(10_000 / ticks)),
        }
    return options
