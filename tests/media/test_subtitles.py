"""Subtitles say what ffmpeg reads in the source, at the same times, in every container."""

import logging
import re
import struct
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import pytest
from av.stream import Disposition
from av.subtitles.codeccontext import SubtitleCodecContext

from stereoreel.core.clip import ClipInfo, Soundtrack
from stereoreel.media.write.encode import Writer
from stereoreel.media.write.file_type import file_type
from stereoreel.media.write.stream_copy import copy_video
from tests.media.workshop import run
from tests.media.zoo import words
from tests.support.encoded_files import encode, gray, packets, settings
from tests.support.films import make

pytestmark = pytest.mark.skipif(
    not hasattr(SubtitleCodecContext, "encode_subtitle"), reason="PyAV converts subtitles from 16 on"
)
LINES = [
    (200, 900, "<b>Bold</b>, <i>italic</i> and plain"),
    (1000, 1400, "two\nlines, Grüße 日本"),
    (1400, 1900, "at once"),
    (2500, 2900, "last"),
]
STYLES = """[Script Info]
ScriptType: v4.00+
PlayResX: 384
PlayResY: 288

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, \
Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, \
MarginR, MarginV, Encoding
Style: Default,Arial,16,&HFFFFFF,&HFFFFFF,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0
Style: Loud,Arial,32,&H0000FF,&H0000FF,&H0,&H0,-1,0,0,0,100,100,0,0,1,1,0,8,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:00.20,0:00:00.90,Loud,,0,0,0,,{\\pos(10,10)}A sign, loud
Dialogue: 0,0:00:01.00,0:00:01.90,Default,,0,0,0,,{\\p1}m 0 0 l 100 0 100 100{\\p0}
Dialogue: 0,0:00:02.00,0:00:02.50,Default,,0,0,0,,{\\k20}ka{\\k30}ra
"""
SOURCES = {"subrip": "mkv", "ass": "mkv", "webvtt": "webm", "mov_text": "mp4"}
GRAPH = {
    "1": {"class_type": "StereoReelExtract", "inputs": {"video": "film.mkv", "cuts": False}},
    "2": {"class_type": "StereoReelEncode", "inputs": {"clip": ["1", 0], "speed": "fast"}},
}
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", 8)


def srt(lines) -> str:
    """The text of a SubRip file with (begin, end, text), in milliseconds."""

    def clock(time: int) -> str:
        return f"{time // 3600000:02}:{time // 60000 % 60:02}:{time // 1000 % 60:02},{time % 1000:03}"

    return "\n".join(
        f"{number}\n{clock(begin)} --> {clock(end)}\n{text}\n"
        for number, (begin, end, text) in enumerate(lines, 1)
    )


def movie(path: Path, *inputs: Path, options=()) -> Path:
    """Three seconds of video with the subtitles of text files, as ffmpeg muxes them."""
    given = [word for file in inputs for word in ("-i", file)]
    maps = [word for number in range(len(inputs) + 1) for word in ("-map", number)]
    picture = ("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=3")
    video = VP9 if path.suffix == ".webm" else ("-c:v", "libx264", "-preset", "ultrafast")
    run(*picture, *given, *maps, *video, *options, path)
    return path


