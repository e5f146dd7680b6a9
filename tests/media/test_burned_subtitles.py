"""Burned subtitles: text where libass puts it, in both views alike, in front of what it covers."""

import json
import logging
import subprocess
import time
import zlib
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
import torch
from av.subtitles.codeccontext import SubtitleCodecContext
from PIL import ImageFont

import stereoreel
from stereoreel.core import partition
from stereoreel.core.clip import Clip, ClipInfo, apply
from stereoreel.core.tensor_source import TensorSource
from stereoreel.core.transforms import Recut
from stereoreel.media.subtitles import burn as burn_module
from stereoreel.media.subtitles import typeset
from stereoreel.media.subtitles.burn import Burn, reach
from stereoreel.media.subtitles.choose import burned, track_of
from stereoreel.media.subtitles.cues import Cue, Cues, Picture, read_file, read_stream
from stereoreel.media.subtitles.fonts import Fonts
from stereoreel.media.subtitles.ink import tinted
from stereoreel.media.subtitles.lines import Lines, Sheet
from stereoreel.media.subtitles.nearness import nearest
from stereoreel.media.subtitles.script import MOST_LETTERS, Script, Style, parse_event
from stereoreel.media.write.render import write
from stereoreel.models.headless import Headless
from tests.media.graphic_subtitles import Block, write_pgs
from tests.media.workshop import run
from tests.support.films import make, request
from tests.support.hearing import Hearing

