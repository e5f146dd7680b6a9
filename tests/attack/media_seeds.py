"""Small valid files of every container for the media fuzz, with audio, text and chapters if supported."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av

from stereoreel.media.layouts.boxes import Stereo, write_stereo
from tests.support.media_files import moving, tone, turn, write_video

FRAMES, SECONDS, TITLE = 10, 0.4, "Seed title"
RATES = {"libopus": 48000, "aac": 44100}
TEXT = [(0.0, 0.2, "first line"), (0.2, 0.4, "second line")]
PARTS = [(0.0, 0.2, TITLE), (0.2, 0.4, "Second part")]

# name: (ending, video codec, pixel format, codec options, audio codec and layout, what else)
KINDS = {
    "mp4": (
        ".mp4",
        "libx264",
        "yuv420p",
        {"g": "4", "bf": "2"},
        ("aac", "stereo"),
        {"subtitles": TEXT, "chapters": PARTS, "color": (1, 1, 1)},
    ),
    "mp4 in fragments": (
        ".mp4",
        "libx264",
        "yuv420p",
        {"g": "4"},
        ("aac", "mono"),
        {"muxer": {"movflags": "frag_keyframe+empty_moov"}},
    ),
    "mov": (".mov", "mjpeg", "yuvj420p", {}, ("pcm_s16le", "stereo"), {"subtitles": TEXT, "chapters": PARTS}),
    "mkv": (
        ".mkv",
        "libx264",
        "yuv420p",
        {"g": "4", "bf": "2"},
        ("ac3", "stereo"),
        {"subtitles": TEXT, "chapters": PARTS, "color": (9, 16, 9)},
    ),
    "mkv of ffv1": (".mkv", "ffv1", "gbrp10le", {}, ("flac", "mono"), {"chapters": PARTS}),
    "webm": (
        ".webm",
        "libvpx",
        "yuv420p",
        {"deadline": "realtime"},
        ("libopus", "stereo"),
        {"chapters": PARTS},
    ),
    "avi": (".avi", "mpeg4", "yuv420p", {"g": "4"}, ("libmp3lame", "stereo"), {}),
    "mpegts": (".ts", "mpeg2video", "yuv420p", {"g": "4"}, ("mp2", "stereo"), {}),
    "mpegts interlaced": (
        ".ts",
        "mpeg2video",
        "yuv420p",
        {"g": "4", "flags": "+ilme+ildct"},
        ("aac", "stereo"),
        {"interlaced": True},
    ),
    "avi of floats": (".avi", "mjpeg", "yuvj420p", {}, ("pcm_f32le", "stereo"), {}),
    "flv": (".flv", "flv", "yuv420p", {"g": "4"}, ("libmp3lame", "stereo"), {}),
    "ogg": (".ogg", "libvpx", "yuv420p", {"deadline": "realtime"}, ("libopus", "stereo"), {}),
    "nut": (".nut", "mpeg4", "yuv420p", {"g": "4", "bf": "2"}, ("pcm_s16le", "stereo"), {"chapters": PARTS}),
    "mpeg": (".mpg", "mpeg1video", "yuv420p", {"g": "4"}, ("mp2", "stereo"), {}),
    "asf": (".asf", "wmv2", "yuv420p", {"g": "4"}, ("libmp3lame", "stereo"), {}),
    "mxf": (".mxf", "mpeg2video", "yuv420p", {"g": "4"}, ("pcm_s16le", "mono"), {}),
    "h264": (".h264", "libx264", "yuv420p", {"g": "4", "bf": "2"}, None, {}),
    "gif": (".gif", "gif", "rgb8", {}, None, {}),
    "y4m": (".y4m", "wrapped_avframe", "yuv420p", {}, None, {}),
}
CONTAINERS = (
    "mp4",
    "mov",
    "mkv",
    "webm",
    "avi",
    "mpegts",
    "flv",
    "ogg",
    "nut",
    "mpeg",
    "asf",
    "mxf",
    "h264",
    "gif",
    "y4m",
)


def make_seeds(folder: Path) -> dict[str, list[Path]]:
    """Write the seeds of each container into ``folder``, the same bytes every time."""
    seeds: dict[str, list[Path]] = {name: [] for name in CONTAINERS}
    for name, (suffix, codec, pix_fmt, options, sound, more) in KINDS.items():
        path = folder / f"{name.replace(' ', '_')}{suffix}"
        more = dict(more)
        muxer = {"fflags": "+bitexact", **more.pop("muxer", {})}
        for what, call in (("chapters", "set_chapters"), ("subtitles", "add_mux_stream")):
            if not hasattr(av.container.OutputContainer, call):
                more.pop(what, None)  # older PyAV
        audio = []
        if sound:
            rate = RATES.get(sound[0], 48000)
            audio = [(tone(SECONDS, rate, 2 if sound[1] == "stereo" else 1), rate, *sound)]
        write_video(
            path,
            moving(FRAMES),
            Fraction(25),
            codec,
            pix_fmt,
            {**options, "threads": "1"},
            audio=audio,
            container_options=muxer,
            **more,
        )
        seeds[name.split()[0]].append(path)
    turn(folder / "mov.mov", 90)
    write_stereo(folder / "mp4.mp4", Stereo("left_right", vr180=True))
    return seeds
