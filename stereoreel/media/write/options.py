"""The options of Encode Video, and the preset that they select."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from ...core.clip import ClipInfo
from ...core.numbered import NUMBER
from ...core.options import Options, option
from ..layouts.layout import LAYERS, LAYOUTS, WITH_DEPTH, file_tag
from ..layouts.vr180 import FIELD
from .devices import BITS_USED, NONE, device, devices
from .presets import Preset, presets

log = logging.getLogger(__name__)

IN_LAYERS = ("full_sbs", LAYERS, "vr180")  # layouts of a format with layers, the first as the default
LAYERED = tuple(name for name, entry in presets().items() if entry.multiview)
DEFAULT_LAYOUT = "full_sbs"
ONE_VIEW = (
    "The clip has one view, so it is written without the layout %s. If its frames hold two, set packing in "
    "Extract Video."
)
HDR = (16, 18)  # transfer functions: PQ and HLG
FAST_CLOCK = Fraction(101, 100)  # of the rate of a device, by which films of phones may exceed it
LEAST_RATE = 30_000  # bits per second, of audio and video


def preset(settings: EncodeOptions) -> Preset:
    """Return the preset of a format, with the highest bit rate that the device plays."""
    entry = presets()[settings.format]
    if chosen := device(settings.device):
        bits = round(1000 * chosen.of_codec(entry.codec).bits * BITS_USED)
        return replace(entry, fastest=min(filter(None, (bits, entry.fastest)), default=None))
    return entry


def extension(settings: EncodeOptions) -> str:
    """Return the file name extension for these settings, including the dot."""
    return preset(settings).extension


def check_folder_name(path: Path) -> None:
    """Raise ValueError if the name of a folder of pictures looks like that of a file or a pattern."""
    suffixes = {suffix for entry in presets().values() for suffix in (entry.extension, entry.pictures)} - {""}
    if path.suffix.lower() in suffixes or NUMBER.search(path.name):
        raise ValueError(
            f"This format writes a folder of pictures, numbered from 00001, not {path.name}. "
            "Name the folder, or choose another format."
        )


@dataclass(frozen=True)
class EncodeOptions(Options):
    """Options of Encode Video."""

    filename_prefix: str = option(
        "video/StereoReel",
        "Folder and start of the file name, inside the output folder. `%source%` stands for the name of the "
        "source file. A number and a tag by which players recognise the layout are added.",
    )
    format: str = option(
        "h264",
        " ".join(f"{name}: {entry.text}" for name, entry in presets().items()),
        choices=tuple(presets()),
    )
    layout: str = option(
        DEFAULT_LAYOUT,
        "How the left and right views share a frame. full: each view keeps its size; half: both are squeezed "
        "into the size of one; sbs: side by side; tb: left view on top; anaglyph: for red-cyan glasses, in "
        "Dubois' colours or the classic ones (h264_444, hevc_444 and ffv1 preserve them best); left and "
        "right: one view only; cross_eyed: right view first, for viewing without glasses; interlaced and "
        "checkerboard: for screens that show every second line or pixel to one eye (use h264_444, hevc_444 "
        "or ffv1, otherwise the views share their colours); vr180: half spheres side by side, for headsets; "
        "two_files: each view in a separate file, _L and _R; wiggle: left and right views in turn, to see "
        "depth without glasses (webp makes a small looping image of it); rgbd and half_rgbd: the frame, or "
        "the left view, next to the depth; mv_hevc: each view in a layer, which the format mv_hevc "
        "does with full_sbs too. A clip with one view is written unchanged, except for rgbd.",
        choices=LAYOUTS,
    )
    crf: int = option(
        -1,
        "Quality: lower values give better quality and larger files; 6 less about doubles the size. -1 uses "
        "the format's default. prores, ffv1 and gif have a fixed quality.",
        low=-1,
        high=63,
        word="auto",
    )
    speed: str = option(
        "balanced",
        "Encoder speed: best makes smaller files and takes longer. prores, ffv1 and gif have one speed.",
        choices=("fast", "balanced", "best"),
        advanced=True,
    )
    stereo_tags: bool = option(
        True,
        "Mark the file as stereoscopic in its metadata, if the format supports it: side by side, top-bottom "
        "and vr180 in mp4 and mov, every single-file layout in ffv1. The file name always has a tag.",
        advanced=True,
    )
    vr180_field: float = option(
        FIELD,
        "For vr180: horizontal field of view of the video, in degrees. 90 keeps every pixel. Smaller values "
        "are more comfortable and leave more black around it; larger ones look closer and coarser.",
        low=30,
        high=150,
        step=5,
        only=("layout", ("vr180",)),
    )
    size_mb: float = option(
        0.0,
        "Target file size in MB (a million bytes), including audio; 0: crf decides. The video is encoded "
        "twice: first into a high-quality temporary file, then from it to the target size.",
        low=0,
        high=1e6,
        step=1,
        advanced=True,
        word="off",
    )
    hardware: bool = option(
        False,
        "Encode h264, hevc and av1 on the graphics card if possible: NVIDIA, Intel, AMD or Apple. Faster, "
        "but larger files at the same quality. If no hardware encoder opens, the format's own encoder is "
        "used and the log says so.",
        advanced=True,
    )
    resume: str = option(
        "auto",
        "Compute the film in units, which are kept next to the file until it is complete. Queueing the same "
        "graph again after a cancel, a crash or a full disk then resumes. auto: on if the film has more than "
        "6000 frames and comes from a file. In a terminal, the command film does this.",
        choices=("auto", "on", "off"),
        advanced=True,
    )
    save_to_temp: bool = option(
        False,
        "Write the file into ComfyUI's temp folder, which is emptied when ComfyUI starts, instead of the "
        "output folder. For trying settings.",
        advanced=True,
    )

    baseline_mm: float = option(
        63.0,
        "For mv_hevc: the distance of the lenses that the file states, in mm. Headsets may scale a scene by "
        "it. 63 is the distance of human eyes; an iPhone states 19.2. 0 states none.",
        low=0,
        high=1000,
        step=0.1,
        advanced=True,
        only=("format", LAYERED),
    )
    spatial_field: float = option(
        63.4,
        "For mv_hevc: the horizontal field of view that the file states, in degrees. A headset shows the "
        "video that wide. vr180 states 180. 0 states none.",
        low=0,
        high=179,
        step=0.1,
        advanced=True,
        only=("format", LAYERED),
    )
    disparity_shift: float = option(
        0.0,
        "For mv_hevc: how far a player moves the views apart, in percent of their width. 0 keeps the screen "
        "where Stereo Pair put it; an iPhone states 2, as its lenses are parallel.",
        low=-100,
        high=100,
        step=0.1,
        advanced=True,
        only=("format", LAYERED),
    )

    device: str = option(
        NONE,
        "Screen or player for which the file is meant. It sets every option that is at its default; an "
        "option that you change stays. Frames, rate and level are kept within what it plays. "
        + " ".join(f"{name}: {one.text}" for name, one in devices().items()),
        choices=(NONE, *devices()),
        advanced=True,
    )
    subtitles: str = option(
        "keep",
        "keep: the source's subtitles stay tracks that the player shows. burn: one of them becomes part of "
        "the frames, in both views, before they are packed. In 3D each line is in front of what it covers.",
        choices=("keep", "burn"),
        advanced=True,
    )
    subtitle_source: str = option(
        "auto",
        "Subtitles to burn: auto takes a file of the video's name (.srt, .ass, .vtt) next to it, otherwise "
        "the default track. A language such as eng, a number from 1 on, or a file name selects others.",
        advanced=True,
        only=("subtitles", ("burn",)),
    )
    subtitle_depth: float = option(
        0.0,
        "Move burned subtitles towards the viewer, in percent of the width; negative: away, possibly behind "
        "the scene. Without it they are a little in front of the scene, at least on the screen.",
        low=-5,
        high=5,
        step=0.1,
        advanced=True,
        only=("subtitles", ("burn",)),
    )
    subtitle_size: float = option(
        100.0,
        "Size of burned text, in percent of its usual size. Subtitles that are pictures keep their size.",
        low=25,
        high=400,
        step=5,
        advanced=True,
        only=("subtitles", ("burn",)),
    )

    judged = ("format", "size_mb")  # every device's format supports a size

    @property
    def packing(self) -> str:
        """The layout of the frames that the encoder gets; a multiview format splits them into its layers."""
        return LAYERS if preset(self).multiview and self.layout == "full_sbs" else self.layout

    def file_tag(self, views: int) -> str:
        """Return the file name suffix by which players recognise a clip with this many views."""
        return file_tag(LAYERS if preset(self).multiview else self.layout, views)

    def completed(self) -> EncodeOptions:
        """Return the options with the device's choices where an option is at its default."""
        if (chosen := device(self.device)) is None:
            return self
        free: dict = {name: value for name, value in chosen.options.items() if self.unchanged(name)}
        return replace(self, **free)

    def check(self) -> None:
        entry = preset(self)
        if self.size_mb and (entry.crf is None or entry.limits):
            known = ", ".join(name for name, other in presets().items() if other.crf and not other.limits)
            raise ValueError(
                f"{self.format} does not support a target size. Choose one of {known}, or set size_mb to 0."
            )
        if self.save_to_temp and self.resume == "on":
            raise ValueError(
                "resume keeps its units next to the file, but ComfyUI empties its temp folder when it "
                "starts. Switch off save_to_temp or resume."
            )


