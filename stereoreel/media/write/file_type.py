"""File types by container and codec, for callers that name both and not a format of Encode Video."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .presets import Preset, Sound, presets

CODECS = {
    "h264": "h264",
    "hevc": "hevc",
    "h265": "hevc",
    "av1": "av1",
    "prores": "prores",
    "ffv1": "ffv1",
}
CONTAINERS = {  # the codecs of each, its default first
    "mp4": ("h264", "hevc", "av1"),
    "mkv": ("h264", "hevc", "av1", "ffv1"),
    "webm": ("av1",),
    "mov": ("prores", "h264", "hevc"),
}
SPEEDS = (  # of x264, from the least effort to the most
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
)
USUAL = "medium"
DEEP = ("prores", "ffv1")  # always of 10 bits
OPUS = Sound("libopus", 64_000)


@dataclass(frozen=True)
class FileType:
    """Container, codec, bits of a sample, quality (None: the format's default), and effort of the encoder."""

    container: str
    codec: str
    bits: int = 8
    crf: float | None = None
    speed: str = USUAL

    @property
    def extension(self) -> str:
        return f".{self.container}"

    @property
    def entry(self) -> Preset:
        """The preset that writes such files."""
        entry = _held(presets()[self.codec], self.container)
        options, speeds = {**entry.options, **_quality(entry, self.crf)}, entry.speeds
        if self.codec == "h264":
            options["preset"], speeds = self.speed, None
        pix_fmt = entry.pix_fmt
        if self.codec not in DEEP:
            pix_fmt = "yuv420p10le" if self.bits == 10 else "yuv420p"
        return replace(
            entry,
            pix_fmt=pix_fmt,
            options=options,
            speeds=speeds,
            crf=entry.crf if self.crf is None else None,
            hardware=(),
        )

    def serves(self, wanted: FileType) -> bool:
        """Whether a file of this type may be copied for the other: equal, compressed with no less effort."""
        least = SPEEDS.index(wanted.speed)
        return replace(self, speed=wanted.speed) == wanted and SPEEDS.index(self.speed) >= least


def file_type(
    container: str = "auto",
    codec: str = "auto",
    *,
    bits: int | None = None,
    native: int = 8,
    crf: float | None = None,
    speed: str | None = None,
    suffix: str = "",
) -> FileType:
    """Return the type that a caller describes; ``auto`` follows the other word, then the file's ``suffix``.

    ``bits`` of None are those of the clip, ``native``; more than 10 become 10. ``speed`` is one of x264's
    presets, and ignored for other codecs. Raise ValueError for what cannot be written.
    """
    if codec != "auto" and codec not in CODECS:
        raise ValueError(f"StereoReel cannot write the codec {codec}. Choose auto, {', '.join(CODECS)}.")
    if container != "auto" and container not in CONTAINERS:
        raise ValueError(f"StereoReel cannot write {container} files. Choose auto, {', '.join(CONTAINERS)}.")
    if speed is not None and speed not in SPEEDS:
        raise ValueError(f"Unknown encoder preset {speed!r}. Choose one of {', '.join(SPEEDS)}.")
    codec = CODECS.get(codec, codec)
    if container == "auto":
        container = _container(codec, suffix.lower().removeprefix("."))
    codec = CONTAINERS[container][0] if codec == "auto" else codec
    if codec not in CONTAINERS[container]:
        raise ValueError(
            f"{container} files cannot hold {codec}. Choose {' or '.join(CONTAINERS[container])}, or another "
            "container."
        )
    return FileType(
        container,
        codec,
        _bits(codec, bits, native),
        _crf(codec, crf),
        speed if speed and codec == "h264" else USUAL,
    )


def _container(codec: str, suffix: str) -> str:
    """Return the container that the suffix names, if it holds the codec, or else the codec's own."""
    if suffix in CONTAINERS and codec in ("auto", *CONTAINERS[suffix]):
        return suffix
    return next((name for name, held in CONTAINERS.items() if codec in held), "mp4")


def _bits(codec: str, asked: int | None, native: int) -> int:
    if codec in DEEP:
        if asked is not None and asked < 10:
            raise ValueError(f"{codec} files have 10 bits a sample, not {asked}. Choose h264, hevc or av1.")
        return 10
    return 10 if (native if asked is None else asked) >= 10 else 8


def _crf(codec: str, crf: float | None) -> float | None:
    """Return the quality in the codec's steps; None for a codec of fixed quality."""
    scale = presets()[codec].crf
    if crf is None or scale is None:
        return None
    if not 0 <= crf <= scale.worst:
        raise ValueError(f"The crf of {codec} is 0 to {scale.worst}, not {crf:g}. Choose a value between.")
    if codec != "av1":
        return float(crf)
    return float(max(1, round(crf))) if crf else 0.0  # SVT-AV1 has whole steps


def _quality(entry: Preset, crf: float | None) -> dict[str, str]:
    if crf is None or entry.crf is None:
        return {}
    if entry.codec == "libsvtav1" and crf == 0:
        return {"svtav1-params": "lossless=1"}  # FFmpeg takes a crf of 0 for not given
    return {**entry.crf.extra, **dict.fromkeys(entry.crf.names, f"{crf:g}")}


def _held(entry: Preset, container: str) -> Preset:
    """Return a preset in another container, with the audio and subtitles that it holds.

    In Matroska and WebM audio is encoded, and so cut to the sample: their readers ignore when it begins.
    """
    if f".{container}" == entry.extension:
        return entry
    if container == "mkv":
        subtitles = presets()["ffv1"].subtitles
        held = replace(entry, container="matroska", audio_copy=(), subtitles=subtitles, codec_tag=None)
    elif container == "webm":
        held = replace(entry, container="webm", audio_copy=(), audio=OPUS, subtitles=("webvtt",))
    else:
        held = replace(entry, container=container)
    return replace(held, extension=f".{container}")