def read(path: Path, track: int = 0) -> list[tuple[int, int, str]]:
    """The subtitles of a file as ffmpeg prints them: begin, end, text."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path)]
    done = subprocess.run([*command, "-map", f"0:s:{track}", "-f", "srt", "pipe:1"], capture_output=True)
    clock = r"(\d+):(\d+):(\d+),(\d+)"
    found = re.findall(rf"{clock} --> {clock}\n(.*?)\n\n", done.stdout.decode(), re.DOTALL)
    times = [[int(word) for word in words[:8]] for words in found]
    return [
        (
            *(((h * 60 + m) * 60 + s) * 1000 + ms for h, m, s, ms in (time[:4], time[4:])),
            words[8],
        )
        for time, words in zip(times, found)
    ]


def written(folder: Path, source: Path, suffix: str, **window) -> Path:
    entry = file_type(suffix).entry
    path, info = folder / f"written.{suffix}", ClipInfo(64, 48, Fraction(25), 75)
    with Writer(path, info, settings(), audio=Soundtrack(source, **window), entry=entry) as writer:
        writer.write(gray(75))
    return path


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.srt"
    path.write_text(srt(LINES), encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm"])
@pytest.mark.parametrize("codec", SOURCES)
def test_text_is_that_of_the_source(tmp_path, text, codec, suffix):
    source = movie(tmp_path / f"source.{SOURCES[codec]}", text, options=("-c:s", codec))
    expected = read(source)
    assert [line[:2] for line in expected] == [line[:2] for line in LINES]
    assert read(written(tmp_path, source, suffix)) == expected


@pytest.mark.parametrize("suffix, flags", [("mp4", True), ("mov", False), ("mkv", True)])
def test_every_track_keeps_language_title_and_flags(tmp_path, text, suffix, flags):
    tags = ("-metadata:s:s:0", "language=fre", "-metadata:s:s:0", "title=Dialogue")
    tags += ("-metadata:s:s:1", "language=eng", "-disposition:s:0", "default+hearing_impaired")
    source = movie(tmp_path / "source.mkv", text, text, options=(*tags, "-disposition:s:1", "forced"))
    result = written(tmp_path, source, suffix)
    assert [read(result, track) == read(source, track) for track in (0, 1)] == [True, True]
    assert b"Dialogue" in result.read_bytes()
    with av.open(str(result)) as container:
        tracks = container.streams.subtitles
        named = bool({"title", "name"} & set(tracks[0].metadata))  # FFmpeg reads an MP4's from version 8.1 on
        assert named or suffix != "mkv"
        assert [track.language for track in tracks] == ["fra" if suffix == "mov" else "fre", "eng"]
        if flags:
            heard, forced = (track.disposition for track in tracks)
            assert heard & Disposition.default and heard & Disposition.hearing_impaired
            assert forced & Disposition.forced and not forced & Disposition.default
    with av.open(str(written(tmp_path, result, "mkv"))) as container:  # and back
        assert not named or container.streams.subtitles[0].metadata["title"] == "Dialogue"


def test_simultaneous_lines_are_all_shown_where_one_follows_the_other(tmp_path):
    text = tmp_path / "text.srt"
    text.write_text(srt([(200, 900, "a"), (500, 1400, "b"), (1500, 1800, "c"), (1500, 1800, "d")]))
    source = movie(tmp_path / "source.mkv", text)
    assert read(written(tmp_path, source, "mp4")) == [
        (200, 500, "a"),
        (500, 900, "a\nb"),
        (900, 1400, "b"),
        (1500, 1800, "c\nd"),
    ]
    assert read(written(tmp_path, source, "mkv")) == read(source)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm"])
def test_a_window_shifts_and_cuts_text(tmp_path, text, suffix):
    source = movie(tmp_path / "source.mkv", text)
    result = written(tmp_path, source, suffix, start=Fraction(6, 5), duration=Fraction(3, 2))
    assert read(result) == [(0, 200, LINES[1][2]), (200, 700, LINES[2][2]), (1300, 1500, LINES[3][2])]


@pytest.mark.parametrize("codec", ["ass", "subrip"])
def test_matroska_keeps_styles_and_fonts(tmp_path, codec):
    font, text = tmp_path / "my font.ttf", tmp_path / "text.ass"
    font.write_bytes(bytes(range(256)) * 40)
    text.write_text(STYLES)
    attached = ("-attach", font, "-metadata:s:t", "mimetype=application/x-truetype-font", "-c:s", codec)
    source = movie(tmp_path / "source.mkv", text, options=attached)
    result = encode(tmp_path, gray(75), format="ffv1", audio=Soundtrack(source))
    copy = copy_video(result, tmp_path / "copy.mkv", "matroska", {})
    for path in (result, copy):
        assert packets(path, "subtitle") == packets(source, "subtitle")
        with av.open(str(path)) as after, av.open(str(source)) as before:
            headers = [one.streams.subtitles[0].codec_context.extradata for one in (before, after)]
            assert headers[0] == headers[1]
            fonts = [stream for stream in after.streams if stream.type == "attachment"]
            assert [(one.name, one.mimetype, one.data) for one in fonts] == [
                ("my font.ttf", "application/x-truetype-font", font.read_bytes())
            ]


def test_styled_text_is_converted_without_its_drawings(tmp_path):
    text = tmp_path / "text.ass"
    text.write_text(STYLES)
    result = written(tmp_path, movie(tmp_path / "source.mkv", text, options=("-c:s", "ass")), "mp4")
    sign, song = read(result)
    assert sign[:2] == (200, 900) and "<b>" in sign[2] and 'color="#ff0000"' in sign[2]
    assert re.sub("<[^>]*>|{[^}]*}", "", sign[2]) == "A sign, loud"
    assert song == (2000, 2500, "kara")


def pictures(path: Path) -> Path:
    """A Blu-ray's subtitle file: a white square from 0.5 to 1.5 s."""

    def segment(time: int, kind: int, body: bytes) -> bytes:
        return b"PG" + struct.pack(">IIBH", time, 0, kind, len(body)) + body

    size, line = 16, bytes([0, 0x80 | 16, 1, 0, 0])  # 16 pixels of colour 1, end of line
    data = struct.pack(">HH", size, size) + line * size
    shown = struct.pack(">HHBHBBBB", 96, 64, 0x10, 0, 0x80, 0, 0, 1) + struct.pack(">HBBHH", 0, 0, 0, 8, 8)
    area = struct.pack(">BBHHHH", 1, 0, 8, 8, size, size)
    path.write_bytes(
        segment(45000, 0x16, shown)
        + segment(45000, 0x17, area)
        + segment(45000, 0x14, bytes([0, 0, 1, 235, 128, 128, 255]))
        + segment(45000, 0x15, struct.pack(">HBB", 0, 0, 0xC0) + len(data).to_bytes(3, "big") + data)
        + segment(45000, 0x80, b"")
        + segment(135000, 0x16, struct.pack(">HHBHBBBB", 96, 64, 0x10, 1, 0, 0, 0, 0))
        + segment(135000, 0x17, area)
        + segment(135000, 0x80, b"")
    )
    return path