OPTIONS = EncodeOptions


def check(info: ClipInfo, settings: EncodeOptions, depth: ClipInfo | None = None) -> None:
    """Raise ValueError if such a clip cannot be written so. Warn if the layout needs a second view."""
    settings.check()
    if info.views == 1 and settings.layout not in (DEFAULT_LAYOUT, *WITH_DEPTH):
        log.warning(ONE_VIEW, settings.layout)
    check_depth(settings, depth is not None)
    _check_layers(info, settings)
    _check_rate(info, settings)
    if preset(settings).codec == "exr" and info.color.transfer in HDR:
        raise ValueError(
            f"{settings.format} holds linear light, which is not computed from HDR video. Choose png16."
        )
    least = float(info.duration) * LEAST_RATE / 8e6
    if 0 < settings.size_mb < least:
        raise ValueError(
            f"{settings.size_mb:g} MB is too small for {float(info.duration):.0f} seconds. "
            f"Set size_mb to {least:.2g} or more."
        )


def _check_layers(info: ClipInfo, settings: EncodeOptions) -> None:
    """Raise ValueError if only one of format and layout is for layers, or the clip has one view."""
    if not preset(settings).multiview:
        if settings.layout == LAYERS and info.views == 2:
            raise ValueError(
                f"The layout {LAYERS} needs a format with layers. Choose the format {' or '.join(LAYERED)}."
            )
        return
    if info.views == 1:
        raise ValueError(
            f"{settings.format} stores two views, but the clip has one. Connect the clip of Stereo Pair, or "
            "choose the format hevc."
        )
    if settings.layout not in IN_LAYERS:
        raise ValueError(
            f"{settings.format} stores each view in a layer, not as {settings.layout}. Set layout to "
            f"{LAYERS}, or to vr180 for half spheres, or choose another format."
        )


def _check_rate(info: ClipInfo, settings: EncodeOptions) -> None:
    """Raise ValueError if the device does not play so many frames a second."""
    chosen = device(settings.device)
    if chosen and chosen.limits.fps and info.fps > chosen.limits.fps * FAST_CLOCK:
        raise ValueError(
            f"A file for {chosen.title} has at most {chosen.limits.fps} frames a second, and this clip has "
            f"{float(info.fps):.6g}. Set target_fps to {chosen.limits.fps} in Interpolate Frames, or device "
            "to none."
        )


def check_depth(settings: EncodeOptions, connected: bool) -> None:
    """Raise ValueError if the layout needs a depth clip and none is connected."""
    if settings.layout in WITH_DEPTH and not connected:
        raise ValueError(
            f"The layout {settings.layout} shows depth next to the frame. "
            "Connect a depth clip to the depth input."
        )