pytestmark = pytest.mark.skipif(
    not hasattr(SubtitleCodecContext, "encode_subtitle"),
    reason="PyAV gives the styles of subtitles from 16 on",
)
WIDTH, HEIGHT = 320, 180
FONT = "Aileron"  # the one that Pillow ships
HEAD = f"""[Script Info]
ScriptType: v4.00+
PlayResX: 384
PlayResY: 288
ScaledBorderAndShadow: yes

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, \
Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, \
MarginR, MarginV, Encoding
Style: Default,{FONT},16,&HFFFFFF,&HFFFFFF,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0
Style: Sign,{FONT},24,&H0000FF,&HFFFFFF,&HFF0000,&H0,0,0,0,0,100,100,0,0,1,1.5,2,8,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


def ass(path: Path, *lines: str) -> Path:
    """Write a script of lines of style, margins, effect and text, all from 0 to 5 seconds."""
    path.write_text(HEAD + "".join(f"Dialogue: 0,0:00:00.00,0:00:05.00,{line}\n" for line in lines), "utf-8")
    return path


def srt(path: Path, *lines: tuple[float, float, str]) -> Path:
    def clock(time: float) -> str:
        return f"00:00:{int(time):02},{round(time % 1 * 1000):03}"

    blocks = [f"{n}\n{clock(a)} --> {clock(b)}\n{text}\n" for n, (a, b, text) in enumerate(lines, 1)]
    path.write_text("\n".join(blocks), "utf-8")
    return path


def grey(frames: int = 24, width: int = WIDTH, height: int = HEIGHT) -> torch.Tensor:
    return torch.full((frames, height, width, 3), 0.25)


def scene(
    frames: int, near_from: int, behind: int = -4, near: int = 8, plate_width: int = 120
) -> torch.Tensor:
    """Two views of a wall at one disparity, before whose lower half a plate stands at another, later on."""
    random = np.random.default_rng(1)
    wall, plate = (
        torch.nn.functional.interpolate(
            torch.from_numpy(random.random((1, 3, high // 4, wide // 2))).float(),
            (high, wide),
            mode="bilinear",
        )[0].movedim(0, -1)
        for high, wide in ((HEIGHT, WIDTH + 64), (80, plate_width))
    )
    views = []
    for half in (0.5, -0.5):
        place = 32 - int(half * behind)
        view = wall[:, place : place + WIDTH].repeat(frames, 1, 1, 1).clone()
        left = 160 - plate_width // 2 + int(half * near)
        view[near_from:, 100:180, left : left + plate_width] = plate
        views.append(view)
    return torch.stack(views)


def changed(result: torch.Tensor, source: torch.Tensor) -> list[int]:
    """Return the frames that differ."""
    axes = tuple(axis for axis in range(source.ndim) if axis != source.ndim - 4)
    return ((result - source).abs().amax(axes) > 0.02).nonzero().flatten().tolist()


def burn(clip: Clip, path: Path, chunk: int | None = None, **how) -> torch.Tensor:
    given = {"forward": 0.0, "size": 250.0 if clip.info.views == 2 else 100.0, **how}
    return torch.cat(
        [*stereoreel.frames(burned(clip, str(path), **given), chunk_frames=chunk, device="cpu")], -4
    )


def disparities(result: torch.Tensor, source: torch.Tensor) -> list[int | None]:
    """Return by how many pixels the text of each frame is apart in the two views, None without text.

    Fails if the views do not show the same pixels of text.
    """
    found: list[int | None] = []
    for shown, bare in zip(result.movedim(0, 1), source.movedim(0, 1)):
        white = (shown > 0.999).all(-1) & (bare < 0.98).any(-1)
        if not white.any():
            found.append(None)
            continue
        overlaps = [int((white[0] & white[1].roll(d, 1)).sum()) for d in range(-30, 31)]
        assert max(overlaps) >= 0.99 * white[0].sum() == 0.99 * white[1].sum(), (
            "the views show different text"
        )
        found.append(overlaps.index(max(overlaps)) - 30)
    return found


# the least PSNR in decibels, and lines
EVENTS = {
    "bottom": [40, "Default,,0,0,0,,Hello there"],
    "place": [40, "Sign,,0,0,0,,{\\pos(120,90)}A sign"],
    "corner": [40, "Default,,0,0,0,,{\\an9}Top {\\c&H00FF00&}green{\\r} right"],
    "middle": [40, "Sign,,0,0,0,,{\\an4\\fs30}Mid {\\fs14}small"],
    "margins": [40, "Default,,60,150,40,,{\\an1}Low"],
    "wide": [39, "Default,,0,0,0,,{\\fscx150}Wide {\\fscx60\\fscy140}and high"],
    "pairs": [39, "Default,,0,0,0,,{\\an8}To AVATAR We Ty"],
    "two at once": [37, "Default,,0,0,0,,below", "Default,,0,0,0,,above"],
    "rows": [38, "Default,,0,0,0,,First\\NSecond row"],
}


@pytest.mark.parametrize("name", EVENTS)
def test_text_is_where_libass_puts_it(tmp_path, name):
    least, *lines = EVENTS[name]
    path = ass(tmp_path / "text.ass", *lines)
    fonts = tmp_path / "fonts"
    fonts.mkdir()
    (fonts / "font.ttf").write_bytes(ImageFont.load_default(20).font_bytes)
    picture = f"color=0x404040:s={WIDTH * 2}x{HEIGHT * 2}:r=1:d=1,format=yuv444p"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", picture, "-vf"]
    command += ["ass=text.ass:fontsdir=fonts", "-f", "rawvideo", "-pix_fmt", "yuv444p", "-"]
    done = subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    luma = np.frombuffer(done.stdout, np.uint8)[: 4 * HEIGHT * WIDTH].reshape(2 * HEIGHT, 2 * WIDTH)
    expected = (luma.astype(float) - 16) / 219
    frames = torch.full((1, 2 * HEIGHT, 2 * WIDTH, 3), 0x40 / 255)
    result = burn(stereoreel.from_tensor(frames, 1), path)[0].numpy() @ (0.2126, 0.7152, 0.0722)
    psnr = -10 * np.log10(((result - expected) ** 2).mean())
    bare = -10 * np.log10(((0x40 / 255 - expected) ** 2).mean())
    assert psnr >= least and psnr > bare + 4


def test_lines_are_shown_at_their_times_and_other_frames_are_unchanged(tmp_path):
    path = srt(tmp_path / "text.srt", (0.25, 0.5, "one"), (0.75, 0.8, "two"))
    result = burn(stereoreel.from_tensor(grey(), 24), path)
    assert changed(result, grey()) == [*range(6, 12), 18, 19]


@pytest.mark.parametrize("cut", [1, 2, 7, 60])
def test_frames_do_not_depend_on_chunks(tmp_path, cut):
    path = srt(tmp_path / "text.srt", (0.25, 2.25, "one line"), (1, 1.5, "another"))
    clip = stereoreel.from_tensor(scene(60, 30), 24, cuts=False)
    assert torch.equal(burn(clip, path, cut), burn(clip, path, 13))


def test_a_line_is_in_front_of_what_comes_later_and_does_not_move(tmp_path):
    path = srt(tmp_path / "text.srt", (0.25, 2.25, "A line of text"))
    source = scene(60, 30)
    result = burn(stereoreel.from_tensor(source, 24, cuts=False), path)
    found = disparities(result, source)
    assert found[5] is None and found[54] is None
    assert len(set(found[6:54])) == 1
    assert 8 < found[6] <= 8 + 0.03 * WIDTH


@pytest.mark.parametrize("near, plate_width", [(4, 24), (8, 40), (12, 80), (20, 120)])
def test_a_line_is_in_front_of_the_98th_percentile_of_what_it_covers(tmp_path, near, plate_width):
    """The plate, with known disparity, is behind a few letters of the line only."""
    path = srt(tmp_path / "text.srt", (0, 0.4, "A line of text, wider than that"))
    source = scene(10, 3, near=near, plate_width=plate_width)
    result = burn(stereoreel.from_tensor(source, 24, cuts=False), path, size=150.0)
    covered = (result - source).abs().amax((0, 1, -1)) > 0.02
    truth = torch.full((HEIGHT, WIDTH), -4.0)
    truth[100:180, 160 - plate_width // 2 : 160 + plate_width // 2] = near
    behind = float(np.percentile(truth[covered].numpy(), 98))
    assert behind == near
    for found in disparities(result, source)[:9]:
        assert near < found <= near + 0.01 * WIDTH + 2


def test_a_line_before_a_wall_behind_the_screen_is_on_the_screen(tmp_path):
    path = srt(tmp_path / "text.srt", (0, 2, "A line of text"))
    source = scene(12, 12)
    clip = stereoreel.from_tensor(source, 24, cuts=False)
    assert set(disparities(burn(clip, path), source)) == {0}
    assert set(disparities(burn(clip, path, forward=2.0), source)) == {round(0.02 * WIDTH + 0.5)}


def test_a_line_without_texture_behind_it_is_on_the_screen(tmp_path):
    source = grey(6).expand(2, -1, -1, -1, -1)
    path = srt(tmp_path / "text.srt", (0, 2, "A line of text"))
    assert set(disparities(burn(stereoreel.from_tensor(source, 24), path), source)) == {0}


def test_a_line_that_is_longer_than_the_look_ahead_comes_forward_gently(tmp_path, monkeypatch):
    monkeypatch.setattr(burn_module, "REACH", 20)
    path = srt(tmp_path / "text.srt", (0, 5, "A line of text"))
    source = scene(44, 36)
    found = disparities(burn(stereoreel.from_tensor(source, 24, cuts=False), path), source)
    assert set(found[:16]) == {0} and set(np.diff(found)) <= {0, 1}
    assert min(found[36:]) > 8


def test_the_look_ahead_is_bounded_in_frames_and_bytes():
    pair = ClipInfo(320, 180, Fraction(24), 100, views=2)
    assert reach(pair) == 64 and reach(pair.replace(views=1)) == 0
    assert reach(pair.replace(width=1920, height=1080)) == 21
    assert reach(pair.replace(width=3840, height=2160)) == 8


def test_a_line_that_spans_a_cut_has_a_disparity_in_each_shot(tmp_path):
    path = srt(tmp_path / "text.srt", (0, 2, "A line of text"))
    source = scene(40, 20)
    clip = stereoreel.from_tensor(source, 24, cuts=False)
    cut = apply(Recut("20"), clip)["clip"]
    found = disparities(burn(cut, path), source)
    assert set(found[:20]) == {0}
    assert len(set(found[20:])) == 1 and found[20] > 8


def test_nearest_ignores_what_is_elsewhere():
    pair = scene(1, 0)[:, 0]
    assert nearest(pair, (120, 120, 200, 160)) == pytest.approx(8, abs=1)
    assert nearest(pair, (240, 20, 310, 60)) == pytest.approx(-4, abs=1)


@pytest.mark.parametrize("layout", ["half_sbs", "half_tb", "full_sbs", "full_tb"])
def test_every_layout_shows_the_complete_line_twice(tmp_path, layout):
    path = srt(tmp_path / "text.srt", (0, 2, "Most of the width of a frame is text"))
    source = torch.zeros(2, 4, HEIGHT, WIDTH, 3)
    out = tmp_path / "out.mkv"
    options = {"layout": layout, "subtitles": "burn", "subtitle_source": str(path)}
    stereoreel.write(stereoreel.from_tensor(source, 24), out, device="cpu", **options)
    frame = next(av.open(str(out)).decode(video=0)).to_ndarray(format="rgb24").astype(float)
    axis = 1 if layout.endswith("sbs") else 0
    left, right = np.split(frame, 2, axis)
    assert np.array_equal(left, right)
    whole = burn(stereoreel.from_tensor(source[0], 24), path)[0].numpy().mean(-1) > 0.2
    columns = np.flatnonzero((left.mean(-1) > 50).any(0)) * whole.shape[1] / left.shape[1]
    assert np.flatnonzero(whole.any(0))[[0, -1]] == pytest.approx([columns.min(), columns.max()], abs=3)


@pytest.fixture
def video(tmp_path):
    """A file with two tracks, of which the second one is the default."""
    first = srt(tmp_path / "first.srt", (0.2, 0.6, "first"))
    second = srt(tmp_path / "second.srt", (0.4, 0.8, "second"))
    path = tmp_path / "film.mkv"
    tags = ["-metadata:s:s:0", "language=ger", "-metadata:s:s:1", "language=eng"]
    tags += ["-disposition:s:0", "0", "-disposition:s:1", "default"]
    picture = ["-f", "lavfi", "-i", f"color=0x404040:s={WIDTH}x{HEIGHT}:r=10:d=1.2"]
    maps = ["-map", 0, "-map", 1, "-map", 2]
    run(*picture, "-i", first, "-i", second, *maps, "-c:v", "ffv1", "-pix_fmt", "gbrp", *tags, path)
    return path


def shown_in(path: Path) -> list[int]:
    """Return the frames of a grey video that show text."""
    frames = [frame.to_ndarray(format="rgb24") for frame in av.open(str(path)).decode(video=0)]
    return [number for number, frame in enumerate(frames) if frame.max() > 200]


def tracks_of(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        return [stream.language or "" for stream in container.streams.subtitles]


@pytest.mark.parametrize(
    "wanted, shown, left",
    [("auto", [4, 5, 6, 7], ["ger"]), ("de", [2, 3, 4, 5], ["eng"]), ("ger", [2, 3, 4, 5], ["eng"]),
     ("1", [2, 3, 4, 5], ["eng"]), ("2", [4, 5, 6, 7], ["ger"]),
     ("second.srt", [4, 5, 6, 7], ["ger", "eng"])],
)  # fmt: skip
def test_the_wanted_track_is_burned_and_left_out_of_the_file(tmp_path, video, wanted, shown, left):
    out = tmp_path / "out.mkv"
    stereoreel.write(stereoreel.open(video), out, device="cpu", subtitles="burn", subtitle_source=wanted)
    assert shown_in(out) == shown
    assert tracks_of(out) == left


def languages(tmp_path, *codes):
    """Return a video with a track of each language."""
    texts = [srt(tmp_path / f"{place}.txt.srt", (0, 0.1, code)) for place, code in enumerate(codes)]
    path = tmp_path / "spoken.mkv"
    inputs, tags = [], []
    for place, (text, code) in enumerate(zip(texts, codes)):
        inputs += ["-i", text]
        tags += ["-map", place + 1, f"-metadata:s:s:{place}", f"language={code}"]
    run("-f", "lavfi", "-i", "color=s=32x32:r=10:d=0.3", *inputs, "-map", 0, *tags, "-c:v", "ffv1", path)
    return path


@pytest.mark.parametrize(
    "wanted, place",
    [("fil", 1), ("fin", 2), ("fi", 2), ("id", 3), ("slk", 4), ("sl", 5), ("SLO", 4), ("fi-FI", 2),
     ("in", None), ("x", None)],
)  # fmt: skip
def test_a_language_is_that_of_its_code_not_of_one_that_begins_alike(tmp_path, wanted, place):
    clip = stereoreel.open(languages(tmp_path, "fil", "fin", "ind", "slo", "slv"))
    if place is None:
        with pytest.raises(ValueError, match=r"Set subtitle_source to one of 1 \(fil\), 2 \(fin\)"):
            burned(clip, wanted, 0, 100)
    else:
        assert track_of(burned(clip, wanted, 0, 100)).stream == place


@pytest.mark.parametrize("wanted", ["en", "eng", "EN", "en-GB"])
@pytest.mark.parametrize("ending", ["en", "eng"])
def test_a_file_of_the_language_is_found_by_any_of_its_codes(tmp_path, video, wanted, ending):
    path = srt(video.with_suffix(f".{ending}.srt"), (0, 0.1, "beside"))
    assert track_of(burned(stereoreel.open(video), wanted, 0, 100)).file == path


@pytest.mark.parametrize("wanted", ["../x", "/etc/passwd", "a\\b", "eng\0", "x" * 300, ".."])
def test_what_is_no_language_is_said_so(video, wanted):
    with pytest.raises(ValueError, match="neither a language, a number nor a file"):
        burned(stereoreel.open(video), wanted, 0, 100)


@pytest.mark.parametrize(
    "text", ["{" * 100_000, "{\\i1}a{\\i0}b" * 20_000, "a b " * 50_000, "a\\N" * 50_000, "x" * 200_000]
)
def test_a_huge_line_costs_a_moment_and_little_memory(text):
    script = Script()
    begun = time.process_time()
    event = parse_event(script, f"0,0,Default,,0,0,0,,{text}")
    assert len(event.text) <= MOST_LETTERS + len(event.rows)
    rows = typeset.Typesetter(script, Fonts(), WIDTH, HEIGHT).place(event).block._rows
    assert len(rows) <= typeset.MOST_ROWS
    assert time.process_time() - begun < 10


def test_text_after_a_brace_that_is_not_closed_is_shown():
    event = parse_event(Script(), "0,0,Default,,0,0,0,,a{\\i1}b{c}d{e")
    assert event.text == "abd{e" and event.rows[0][1].style.italic


def test_by_default_no_frame_shows_subtitles(tmp_path, video):
    out = tmp_path / "out.mkv"
    stereoreel.write(stereoreel.open(video), out, device="cpu")
    assert shown_in(out) == [] and tracks_of(out) == ["ger", "eng"]


def test_a_file_of_the_videos_name_comes_first_and_every_track_stays(tmp_path, video):
    srt(video.with_suffix(".srt"), (0, 0.1, "beside"))
    out = tmp_path / "out.mkv"
    stereoreel.write(stereoreel.open(video), out, device="cpu", subtitles="burn")
    assert shown_in(out) == [0] and tracks_of(out) == ["ger", "eng"]


def test_a_link_to_another_folder_is_not_taken(tmp_path, video):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    try:
        video.with_suffix(".srt").symlink_to(srt(elsewhere / "a.srt", (0, 0.1, "secret")))
    except OSError:
        pytest.skip("this user may make no links")
    out = tmp_path / "out.mkv"
    stereoreel.write(stereoreel.open(video), out, device="cpu", subtitles="burn")
    assert shown_in(out) == [4, 5, 6, 7]


def test_times_follow_a_window_and_another_rate(tmp_path, video):
    clip = stereoreel.interpolate(stereoreel.open(video, start=0.3), multiplier=2, model="builtin")
    out = tmp_path / "out.mkv"
    stereoreel.write(clip, out, device="cpu", subtitles="burn")
    assert shown_in(out) == list(range(2, 10))  # 0.4 to 0.8 s is 0.1 to 0.5 s here, at 20 frames a second


def test_times_follow_slow_motion(tmp_path, video):
    with pytest.warns(UserWarning, match="the audio is dropped"):
        clip = stereoreel.interpolate(stereoreel.open(video), multiplier=2, slow_motion=True, model="builtin")
    out = tmp_path / "out.mkv"
    stereoreel.write(clip, out, device="cpu", subtitles="burn")
    assert shown_in(out) == list(range(8, 16))


def test_a_silent_video_without_tracks_takes_the_times_of_a_file_next_to_it(tmp_path):
    path = tmp_path / "silent.mkv"
    run("-f", "lavfi", "-i", f"color=0x404040:s={WIDTH}x{HEIGHT}:r=10:d=1.2", "-c:v", "ffv1", path)
    srt(path.with_suffix(".srt"), (0.4, 0.8, "text"))
    clip = stereoreel.open(path, start=0.3)
    assert clip.info.audio is None
    out = tmp_path / "out.mkv"
    stereoreel.write(clip, out, device="cpu", subtitles="burn")
    assert shown_in(out) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "wanted, said",
    [("fra", "subtitles 'fra'. Set subtitle_source to one of 1 (ger), 2 (eng), or to auto"),
     ("3", "subtitles '3'"), ("none.srt", "There is no file none.srt")],
)  # fmt: skip
def test_an_unknown_track_costs_one_sentence(tmp_path, video, wanted, said):
    with pytest.raises((ValueError, FileNotFoundError), match=r"^[^\n]*$") as error:
        stereoreel.write(
            stereoreel.open(video),
            tmp_path / "out.mkv",
            device="cpu",
            subtitles="burn",
            subtitle_source=wanted,
        )
    assert said in str(error.value)
    assert not (tmp_path / "out.mkv").exists()


def test_a_clip_without_subtitles_costs_one_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"has no subtitles to burn.* set subtitles to keep\.$"):
        stereoreel.write(
            stereoreel.from_tensor(grey(2), 24), tmp_path / "a.mkv", subtitles="burn", device="cpu"
        )


HOSTILE = {
    "empty.srt": b"",
    "binary.srt": bytes(range(256)) * 20,
    "latin.srt": "1\n00:00:00,000 --> 00:00:01,000\nGrüße\n".encode("latin-1"),
    "cut.ass": HEAD.encode()[:300],
    "playlist.srt": b"#EXTM3U\nfile:///etc/passwd\n",
    "zero.vtt": b"WEBVTT\n\n" + b"\0" * 4000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_costs_at_most_one_sentence(tmp_path, name, caplog):
    path = tmp_path / name
    path.write_bytes(HOSTILE[name])
    with caplog.at_level(logging.WARNING):
        try:
            result = burn(stereoreel.from_tensor(grey(2), 24), path)
        except ValueError as error:
            assert "\n" not in str(error) and name in str(error)
        else:
            assert not changed(result, grey(2)) and name in caplog.text


def test_hostile_numbers_and_names_change_only_the_picture(tmp_path, monkeypatch):
    """Sizes, margins and colours out of all bounds, and fonts named by a path."""
    lines = ["Default,,0,0,0,,{\\fs99999999}big", "Default,,0,0,0,,{\\pos(1e9,-1e9)\\bord99999}far",
             "Default,,99999,99999,99999,,narrow and long", "Default,,0,0,0,,{\\fn/etc/passwd\\1c&HZZ&}path",
             "Default,,0,0,0,,{\\fn../secret.ttf}{\\an77\\q9\\p",
             "Default,,0,0,0,,a\x1eb\u2029c\rd",
             "*Nobody,,0,0,0,,{\\rNobody\\t(0,1,\\fs(}odd"]  # fmt: skip
    opened = []
    real = ImageFont.truetype
    monkeypatch.setattr(
        ImageFont, "truetype", lambda font, *more, **k: opened.append(font) or real(font, *more, **k)
    )
    burn(stereoreel.from_tensor(grey(2), 24), ass(tmp_path / "a.ass", *lines))
    assert opened and not [font for font in opened if "passwd" in str(font) or "secret" in str(font)]


def test_thousands_of_lines_at_once_stay_cheap(tmp_path):
    path = srt(tmp_path / "many.srt", *[(0, 5, f"line {number}") for number in range(1000)])
    assert changed(burn(stereoreel.from_tensor(grey(2), 24), path), grey(2)) == [0, 1]


def test_letters_that_no_font_has_cost_one_sentence(tmp_path):
    path = srt(tmp_path / "a.srt", (0, 1, "\U00012000\U00012001"))  # cuneiform
    try:
        result = burn(stereoreel.from_tensor(grey(2), 24), path)
    except ValueError as error:
        assert "No font on this machine has the letters" in str(error)
    else:
        assert changed(result, grey(2)) == [0, 1]  # a font that has them is installed


@pytest.mark.parametrize("shapes", [True, False])
def test_hebrew_reads_from_the_right(tmp_path, monkeypatch, shapes):
    if not shapes:
        monkeypatch.setattr(typeset, "_shapes", lambda: False)
    elif not typeset._shapes():
        pytest.skip("this Pillow shapes no text")
    drawn = []
    real = typeset.ImageDraw.ImageDraw.text
    monkeypatch.setattr(
        typeset.ImageDraw.ImageDraw,
        "text",
        lambda self, at, text, *a, **k: drawn.append((text, k)) or real(self, at, text, *a, **k),
    )
    try:
        burn(stereoreel.from_tensor(grey(1), 24), srt(tmp_path / "a.srt", (0, 1, "אבג 12")))
    except ValueError:
        pytest.skip("no font has Hebrew letters")
    text, how = drawn[0]
    assert (text, how.get("direction")) == ("אבג 12", "rtl") if shapes else text == "12 גבא"


def test_hdr_text_is_as_bright_as_paper(tmp_path):
    """White text of PQ video has 203 candelas per square metre, not 10000."""
    white = np.ones((1, 1, 4), np.float32)
    assert tinted(white, 16, torch.zeros(1, 3))[0, 0, 0].item() == pytest.approx(0.5807, abs=1e-3)
    assert tinted(white, 18, torch.zeros(1, 3))[0, 0, 0].item() == pytest.approx(0.75, abs=5e-3)


def test_opacity_grows_where_text_covers_a_transparent_frame(tmp_path):
    frames = torch.zeros(2, HEIGHT, WIDTH, 4)
    path = srt(tmp_path / "a.srt", (0, 1, "text"))
    result = burn(Clip(TensorSource(frames, Fraction(24), False, "clip", None, 0.5)), path)
    opaque = result[..., 3] > 0.99
    assert opaque.any() and result[..., :3][opaque].amax() > 0.9
    assert result[:, : HEIGHT // 2, :, 3].amax() == 0


CANVAS = (WIDTH, HEIGHT)


@pytest.fixture(params=["hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle"])
def pictures(request, tmp_path):
    """A video with a white rectangle at 100, 120, of 80 x 20, from 0.2 to 0.6 s, and others around it."""
    blocks = [
        Block(0, 0.2, 20, 20, 10, 10),
        Block(0.2, 0.6, 100, 120, 80, 20),
        Block(0.6, 0.8, 40, 40, 8, 8, 2),
    ]
    pgs = write_pgs(tmp_path / "a.sup", CANVAS, blocks)
    path = tmp_path / "film.mkv"
    short = {"hdmv_pgs_subtitle": "copy", "dvd_subtitle": "dvdsub", "dvb_subtitle": "dvbsub"}[request.param]
    picture = ["-f", "lavfi", "-i", f"color=0x404040:s={WIDTH}x{HEIGHT}:r=10:d=1"]
    inputs = [*picture, "-fix_sub_duration", "-i", pgs, "-map", 0, "-map", 1]
    run(*inputs, "-c:v", "ffv1", "-pix_fmt", "gbrp", "-c:s", short, path)
    return path


@pytest.mark.parametrize("times", [1, 2])
def test_pictures_keep_their_place_and_size_relative_to_the_frame(tmp_path, pictures, times):
    clip = stereoreel.open(pictures)
    if times == 2:
        clip = stereoreel.upscale(clip, model="builtin", factor=2)
    source = torch.cat([*stereoreel.frames(clip, device="cpu")])
    result = burn(clip, Path("auto"))
    assert changed(result, source)[:8] == [*range(8)]
    boxes = [((result[n] - source[n]).abs().amax(-1) > 0.2).nonzero()[0].tolist() for n in (1, 2, 5, 6)]
    assert boxes == [[20 * times, 20 * times], *[[120 * times, 100 * times]] * 2, [40 * times, 40 * times]]
    rows, columns = ((result[3] > 0.6).all(-1).any(axis).nonzero().flatten().tolist() for axis in (1, 0))
    assert (rows[0], rows[-1] + 1) == (120 * times, 140 * times)
    assert (columns[0], columns[-1] + 1) == (100 * times, 180 * times)
    assert result[3].amin() > 0 and result[3].amax() > 0.98
    red, green, blue = result[6, 42 * times, 42 * times].tolist()
    assert red > 0.95 and green < 0.05 and blue < 0.05


@pytest.mark.parametrize("canvas", [(1, 1), (2, 60), (4000, 2), (65535, 65535)])
def test_no_canvas_makes_a_picture_larger_than_the_frame(canvas):
    box = (10, 20, 40, 30)
    white = zlib.compress(np.full((30, 40, 4), 255, np.uint8).tobytes())
    cues = Cues(Script(), (Cue(Fraction(0), Fraction(1), Picture(canvas, box, white)),))
    drawing = Sheet(Lines(cues, 1), WIDTH, HEIGHT, Fraction(1)).draw(0)
    assert 1 <= drawing.pixels.shape[0] <= HEIGHT and 1 <= drawing.pixels.shape[1] <= WIDTH


def test_a_picture_below_the_frame_moves_into_it(tmp_path):
    """Blu-ray's canvas keeps the bars that a film was cropped of."""
    pgs = write_pgs(tmp_path / "a.sup", (320, 240), [Block(0, 1, 100, 215, 80, 20)])
    path = tmp_path / "film.mkv"
    picture = ["-f", "lavfi", "-i", f"color=0x404040:s={WIDTH}x{HEIGHT}:r=10:d=1"]
    run(*picture, "-i", pgs, "-map", 0, "-map", 1, "-c:v", "ffv1", "-pix_fmt", "gbrp", "-c:s", "copy", path)
    white = (burn(stereoreel.open(path), Path("auto"))[3] > 0.9).all(-1)
    rows, columns = (white.any(axis).nonzero().flatten().tolist() for axis in (1, 0))
    assert (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) == (160, 180, 100, 180)


