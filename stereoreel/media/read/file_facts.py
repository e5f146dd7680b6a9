"""What is known of a video file before any of its frames is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from ...core.clip import Color
from ..layouts.packing import Packing
from .joins import Join
from .packets import Entry
from .pictures import is_float


@dataclass(frozen=True)
class FileFacts:
    """Facts of a video file. ``width`` and ``height`` are as displayed: upright, with square pixels.

    ``pts`` are the timestamps of the frames in display order, in ticks of ``time_base``, empty if the file
    does not time every frame. ``times`` are seconds from the first frame, present only if the rate varies;
    ``fps`` is then the rate of most frames, or else the mean.
    """

    path: Path
    width: int
    height: int
    coded: tuple[int, int]  # width and height of a decoded frame
    aspect: Fraction  # of a decoded frame's pixels, width over height
    rotation: int  # degrees clockwise, after mirroring
    mirrored: bool
    fps: Fraction
    frames: int
    times: tuple[Fraction, ...] | None
    start_time: Fraction  # of the first frame, on the container's clock
    duration: Fraction
    color: Color
    full_range: bool
    rgb: bool  # the pixels are RGB, without a matrix
    fields: str  # "": progressive; "auto": frames are flagged; "tff" or "bff": from the container only
    alpha: bool  # frames may have transparent parts
    transparent: bool  # they have, as far as the header or the first frame shows
    decoder: str  # that reads the alpha; empty: the codec's own
    pix_fmt: str
    bit_depth: int
    audio_streams: int
    audio_layout: str  # of the first audio stream, such as stereo or 5.1; empty if there is none
    extras: int  # subtitle streams and chapters
    stream: int
    time_base: Fraction
    pts: tuple[int, ...]
    stamped: bool  # decoded frames carry these timestamps; otherwise they are known by their order only
    entries: tuple[Entry, ...]  # at which decoding can start
    paired: bool  # some frames are two fields that are coded separately
    joins: tuple[Join, ...]  # where the clock of a transport stream jumps
    views: tuple[int, int] | None  # the numbers of the left and the right view, if the stream has both
    view: int | None  # the one that is decoded; None: the only one, or what other players show
    missing: int  # estimated frames that a truncated file lacks; 0 if it is complete
    tags: Mapping[str, str]  # title, date … of the container
    packing: Packing | None  # of two views in a frame, if the file declares one

    animation: bool = False  # an animated image that is not read by FFmpeg
    codec: str = ""  # the name of FFmpeg's decoder
    pictures: tuple[Path, ...] = ()  # of a numbered sequence, whose folder or pattern ``path`` is
    gaps: str = ""  # says which of the numbers are missing
    sound: Path | None = None  # the audio, if it is not in the file
    hardware: str = ""  # the kind of device that decodes it if it can, in FFmpeg's words

    @property
    def upright(self) -> tuple[int, int]:
        """Width and height of an upright frame with the file's own pixels."""
        return self.coded if self.rotation % 180 == 0 else self.coded[::-1]

    @property
    def pixel_aspect(self) -> Fraction:
        """The shape of a pixel of an upright frame, width over height; 1 if nothing is to be scaled."""
        if self.upright == (self.width, self.height):
            return Fraction(1)
        return self.aspect if self.rotation % 180 == 0 else 1 / self.aspect

    @property
    def interlaced(self) -> bool:
        return bool(self.fields)

    @property
    def is_float(self) -> bool:
        return is_float(self.pix_fmt)

    def time(self, frame: int) -> Fraction:
        """Return when a frame is shown, in seconds from the first."""
        return self.times[frame] if self.times and frame < len(self.times) else frame / self.fps
