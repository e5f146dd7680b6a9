"""Encoders in graphics cards: the first of a preset's that opens on this machine, or the preset's own software one."""

from __future__ import annotations

import logging

import av
import av.error

from ...core.clip import ClipInfo
from ..read.clock import Clock
from .codec import codec_options, configure
from .options import EncodeOptions, preset
from .picture import Pictures
from .presets import Preset
from .scheduling import kept_scheduling

log = logging.getLogger(__name__)


def chosen(info: ClipInfo, settings: EncodeOptions, size: tuple[int, int]) -> Preset:
    """The preset's entry, with the encoder to use; ``size`` is the picture's. One line in the log says which where hardware is asked for."""
    entry = preset(settings)
    if not settings.hardware:
        return entry
    failed = []
    for other in entry.hardware:
        reason = refusal(info, settings, other, size)
        if not reason:
            log.info("%s encodes.", other.codec)
            return other
        failed.append(f"{other.codec}: {reason}")
    log.warning(
        "No graphics card here encodes %s (%s); %s does.",
        settings.format,
        "; ".join(failed) or "none can",
        entry.codec,
    )
    return entry


def refusal(info: ClipInfo, settings: EncodeOptions, entry: Preset, size: tuple[int, int]) -> str:
    """Why this entry's encoder does not open here for such pictures; empty where it does."""
    level = av.logging.get_level()
    # an encoder says why at no other level, and PyAV keeps that with the error
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture():
            context = av.CodecContext.create(entry.codec, "w")
            context.options = codec_options(info, settings, entry)
            configure(context, entry, Pictures(size, info.color, entry.pix_fmt), Clock(info), None)
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
    """The codec's own words, where there are any."""
    told = getattr(error, "log", None)
    return (told[2] if told else getattr(error, "strerror", None) or str(error)).strip().rstrip(".")
