"""Files with the traits that cameras, tuners, discs and editors leave in theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from tests.media.edit_lists import EMPTY, edited
from tests.media.field_pictures import write_fields
from tests.media.workshop import RATE, SECONDS, Workshop, drawn


@dataclass(frozen=True)
class Animal:
    """A file with one trait: how it is made, and what of it is not as in ffmpeg, and why.

    ``numbers`` are the frames it shows and ``clock`` gives the time of each in seconds, if these are not what
    ffmpeg shows, for the reason ``why``. ``late`` is how many seconds after its flash a beep begins; None for
    a file in which sound and pictures have no fixed relation. ``warns`` is part of the warning that is due.
    """

    name: str
    make: Callable[[Workshop], Path]
    late: float | None = 0.0
    numbers: tuple[int, ...] | None = None
    clock: Callable[[int], float] | None = None
    why: str = ""
    warns: str = ""


ZOO: dict[str, Animal] = {}


def words(line: str) -> tuple[str, ...]:
    """Return the words of a line of options."""
    return tuple(line.split())


X264 = words("-c:v libx264 -preset veryfast -crf 16 -g 30 -bf 3 -pix_fmt yuv420p")
X265 = words("-c:v libx265 -preset ultrafast -x265-params")
MPEG2 = words("-c:v mpeg2video -g 12 -bf 2 -q:v 2")
MPEG4 = words("-c:v mpeg4 -g 12 -bf 2 -q:v 2")
VP9 = words("-c:v libvpx-vp9 -crf 20 -b:v 0 -cpu-used 8 -deadline realtime")
AAC, MP2 = words("-c:a aac"), words("-c:a mp2")


def animal(name: str, **facts):
    """Register a function of a workshop, which makes the file."""

    def register(make: Callable[[Workshop], Path]) -> Callable[[Workshop], Path]:
        ZOO[name] = Animal(name, make, **facts)
        return make

    return register


def encoded(name: str, *options, **facts) -> None:
    """Register a file that is encoded from the original in one step."""
    ZOO[name] = Animal(name, lambda shop: shop.made(name, *options), **facts)


def paused(first: int, frames: int = 50) -> Callable[[int], float]:
    """Return the clock of ``pause``."""
    return lambda number: (number if number < first else number + frames) / RATE


def pause(first: int, frames: int = 50) -> tuple:
    """Return options after which nothing changes for a while before the frame ``first``."""
    return ("-vf", f"setpts='if(lt(N,{first}),N,N+{frames})/{RATE}/TB'", "-fps_mode", "vfr")


PLAIN = {  # what is right in most tools
    "plain.mp4": (*X264, *AAC),
    "plain.mkv": (*X264, *AAC),
    "plain.ts": (*X264, *MP2),
    "fragments.mp4": (*X264, *AAC, "-movflags", "frag_keyframe+empty_moov"),
    "open-gop.mp4": (*X264, *AAC, "-x264-params", "open-gop=1:keyint=20"),
    "mpeg2.mpg": ("-c:v", "mpeg2video", "-g", 12, "-bf", 2, "-q:v", 3, *MP2),
    "theora.ogv": ("-c:v", "libtheora", "-q:v", 9, "-c:a", "libvorbis"),
    "vp8.webm": words("-c:v libvpx -crf 8 -b:v 2M -auto-alt-ref 1 -lag-in-frames 12 -c:a libvorbis"),
    "vp9.webm": (*VP9, "-c:a", "libopus"),
    "hevc.mp4": (*X265, "log-level=none:bframes=3:keyint=20:open-gop=1", *AAC),
    "refresh.ts": (*X264, *MP2, "-x264-params", "intra-refresh=1:keyint=20"),
}
for _name, _options in PLAIN.items():
    encoded(_name, *_options)

for _suffix, _codecs in {
    "mp4": (*X264, *AAC),
    "mkv": (*X264, *AAC),
    "ts": (*X264, *MP2),
    "avi": ("-c:v", "mpeg4", "-bf", 2, "-q:v", 3, "-c:a", "libmp3lame"),
}.items():
    for _first in (20, 65, 73):
        encoded(
            f"pause-{_first}.{_suffix}",
            *_codecs,
            *pause(_first),
            late=None,
            clock=paused(_first),
            why="ffmpeg guesses the time of the last frame of an AVI",
        )
encoded(
    "pause-long.ts",
    *X264,
    *MP2,
    *pause(40, 300),
    late=None,
    clock=paused(40, 300),
    why="ffmpeg takes a pause over ten seconds for a jump of the clock and closes it up",
)
encoded(
    "pause-sound.ts",
    *X264,
    *("-bf", 0, *MP2, "-af", "apad=whole_dur=16"),
    *pause(40, 300),
    late=None,
    clock=paused(40, 300),
    why="ffmpeg takes a pause over ten seconds for a jump of the clock and closes it up",
)
encoded("gap-last.flv", *X264, *("-vf", "select='not(eq(n,72))'", "-fps_mode", "vfr"), "-an", late=None)
encoded(
    "gaps-last.ts", *X264, *("-vf", "select='not(eq(mod(n,26),20))'", "-fps_mode", "vfr", *MP2), late=None
)
encoded("pause-h264.avi", *X264, *MP2, *pause(65), late=None)
encoded("pause-plain.avi", "-c:v", "mpeg4", "-q:v", 3, *MP2, *pause(30), late=None)
encoded("pause-mjpeg.avi", "-c:v", "mjpeg", "-q:v", 3, *MP2, *pause(70), late=None)
encoded("slides.mp4", *X264, *AAC, "-vf", "setpts=N*2/TB,select='lt(n,5)'", "-fps_mode", "vfr", late=None)
encoded("slides.ts", *X264, *MP2, "-vf", "setpts=N*2/TB,select='lt(n,5)'", "-fps_mode", "vfr", late=None)
encoded(
    "drops.ogv",
    *words("-c:v libtheora -q:v 9 -vf select='mod(n,37)-20' -fps_mode vfr -an"),
    late=None,
)


def trimmed(start: float, length: float, suffix: str, *codecs, **facts) -> None:
    """Register a file that was cut without encoding it again."""
    name = f"trimmed-{start}-{length}.{suffix}"

    def make(shop: Workshop) -> Path:
        whole = shop.made(f"whole-of-{name}", *codecs)
        return shop.copied(name, whole, before=("-ss", start, "-t", length))

    ZOO[name] = Animal(name, make, **facts)


for _suffix in ("mp4", "mov", "mkv"):
    trimmed(0.5, 1, _suffix, *X264, *AAC)
    trimmed(1.9, 1, _suffix, *X264, *AAC)
    trimmed(0, 0.4, _suffix, *X264, *AAC)
trimmed(0.7, 1.5, "ts", *X264, *MP2, warns="ends early")


def late_by(seconds: float) -> Callable[[Workshop], Path]:
    def make(shop: Workshop) -> Path:
        later = shop.made(f"later-{seconds}.ts", *X264, *MP2, "-output_ts_offset", seconds)
        first = shop.made("first.ts", *X264, *MP2)
        path = shop.folder / f"jump-{seconds}.ts"
        path.write_bytes(first.read_bytes() + later.read_bytes())
        return path

    return make


TWICE = tuple([*range(RATE * SECONDS)] * 2)
CLOSED = {
    "numbers": TWICE,
    "clock": lambda place: place / RATE,
    "why": "ffmpeg closes a jump up only for an output of constant rate",
    "warns": "closed up: at 3.00 s",
}
for _seconds in (3600, 0, 1):
    animal(f"jump-{_seconds}.ts", **CLOSED)(late_by(_seconds))


@animal("wrapped-between.ts", **{**CLOSED, "numbers": (*TWICE, *range(RATE * SECONDS))})
def wrapped_between(shop: Workshop) -> Path:
    """Between two recordings stands one whose clock of 33 bits starts again in its middle."""
    first = shop.made("first-of-three.ts", *X264, *MP2)
    middle = shop.made("middle-of-three.ts", *X264, *MP2, "-output_ts_offset", 95442)
    path = shop.folder / "wrapped-between.ts"
    path.write_bytes(first.read_bytes() + middle.read_bytes() + first.read_bytes())
    return path


def fields(name: str, single: frozenset[int], *options, **facts) -> None:
    """Register a file of which each field is coded as a picture of its own."""

    def make(shop: Workshop) -> Path:
        pictures = write_fields(shop.folder / f"pictures-of-{name}.ts", drawn(RATE * SECONDS), RATE, single)
        sound = ("-i", pictures, "-map", "1:v", "-map", "0:a", "-c:v", "copy")
        return shop.made(name, *sound, *options)

    ZOO[name] = Animal(name, make, late=0.0, **facts)


for _suffix, _codec in {"ts": MP2, "mp4": AAC, "mkv": AAC, "mov": AAC}.items():
    fields(f"fields.{_suffix}", frozenset(), *_codec)
    fields(f"some-fields.{_suffix}", frozenset({3, 4, 8, 20, 21, 22, 41, 74}), *_codec)


def edits(name: str, video: tuple, audio: tuple, **facts) -> None:
    """Register a file with these edit lists: (start, duration) in seconds of its media, or ``EMPTY``."""

    def make(shop: Workshop) -> Path:
        return edited(shop.made(name, *X264, *AAC), {"vide": video, "soun": audio})

    ZOO[name] = Animal(name, make, **facts)


MEETING = {
    "clock": lambda place: place / RATE,
    "why": "ffmpeg gives frames of two edits the same time",
}
THREE = (*range(5, 15), *range(23, 33), *range(55, 70))
BACK = (*range(45, 65), *range(5, 25))
for _suffix in ("mp4", "mov"):
    edits(f"edit-offset.{_suffix}", ((0.52, 2),), ((0.52, 2),))
    edits(f"edit-empty.{_suffix}", ((EMPTY, 0.5), (0, 3)), ((0, 3),), late=-0.5)
    edits(f"edit-empty-offset.{_suffix}", ((EMPTY, 0.5), (0.52, 2)), ((EMPTY, 0.5), (0.52, 2)))
    edits(f"edit-two.{_suffix}", ((0.4, 0.8), (1.8, 0.8)), ((0.4, 0.8), (1.8, 0.8)))
    edits(
        f"edit-three.{_suffix}",
        ((0.2, 0.4), (0.92, 0.4), (2.2, 0.6)),
        ((0.2, 0.4), (0.92, 0.4), (2.2, 0.6)),
        numbers=THREE,
        **MEETING,
    )
    edits(f"edit-twice.{_suffix}", ((0.8, 0.8), (0.8, 0.8)), ((0.8, 0.8), (0.8, 0.8)))
    edits(f"edit-back.{_suffix}", ((1.8, 0.8), (0.2, 0.8)), ((1.8, 0.8), (0.2, 0.8)), numbers=BACK, **MEETING)
    edits(f"edit-sound.{_suffix}", ((0, 3),), ((0.24, 2.5),), late=-0.24)
    edits(f"edit-late-sound.{_suffix}", ((0, 3),), ((EMPTY, 0.24), (0, 2.5)), late=0.24)

# codecs, in the containers in which they are met
SOUNDLESS = ("-an",)
CODECS = {
    "mpeg1.mpg": ("-c:v", "mpeg1video", "-g", 12, "-bf", 2, "-q:v", 2, *MP2),
    "mpeg2.ts": (*MPEG2, *MP2),
    "mpeg2.mkv": (*MPEG2, *MP2),
    "mpeg2.vob": (*MPEG2, "-c:a", "ac3"),
    "mpeg2.mxf": (*MPEG2, "-c:a", "pcm_s16le"),
    "mpeg2-closed.mpg": (
        *words("-c:v mpeg2video -g 12 -bf 2 -flags +cgop -sc_threshold 1e9 -q:v 2"),
        *MP2,
    ),
    "mpeg4.mp4": (*MPEG4, *AAC),
    "mpeg4.avi": ("-c:v", "mpeg4", "-g", 12, "-q:v", 2, "-c:a", "libmp3lame"),
    "mpeg4-b.avi": (*MPEG4, "-c:a", "libmp3lame"),
    "mpeg4.mkv": (*MPEG4, "-c:a", "libmp3lame"),
    "xvid.avi": ("-c:v", "libxvid", "-g", 12, "-bf", 2, "-q:v", 2, "-c:a", "libmp3lame"),
    "msmpeg4.avi": ("-c:v", "msmpeg4", "-q:v", 2, "-c:a", "libmp3lame"),
    "wmv.wmv": ("-c:v", "wmv2", "-q:v", 2, "-c:a", "libmp3lame"),
    "wmv1.asf": ("-c:v", "wmv1", "-q:v", 2, "-c:a", "ac3"),
    "h263.3gp": ("-c:v", "h263", "-q:v", 2, *AAC, "-ar", 44100),
    "flv1.flv": ("-c:v", "flv", "-q:v", 2, "-c:a", "libmp3lame", "-ar", 44100),
    "h264.flv": (*X264, *AAC, "-ar", 44100),
    "h264.mov": (*X264, *AAC),
    "h264.avi": (*X264, "-c:a", "libmp3lame"),
    "h264-plain.avi": (*X264, "-bf", 0, "-c:a", "libmp3lame"),
    "h264.m2ts": (*X264, "-c:a", "ac3", "-mpegts_m2ts_mode", 1),
    "h264.nut": (*X264, *MP2),
    "h264.mxf": (*X264, "-bf", 0, "-c:a", "pcm_s16le"),
    "pyramid.mp4": (*X264, *AAC, "-bf", 7, "-x264-params", "b-pyramid=strict:b-adapt=0"),
    "pyramid.ts": (*X264, *MP2, "-bf", 7, "-x264-params", "b-pyramid=strict:b-adapt=0"),
    "many-b.mkv": (*X264, *AAC, "-bf", 16, "-x264-params", "b-adapt=0"),
    "no-b.mp4": (*X264, *AAC, "-bf", 0),
    "refresh.mp4": (*X264, *AAC, "-x264-params", "intra-refresh=1:keyint=20"),
    "mbaff.mp4": (*X264, *AAC, "-flags", "+ildct+ilme"),
    "mbaff.ts": (*X264, *MP2, "-flags", "+ildct+ilme"),
    "hevc.ts": (*X265, "log-level=none:bframes=3:keyint=20", *MP2),
    "hevc.mkv": (*X265, "log-level=none:bframes=3:keyint=20:open-gop=0", *AAC),
    "av1.mp4": ("-c:v", "libsvtav1", "-preset", 12, "-crf", 20, "-svtav1-params", "keyint=20", *AAC),
    "av1.webm": words("-c:v libaom-av1 -cpu-used 8 -crf 20 -lag-in-frames 8 -usage realtime -c:a libopus"),
    "av1.mkv": ("-c:v", "libsvtav1", "-preset", 12, "-crf", 20, *AAC),
    "vp9-alt.webm": words(
        "-c:v libvpx-vp9 -crf 20 -b:v 0 -cpu-used 5 -auto-alt-ref 1 -lag-in-frames 20 -c:a libopus"
    ),
    "vp9.mp4": (*VP9, *AAC),
    "vp8.mkv": ("-c:v", "libvpx", "-crf", 8, "-b:v", "2M", "-deadline", "realtime", "-c:a", "libvorbis"),
    "mjpeg.avi": ("-c:v", "mjpeg", "-q:v", 2, "-c:a", "pcm_s16le"),
    "mjpeg.mov": ("-c:v", "mjpeg", "-q:v", 2, "-c:a", "pcm_s16le"),
    "prores.mov": ("-c:v", "prores_ks", "-c:a", "pcm_s16le"),
    "ffv1.mkv": ("-c:v", "ffv1", "-c:a", "flac"),
    "ffv1.avi": ("-c:v", "ffv1", "-c:a", "pcm_s16le"),
    "huffyuv.avi": ("-c:v", "huffyuv", "-pix_fmt", "yuv422p", "-c:a", "pcm_s16le"),
    "utvideo.mkv": ("-c:v", "utvideo", "-c:a", "flac"),
    "rle.mov": ("-c:v", "qtrle", "-c:a", "pcm_s16le"),
    "png.mov": ("-c:v", "png", "-c:a", "pcm_s16le"),
    "raw.avi": ("-c:v", "rawvideo", "-pix_fmt", "yuv420p", "-c:a", "pcm_s16le"),
    "raw.nut": ("-c:v", "rawvideo", "-pix_fmt", "yuv420p", "-c:a", "pcm_s16le"),
    "svq1.mov": ("-c:v", "svq1", "-q:v", 2, "-c:a", "pcm_s16le"),
    "cinepak.avi": ("-c:v", "cinepak", "-c:a", "pcm_s16le"),
    "snow.nut": ("-c:v", "snow", "-q:v", 2, "-strict", -2, "-c:a", "flac"),
    "rv20.rm": ("-c:v", "rv20", "-q:v", 2, "-c:a", "ac3"),
    "h264.wtv": (*X264, *MP2),
}
for _name, _options in CODECS.items():
    encoded(_name, *_options)
encoded(
    "interlaced.mpg",
    *("-c:v", "mpeg2video", "-flags", "+ildct+ilme", "-bf", 2, "-q:v", 2, *MP2),
    clock=lambda number: number / RATE,
    why="ffmpeg gives two frames the same time if a program stream leaves some out",
)
# transparent where the texture is; the bar code and the flash are opaque
SEEN = ("-vf", "format=rgba,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='if(lt(Y,32)+gt(Y,71),255,2*X)'")
TRANSPARENT = {
    "alpha-prores.mov": (
        "-c:v",
        "prores_ks",
        "-profile:v",
        "4444",
        "-pix_fmt",
        "yuva444p10le",
        "-c:a",
        "pcm_s16le",
    ),
    "alpha-vp9.webm": words(
        "-c:v libvpx-vp9 -pix_fmt yuva420p -crf 12 -b:v 0 -cpu-used 8 -deadline realtime -c:a libopus"
    ),
    "alpha-vp9.mkv": words(
        "-c:v libvpx-vp9 -pix_fmt yuva420p -crf 12 -b:v 0 -cpu-used 5 -auto-alt-ref 0 -g 30 -c:a libopus"
    ),
    "alpha-vp8.webm": words("-c:v libvpx -pix_fmt yuva420p -auto-alt-ref 0 -crf 8 -b:v 4M -c:a libvorbis"),
    "alpha-png.mov": ("-c:v", "png", "-c:a", "pcm_s16le"),
    "alpha-rle.mov": ("-c:v", "qtrle", "-pix_fmt", "argb", "-c:a", "pcm_s16le"),
    "alpha-ffv1.mkv": ("-c:v", "ffv1", "-pix_fmt", "yuva420p", "-c:a", "flac"),
    "alpha-utvideo.avi": ("-c:v", "utvideo", "-pix_fmt", "gbrap", "-c:a", "pcm_s16le"),
}
for _name, _options in TRANSPARENT.items():
    encoded(_name, *SEEN, *_options, warns="transparent parts")
encoded("alpha-bare.apng", *SEEN, "-c:v", "apng", "-an", late=None, warns="transparent parts")
PALETTE = "split[a][b];[a]palettegen[p];[b][p]paletteuse"
encoded(
    "alpha-bare.gif",
    "-vf",
    f"{SEEN[1]},{PALETTE}",
    "-c:v",
    "gif",
    "-an",
    late=None,
    warns="transparent parts",
)
BARE = {  # no sound, and no container that states times
    "bare.h264": X264,
    "bare-plain.h264": (*X264, "-bf", 0),
    "bare.hevc": (*X265, "log-level=none:bframes=3"),
    "bare.m2v": MPEG2,
    "bare.ivf": VP9,
    "bare.obu": ("-c:v", "libsvtav1", "-preset", 12, "-crf", 20),
    "bare.y4m": ("-c:v", "rawvideo", "-pix_fmt", "yuv420p"),
    "bare.gif": ("-c:v", "gif"),
    "bare.apng": ("-c:v", "apng"),
    "bare.mjpeg": ("-c:v", "mjpeg", "-q:v", 2, "-f", "mjpeg"),
    "bare.m4v": MPEG4,
}
for _name, _options in BARE.items():
    encoded(_name, *_options, "-an", late=None)

# how files are laid out
LAYOUTS = {
    "faststart.mp4": (*X264, *AAC, "-movflags", "faststart"),
    "negative.mp4": (*X264, *AAC, "-movflags", "negative_cts_offsets"),
    "no-edits.mp4": (*X264, *AAC, "-use_editlist", 0),
    "fragments-short.mp4": (*X264, *AAC, "-movflags", "empty_moov+delay_moov", "-frag_duration", 200_000),
    "fragments-dash.mp4": (*X264, *AAC, "-movflags", "dash+frag_keyframe+delay_moov"),
    "hybrid.mp4": (*X264, *AAC, "-movflags", "frag_keyframe+default_base_moof"),
    "scale.mp4": (*X264, *AAC, "-video_track_timescale", 1_000_000),
    "coarse.mp4": (*X264, *AAC, "-video_track_timescale", 25),
    "live.mkv": (*X264, *AAC, "-f", "matroska", "-live", 1),
    "clusters.mkv": (*X264, *AAC, "-cluster_time_limit", 200),
    "offset.ts": (*X264, *MP2, "-output_ts_offset", 1000),
    "offset.mkv": (*X264, *AAC, "-output_ts_offset", 1000),
    "wrap.ts": (*X264, *MP2, "-output_ts_offset", 95442.7),  # 33 bits of 90 kHz end after 1 s
    "pcr.ts": (*X264, *MP2, "-muxrate", "3M", "-pcr_period", 20),
    "timecode.mov": (*X264, *AAC, "-timecode", "01:00:00:00"),
    "surround.mkv": (*X264, "-c:a", "ac3", "-ac", 6),
    "opus.mkv": (*X264, "-c:a", "libopus"),
    "opus.mp4": (*X264, "-c:a", "libopus"),
    "flac.mp4": (*X264, "-c:a", "flac", "-strict", -2),
    "pcm.mkv": (*X264, "-c:a", "pcm_s24le"),
    "mp3.mp4": (*X264, "-c:a", "libmp3lame"),
    "ac3.ts": (*X264, "-c:a", "ac3"),
    "aac.ts": (*X264, *AAC),
}
for _name, _options in LAYOUTS.items():
    encoded(_name, *_options)


def rated(name: str, rate: str, *options, **facts) -> None:
    """Register the frames of the original at another rate, without sound."""

    def make(shop: Workshop) -> Path:
        return shop.made(name, "-vf", f"setpts=N/({rate})/TB", "-r", rate, *options, "-an")

    ZOO[name] = Animal(name, make, late=None, **facts)


for _rate in words("24000/1001 30000/1001 60000/1001 50 12.5 10 1 1/2 120 240 1000 17.3"):
    for _suffix in ("mp4", "mkv"):
        rated(f"rate-{_rate.replace('/', '-')}.{_suffix}", _rate, *X264)
for _rate in ("24000/1001", "30000/1001", "60000/1001", "50", "24"):
    rated(f"rate-{_rate.replace('/', '-')}.ts", _rate, *X264)
for _rate in ("24000/1001", "30000/1001", "15", "12.5"):
    rated(f"rate-{_rate.replace('/', '-')}.avi", _rate, *words("-c:v mpeg4 -bf 2 -q:v 2"))
rated("rate-30000-1001.flv", "30000/1001", "-c:v", "flv", "-q:v", 2)
rated("rate-24.ogv", "24", "-c:v", "libtheora", "-q:v", 9)
rated("rate-30000-1001.webm", "30000/1001", "-c:v", "libvpx-vp9", "-crf", 20, "-b:v", 0, "-cpu-used", 8)

# rates that vary
VARYING = {
    "jitter": "setpts='(N+0.3*sin(N*2.1))/25/TB'",
    "phone": "setpts='(N/25+0.004*mod(N*7,5)/5+if(gt(N,40),0.2,0))/TB'",
    "screen": "setpts='(N+floor(N/5)*3)/25/TB'",
    "faster": "setpts='if(lt(N,40),N/25,1.6+(N-40)/50)/TB'",
    "dropped": "select='mod(n,9)-4'",
}
for _kind, _filter in VARYING.items():
    for _suffix in ("mp4", "mkv", "ts", "mov", "flv"):
        encoded(f"{_kind}.{_suffix}", "-vf", _filter, "-fps_mode", "vfr", *X264, "-an", late=None)


def recopied(name: str, first: str, *options, to=(), **facts) -> None:
    """Register the packets of another container, as people change it."""

    def make(shop: Workshop) -> Path:
        return shop.copied(name, shop.made(f"first-of-{name}.{first}", *options), *to)

    ZOO[name] = Animal(name, make, **facts)


recopied(
    "avi-to.mp4",
    "avi",
    *(*words("-c:v mpeg4 -bf 2 -q:v 2"), "-c:a", "pcm_s16le"),
    clock=lambda number: number / RATE,
    why="ffmpeg guesses a late time for the second frame",
)
recopied("ts-to.mp4", "ts", *X264, *AAC)
recopied("ts-to.mkv", "ts", *X264, *MP2)
recopied("mkv-to.mp4", "mkv", *X264, *AAC)
recopied("mkv-to.ts", "mkv", *X264, *MP2)
recopied("mp4-to.avi", "mp4", *X264, "-c:a", "libmp3lame")
recopied("flv-to.mp4", "flv", *X264, *AAC, "-ar", 44100)


def headless(name: str, part: float, *options, **facts) -> None:
    """Register a recording that begins between two key frames."""

    def make(shop: Workshop) -> Path:
        path = shop.made(name, *options)
        data = path.read_bytes()
        path.write_bytes(data[int(len(data) * part) // 188 * 188 :])
        return path

    ZOO[name] = Animal(name, make, **facts)


headless("headless.ts", 0.3, *X264, *MP2)
headless("headless-mpeg2.ts", 0.3, *MPEG2, *MP2)
headless("headless-hevc.ts", 0.3, *CODECS["hevc.ts"])
headless("headless-refresh.ts", 0.3, *X264, *MP2, "-x264-params", "intra-refresh=1:keyint=20", late=None)
headless("headless-open.ts", 0.3, *X264, *MP2, "-x264-params", "open-gop=1:keyint=20")


def shifted(name: str, seconds: float, *options) -> None:
    """Register a file of which the sound begins later than the pictures, or earlier."""

    def make(shop: Workshop) -> Path:
        late = ("-itsoffset", seconds, "-i", shop.original, "-map", "0:v", "-map", "1:a")
        return shop.made(name, *late, *options)

    ZOO[name] = Animal(name, make, late=seconds)


for _suffix, _codec in {"mp4": AAC, "mkv": AAC, "ts": MP2, "mov": AAC}.items():
    shifted(f"late-sound.{_suffix}", 0.4, *X264, *_codec)
    shifted(f"early-sound.{_suffix}", -0.4, *X264, *_codec)


def doubled(name: str, second: str, *options, **facts) -> None:
    """Register two recordings, one after the other in a file, of which the second starts its clock again."""

    def make(shop: Workshop) -> Path:
        one = shop.made(f"one-of-{name}", *options)
        other = shop.made(f"other-of-{name}", *options, *second.split())
        path = shop.folder / name
        path.write_bytes(one.read_bytes() + other.read_bytes())
        return path

    ZOO[name] = Animal(name, make, **facts)


doubled("restart.mpg", "", *MPEG2, *MP2, **CLOSED)
doubled("restart.vob", "", *CODECS["mpeg2.vob"], **CLOSED)
doubled("restart.m2ts", "", *CODECS["h264.m2ts"], **CLOSED)
doubled("jump-back.ts", "-output_ts_offset 0", *X264, *MP2, "-output_ts_offset", 5000, **CLOSED)
doubled(
    "jump-mpeg2.ts",
    "-output_ts_offset 700",
    *MPEG2,
    *MP2,
    **CLOSED,
)
doubled("jump-aac.ts", "-output_ts_offset 60", *X264, *AAC, **CLOSED)


def packed(name: str) -> None:
    """Register MPEG-4 of which two frames share a packet, as DivX stores reordered ones in AVI files.

    An empty picture takes the place of the frame that moved.
    """

    def make(shop: Workshop) -> Path:
        with av.open(str(shop.made(f"unpacked-{name}", *CODECS["mpeg4-b.avi"], "-an"))) as source:
            stream = source.streams.video[0]
            frames = [(bytes(packet), packet.is_keyframe) for packet in source.demux(stream) if packet.size]
            with av.open(str(shop.folder / name), "w") as target:
                copy = target.add_stream_from_template(stream, opaque=True)
                for number, (data, key) in enumerate(_packed(frames)):
                    packet = av.Packet(data)
                    packet.stream, packet.time_base, packet.is_keyframe = copy, Fraction(1, RATE), key
                    packet.pts = packet.dts = number
                    target.mux(packet)
        return shop.folder / name

    ZOO[name] = Animal(name, make, late=None)


PICTURE, GROUP, NOTE = b"\0\0\1\xb6", b"\0\0\1\xb3", b"\0\0\1\xb2DivX503b1393p"
EMPTY_PICTURE = PICTURE + b"\x50\0\x7f"


def _packed(frames: list[tuple[bytes, bool]]) -> list[tuple[bytes, bool]]:
    chunks: list[tuple[bytes, bool]] = []
    between = 0  # frames since the last one that others refer to
    for data, key in (*frames, (PICTURE + bytes(1), False)):
        if data[data.index(PICTURE) + 4] >> 6 == 2:
            between += 1
            if between == 1:
                chunks[-1] = (chunks[-1][0] + data, chunks[-1][1])
                continue
        elif between:
            chunks.append((EMPTY_PICTURE, False))
            between = 0
        chunks.append((data, key))
    first, key = chunks[0]
    start = first.index(GROUP) if GROUP in first else first.index(PICTURE)
    chunks[0] = (first[:start] + NOTE + first[start:], key)
    return chunks[:-1]


packed("packed.avi")
