"""Say what a clip is in a few words each, for the canvas and the terminal."""

from __future__ import annotations

from fractions import Fraction

from ..core.clip import Clip, ClipInfo, Samples, Soundtrack, Step
from .open import one_frame, packing_said
from .read.decode import FileSource
from .read.probe import audio_layout

HDR = {16: "HDR (PQ)", 18: "HDR (HLG)"}  # by transfer, in the code points of H.273
MANY = 4  # sizes that are not listed
SHORT = 10  # seconds, below which fractions are said
LAYOUTS = {1: "mono", 2: "stereo"}  # of samples, by the number of channels


def clip_facts(clip: Clip) -> list[str]:
    """Return the facts of a clip: ``250 frames``, ``1280x720``, ``25 fps``, ``0:10``, ``stereo sound``.

    More follow for what is not ordinary.
    """
    info = clip.info
    facts = [
        f"{info.frames} frame{'s' * (info.frames != 1)}",
        f"{info.width}x{info.height}" + (" per view" if info.views == 2 else ""),
        f"{'about ' if info.times else ''}{float(round(info.fps, 3)):g} fps",
        duration(info.duration),
        f"{layout} sound" if (layout := _layout(info)) else "no sound",
    ]
    source = _file(clip)
    facts = [*_doubts(source), *facts] if source else facts
    facts += ["varying rate"] if info.times else []
    facts += (
        [f"pixels {info.pixel_aspect.numerator}:{info.pixel_aspect.denominator}"]
        if info.pixel_aspect != 1
        else []
    )
    facts += [_bars(info)] if info.bars else []
    facts += [HDR[info.color.transfer]] if info.color.transfer in HDR else []
    return facts + (_traits(source, info) if source else [])


def duration(seconds: Fraction) -> str:
    """Return ``3.84 s``, ``0:10`` or ``1:02:03``."""
    if seconds < SHORT:
        return f"{float(seconds):.3g} s"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def _doubts(source: FileSource) -> list[str]:
    """Return what is first of all to be known: an image, or views that only a file name states."""
    doubtful = source.packing is not None and source.packing.doubtful
    said = one_frame(source.facts), packing_said(source.facts, source.packing) if doubtful else ""
    return [text for text in said if text]


def _traits(source: FileSource, info: ClipInfo) -> list[str]:
    """Return what of a file is changed when it is read."""
    facts, traits = source.facts, []
    if facts.pixel_aspect != 1 and info.pixel_aspect == 1:
        aspect = facts.pixel_aspect
        traits.append(f"pixels {aspect.numerator}:{aspect.denominator} made square")
    if facts.rotation or facts.mirrored:
        traits.append("mirrored" if facts.mirrored else f"rotated {facts.rotation}°")
    if source.packing and source.packing.views == 2 and not source.packing.doubtful:
        traits.append(str(source.packing))
    traits += ["MV-HEVC"] if facts.views else []
    traits += ["deinterlaced"] if facts.interlaced else []
    if facts.transparent:
        traits.append("transparent" if info.alpha else f"transparent parts over {source.colour}")
    return traits


def _bars(info: ClipInfo) -> str:
    """Say which bars were found: ``picture 1280x536 within bars``, or the largest and smallest picture."""
    sizes = {
        (info.width - one.left - one.right, info.height - one.top - one.bottom): None for one in info.bars
    }
    shown = [f"{width}x{height}" for width, height in sorted(sizes, reverse=True)]
    if len(shown) == 1:
        return f"picture {shown[0]} within bars"
    return f"picture {' or '.join(shown) if len(shown) < MANY else f'of {len(shown)} sizes'} within bars"


def _layout(info: ClipInfo) -> str:
    """Return the layout of a clip's sound, such as ``stereo`` or ``5.1``; empty if there is none."""
    if isinstance(info.audio, Samples):
        channels = info.audio.waveform.shape[0]
        return LAYOUTS.get(channels, f"{channels} channels of")
    return audio_layout(info.audio.file) if isinstance(info.audio, Soundtrack) else ""


def _file(clip: Clip) -> FileSource | None:
    """Return the file that a clip's first inputs come from."""
    while isinstance(clip.maker, Step):
        clip = clip.maker.inputs[0]
    return clip.maker if isinstance(clip.maker, FileSource) else None