@pytest.mark.parametrize(
    "codec, suffix, kept",
    [
        ("copy", "mkv", True),
        ("dvdsub", "mkv", True),
        ("dvdsub", "mp4", True),
        ("copy", "mp4", False),
        ("dvdsub", "mov", False),
        ("copy", "webm", False),
    ],
)
def test_picture_subtitles_are_copied_or_named(tmp_path, caplog, codec, suffix, kept):
    source = movie(tmp_path / "source.mkv", pictures(tmp_path / "text.sup"), options=("-c:s", codec))
    with caplog.at_level(logging.WARNING):
        (before,), after = (
            packets(source, "subtitle"),
            packets(written(tmp_path, source, suffix), "subtitle"),
        )
    if not kept:
        assert not after and f".{suffix} files cannot hold it" in caplog.text
        return
    assert not caplog.text
    assert [(begin, data) for begin, _, data in after[0] if len(data) > 2] == [
        (begin, data) for begin, _, data in before
    ]


def test_a_film_in_units_has_the_text_of_its_source(tmp_path, text):
    source = movie(tmp_path / "source.mkv", text)
    (film,) = make(source, tmp_path / "film.mp4", GRAPH)
    assert read(film) == LINES


def test_a_film_of_varying_rate_has_the_text_of_its_source(tmp_path, text):
    varying = ("-vf", "setpts='(N+floor(N/5)*3)/40/TB'", "-fps_mode", "vfr")
    source = movie(tmp_path / "source.mkv", text, options=varying)
    (film,) = make(source, tmp_path / "film.mp4", GRAPH)
    assert read(film) == LINES


def test_slow_motion_has_its_text_and_chapters_as_late_as_its_frames(tmp_path, text):
    chapters = tmp_path / "chapters.txt"
    parts = "".join(f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={a}\nEND={b}\n" for a, b in [(0, 1200), (1200, 3000)])
    chapters.write_text(f";FFMETADATA1\n{parts}")
    sound = ("-f", "lavfi", "-i", "sine=d=3")
    picture = ("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=3")
    source, target = tmp_path / "source.mkv", tmp_path / "film.mp4"
    run(*picture, *sound, "-i", text, "-i", chapters, *words("-map 0 -map 1 -map 2 -map_chapters 3"), source)
    slow = {"clip": ["1", 0], "model": "builtin", "quality": "fast", "slow_motion": True, "multiplier": 2}
    graph = {
        "1": {**GRAPH["1"], "inputs": {**GRAPH["1"]["inputs"], "start": 1}},
        "2": {"class_type": "StereoReelInterpolate", "inputs": slow},
        "3": {**GRAPH["2"], "inputs": {"clip": ["2", 0], "speed": "fast"}},
    }
    with pytest.warns(UserWarning, match="so the audio is dropped"):
        make(source, target, graph)
    assert [re.sub("<[^>]*>", "", line[2]) for line in read(target)] == [line[2] for line in LINES[1:]]
    assert [line[:2] for line in read(target)] == [
        (2 * begin - 2000, 2 * end - 2000) for begin, end, _ in LINES[1:]
    ]
    with av.open(str(target)) as container:
        assert not container.streams.audio
        begins = [chapter["start"] * Fraction(chapter["time_base"]) for chapter in container.chapters()]
        assert begins == [0, Fraction(2, 5)]


def test_a_line_that_is_too_long_costs_only_itself(tmp_path, caplog):
    text = tmp_path / "text.srt"
    text.write_text(srt([(200, 900, "x" * 70_000), (1000, 1400, "next")]))  # MP4 counts in 16 bits
    source = movie(tmp_path / "source.mkv", text, options=("-c:s", "copy"))
    assert read(written(tmp_path, source, "mp4")) == [(1000, 1400, "next")]
    assert "too long" in caplog.text


def test_a_corrupt_line_costs_only_itself(tmp_path, text, caplog):
    source = movie(tmp_path / "source.mp4", text, options=("-c:s", "mov_text"))
    data = source.read_bytes()
    at = data.index(b"at once")
    source.write_bytes(data[: at - 2] + b"\xff\xff\xff\xfe" + data[at + 2 :])
    result = written(tmp_path, source, "mkv")
    assert {line[2] for line in read(result)} >= {LINES[0][2], LINES[3][2]}


def test_a_track_without_its_header_is_dropped_with_a_warning(tmp_path, caplog):
    text = tmp_path / "text.ass"
    text.write_text(STYLES)
    source = movie(tmp_path / "source.mkv", text, options=("-c:s", "ass"))
    data = source.read_bytes()
    at = data.index(b"\x63\xa2", data.index(b"S_TEXT/ASS"))  # the element of the header
    source.write_bytes(data[:at] + b"\xec" + data[at + 1 :])
    written(tmp_path, source, "mp4")
    assert "(ass) dropped" in caplog.text
