"""Select a preset's first hardware encoder that opens on this machine, or its software encoder."""

from __future__ import annotations

import logging
from dataclasses import replace

import av
import av.error
from av.video.codeccontext import VideoCodecContext

from ...core.clip import ClipInfo
from ..read.clock import Clock
from .codec import codec_options, configure
from .options import EncodeOptions, preset
from .picture import Pictures
from .presets import Preset
from .scheduling import kept_scheduling

log = logging.getLogger(__name__)


def chosen(info: ClipInfo, settings: EncodeOptions, size: tuple[int, int]) -> Preset:
    """Return the preset's entry with the encoder to use; ``size`` is that of the frames.

    If hardware is requested, the choice is logged.
    """
    entry = preset(settings)
    if info.channels == 4 and entry.alpha:
        return replace(entry, pix_fmt=entry.alpha)
    if not settings.hardware:
        return entry
    failed = []
    for other in entry.hardware:
        reason = refusal(info, settings, other, size)
        if not reason:
            log.info("Encoding with %s.", other.codec)
            return other
        failed.append(f"{other.codec}: {reason}")
    log.warning(
        "No hardware encoder for %s (%s); using %s.",
        settings.format,
        "; ".join(failed) or "none exists",
        entry.codec,
    )
    return entry


def refusal(info: ClipInfo, settings: EncodeOptions, entry: Preset, size: tuple[int, int]) -> str:
    """Return why this entry's encoder does not open for such frames; empty if it opens."""
    level = av.logging.get_level()
    # encoders log the reason at this level, and PyAV attaches it to the error
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture():
            context = av.CodecContext.create(entry.codec, "w")
            assert isinstance(context, VideoCodecContext)  # presets name video codecs only
            context.options = codec_options(info, settings, entry)
            configure(
                context,
                entry,
                Pictures(size, info.color, entry.pix_fmt, aspect=info.pixel_aspect),
                Clock(info),
                None,
            )
            with kept_scheduling():
                context.open()
    except av.codec.codec.UnknownCodecError:
        return "not in this PyAV"
    except (av.error.FFmpegError, OSError, ValueError) as error:
        return _why(error)
    finally:
        av.logging.set_level(level)
    return ""


def _why(error: Exception) -> str:
    """Return the codec's own message, if there is one."""
    logged = getattr(error, "log", None)
    return (logged[2] if logged else getattr(error, "strerror", None) or str(error)).strip().rstrip(".")