GRAPH = {
    "1": {"class_type": "StereoReelExtract", "inputs": {"video": "film.mkv", "cuts": False}},
    "2": {
        "class_type": "StereoReelInterpolate",
        "inputs": {"clip": ["1", 0], "model": "builtin", "quality": "fast", "cuts": "4, 7"},
    },
    "3": {
        "class_type": "StereoReelStereo",
        "inputs": {"clip": ["2", 0], "depth": ["2", 0], "model": "builtin"},
    },
    "4": {
        "class_type": "StereoReelEncode",
        "inputs": {"clip": ["3", 0], "format": "ffv1", "subtitles": "burn", "subtitle_source": "eng"},
    },
}


@pytest.mark.parametrize("longest", [1500, 7])  # frames, above which a shot is divided
def test_a_film_in_units_has_the_frames_of_a_run(tmp_path, video, monkeypatch, longest):
    monkeypatch.setattr(partition, "LONGEST", longest)
    monkeypatch.setattr(partition, "LEAD", 2)
    whole, film = tmp_path / "whole.mkv", tmp_path / "film_3d.mkv"
    write(request(video, whole, GRAPH), Headless("cpu"), Hearing())
    make(video, film, json.loads(json.dumps(GRAPH)))
    frames = [[f.to_ndarray() for f in av.open(str(path)).decode(video=0)] for path in (whole, film)]
    assert len(frames[0]) == 24
    assert all(np.array_equal(one, other) for one, other in zip(*frames))
    assert tracks_of(film) == tracks_of(whole) == ["ger"]


def test_text_has_its_shape_on_pixels_that_are_not_square(tmp_path):
    path = ass(tmp_path / "a.ass", "Default,,0,0,0,,{\\an5\\bord0}Shape")
    wide = burn(stereoreel.from_tensor(grey(1), 24), path)
    clip = Clip(TensorSource(grey(1, WIDTH // 2), Fraction(24), False, "clip"))
    info = clip.info.replace(pixel_aspect=Fraction(2))
    squeezed = Sheet(Lines(read_file(path), 1.0), info.width, info.height, info.pixel_aspect).draw(0)
    ink = (wide[0] - 0.25).amax(-1).clamp(min=0) / 0.75
    assert squeezed.pixels[..., 3].sum() * 2 == pytest.approx(float(ink.sum()), rel=0.02)
    assert squeezed.x + squeezed.pixels.shape[1] / 2 == pytest.approx(WIDTH / 4, abs=1)


def test_fonts_that_a_video_brings_along_are_used(tmp_path):
    font, path = tmp_path / "own.ttf", tmp_path / "film.mkv"
    font.write_bytes(ImageFont.load_default(20).font_bytes)
    picture = ["-f", "lavfi", "-i", f"color=0x404040:s={WIDTH}x{HEIGHT}:r=10:d=1"]
    attached = ["-attach", font, "-metadata:s:t", "mimetype=font/ttf"]
    run(*picture, "-i", ass(tmp_path / "a.ass", *EVENTS["rows"][1:]), "-map", 0, "-map", 1, *attached, path)
    fonts = read_stream(path, 1, Fraction(0), ()).fonts
    assert fonts == (font.read_bytes(),)
    assert Fonts(fonts).find(FONT, False, False).family == FONT.lower()


def test_a_corrupt_font_costs_at_most_a_line():
    font = bytearray(ImageFont.load_default(20).font_bytes)
    random = np.random.default_rng(0)
    event = parse_event(Script(styles={"Default": Style(FONT)}), "0,0,Default,,0,0,0,,The quick brown fox")
    cue = Cue(Fraction(0), Fraction(1), event)
    for _ in range(60):
        broken = np.frombuffer(font, np.uint8).copy()
        broken[random.integers(0, len(broken), 200)] = random.integers(0, 256, 200)
        lines = Lines(Cues(Script(), (cue,), (broken.tobytes(),)), 1.0)
        drawing = Sheet(lines, WIDTH, HEIGHT, Fraction(1)).draw(0)
        assert drawing is None or np.isfinite(drawing.pixels).all()


def test_subtitles_are_not_burned_twice(tmp_path):
    clip = burned(stereoreel.from_tensor(grey(2), 24), str(srt(tmp_path / "a.srt", (0, 1, "a"))), 0, 100)
    assert burned(clip, "auto", 0, 100) is clip
    assert isinstance(clip.maker.recipe, Burn)
