"""Reading files: exact frames, times, colours, rotation and audio, and corrupt files."""

import threading
import warnings
from contextlib import closing
from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from stereoreel.core.clip import Soundtrack
from stereoreel.media import colour
from stereoreel.media.read.audio import read_audio
from stereoreel.media.read.decode import FileSource
from stereoreel.media.read.probe import probe
from tests.support.media_files import index_of, lose, moving, ramp, spoil, tone, truncate, turn, write_video

NTSC = Fraction(24000, 1001)
PATCHES = np.array(
    [[r, g, b] for r in (16, 128, 235) for g in (16, 128, 235) for b in (16, 128, 235)], np.uint8
)


def frames_of(path, host, chunk=7, **options):
    source = FileSource(path, cuts=False, **options)
    return torch.cat(list(source.chunks(host, chunk))), source.info


def patches(height=96):
    """Return one frame of 27 flat patches, each 32 pixels wide."""
    return np.repeat(np.broadcast_to(PATCHES[None], (height, 27, 3)), 32, axis=1)[None]


def patch_error(images) -> float:
    width = images.shape[2] // 27
    middles = images[0, images.shape[1] // 2, width // 2 :: width]
    return float((middles * 255 - torch.from_numpy(PATCHES).float()).abs().max())


@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("tags", [(6, 6, 6), (1, 1, 1), (9, 14, 9)], ids=["601", "709", "2020"])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
def test_colours_follow_the_tags(tmp_path, host, tags, full, pix_fmt):
    path = write_video(
        tmp_path / "a.mkv", patches(), codec="ffv1", pix_fmt=pix_fmt, matrix=tags[2], color=tags, full=full
    )
    images, info = frames_of(path, host)
    assert patch_error(images) <= 2
    assert (info.color.primaries, info.color.transfer, info.color.matrix) == tags


@pytest.mark.parametrize(
    ("height", "matrix", "expected"),
    [(720, 1, colour.BT709), (480, 6, colour.BT601_525), (576, 6, colour.BT601_625)],
)
def test_untagged_files_are_bt709_from_720_pixels_on(tmp_path, host, height, matrix, expected):
    path = write_video(
        tmp_path / "a.mkv", patches(height), codec="ffv1", matrix=matrix, options={"slices": "4"}
    )
    images, info = frames_of(path, host, max_side=0)
    if height != 720:  # 27 patches are 864 columns wide: SD in lines and columns
        assert info.width < 1280
    assert info.color == expected
    assert patch_error(images) <= 2


def test_h264_tags_of_mp4_are_read(tmp_path, host):
    path = write_video(
        tmp_path / "a.mp4",
        patches(),
        options={"qp": "1"},
        pix_fmt="yuv444p",
        matrix=9,
        color=(9, 16, 9),
        full=True,
    )
    images, info = frames_of(path, host)
    assert (info.color.primaries, info.color.transfer, info.color.matrix) == (9, 16, 9)
    assert patch_error(images) <= 3  # the codec itself loses a little


def test_ten_bits_keep_more_than_eight_levels(tmp_path, host):
    levels = np.full((1, 16, 256, 3), 0, np.uint8) + np.arange(256, dtype=np.uint8)[None, None, :, None]
    path = write_video(
        tmp_path / "a.mkv", levels, codec="ffv1", pix_fmt="yuv444p10le", color=(1, 1, 1), full=True
    )
    images, _ = frames_of(path, host)
    step = images[0, 0, 1:, 0] - images[0, 0, :-1, 0]
    # 255 steps of 1023/255 codes: eight bits would round them all alike
    assert float((step * 1023).std()) > 0.01
    assert float((images[0, 0, :, 0] - torch.arange(256) / 255).abs().max()) < 1 / 1000


def test_alpha_is_composed_over_black(tmp_path, host):
    rgba = np.concatenate([patches(), np.full((1, 96, 864, 1), 90, np.uint8)], -1)
    path = write_video(tmp_path / "a.mov", rgba, codec="png", pix_fmt="rgba")
    images, info = frames_of(path, host)
    assert (images.shape[-1], info.channels) == (3, 3)
    assert patch_error(images * (255 / 90)) <= 1.5


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_applied(tmp_path, host, degrees):
    picture = np.full((3, 48, 64, 3), 60, np.uint8)
    picture[:, :24, :32] = (230, 40, 40)  # red where the file's frames begin
    path = write_video(tmp_path / "a.mp4", picture, pix_fmt="yuv444p", options={"qp": "4"})
    upright, _ = frames_of(path, host)
    turn(path, degrees)
    images, info = frames_of(path, host)
    assert (info.width, info.height) == ((48, 64) if degrees != 180 else (64, 48))
    assert torch.equal(images, torch.rot90(upright, -degrees // 90, (1, 2)))


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov", "avi", "ts"])
@pytest.mark.parametrize("fps", [Fraction(25), NTSC, Fraction(30000, 1001), Fraction(60)])
def test_rates_are_exact_and_constant(tmp_path, suffix, fps):
    path = write_video(
        tmp_path / f"a.{suffix}",
        ramp(61),
        fps,
        codec="libx264" if suffix != "avi" else "mjpeg",
        pix_fmt="yuv420p" if suffix != "avi" else "yuvj420p",
    )
    facts = probe(path)
    assert (facts.fps, facts.frames, facts.times) == (fps, 61, None)


@pytest.mark.parametrize("count", [2, 3, 12])
def test_short_matroska_files_keep_the_exact_rate(tmp_path, count):
    assert probe(write_video(tmp_path / "a.mkv", ramp(count), NTSC)).fps == NTSC


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_variable_rate_keeps_its_times(tmp_path, host, suffix):
    times = [Fraction(n, 1000) for n in (0, 40, 80, 160, 200, 330, 370, 410, 500, 540)]
    path = write_video(
        tmp_path / f"a.{suffix}", ramp(10), times=times, full=True, options={"bf": "0", "qp": "1"}
    )
    images, info = frames_of(path, host)
    assert info.times == tuple(times)
    assert info.fps == 25  # as six of nine frames follow each other
    assert [index_of(image) for image in images] == list(range(10))


def test_mean_of_a_variable_rate_snaps_to_a_standard_rate(tmp_path):
    jitter = [0 if i in (0, 60) else (-1) ** i * Fraction(7, 1000) for i in range(61)]
    times = [Fraction(i, 30) + late for i, late in enumerate(jitter)]
    info = FileSource(write_video(tmp_path / "a.mp4", ramp(61), times=times), cuts=False).info
    assert info.fps == 30
    assert abs(info.times[1] - times[1]) < Fraction(1, 90000)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi"])
@pytest.mark.parametrize(
    ("start", "duration"), [(0, 0), (0.4, 0), (1.0, 0.52), (0.04, 0.04), (1.96, 1), (1.333, 0.2)]
)
def test_window_is_a_slice_of_the_file(tmp_path, host, suffix, start, duration):
    path = write_video(tmp_path / f"a.{suffix}", moving(60), 25, options={"g": "12", "bf": "3"})
    whole, _ = frames_of(path, host, 60)
    images, info = frames_of(path, host, 5, start=start, duration=duration)
    first = int(np.ceil(round(start * 25, 1) - 1e-6))
    stop = min(60, int(np.ceil(round((start + duration) * 25, 1) - 1e-6))) if duration else 60
    assert info.frames == len(images) == stop - first
    assert torch.equal(images, whole[first:stop])


@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_frames_do_not_depend_on_chunks(tmp_path, host, chunk):
    path = write_video(tmp_path / "a.mp4", moving(13), 25)
    sizes = [len(block) for block in FileSource(path, cuts=False).chunks(host, chunk)]
    assert max(sizes) <= chunk
    assert torch.equal(frames_of(path, host, chunk)[0], frames_of(path, host, 13)[0])


@pytest.mark.parametrize(
    ("size", "limit", "expected"),
    [((200, 100), 50, (50, 24)), ((100, 200), 64, (32, 64)), ((64, 48), 64, (64, 48))],
)
def test_max_side_shrinks_to_even_sizes(tmp_path, host, size, limit, expected):
    path = write_video(tmp_path / "a.mp4", ramp(3, *size))
    images, info = frames_of(path, host, max_side=limit)
    assert (info.width, info.height) == expected == (images.shape[2], images.shape[1])
    assert [index_of(image) for image in images] == [0, 1, 2]


def test_shrinking_does_not_alias(tmp_path, host):
    stripes = np.zeros((1, 64, 256, 3), np.uint8)
    stripes[:, :, ::2] = 255
    path = write_video(
        tmp_path / "a.mkv", stripes, codec="ffv1", pix_fmt="yuv444p", color=(1, 1, 1), full=True
    )
    images, _ = frames_of(path, host, max_side=64)
    assert float((images[:, :, 2:-2] - 0.5).abs().max()) < 0.05


@pytest.mark.parametrize(("width", "height"), [(1, 1), (33, 17), (16384, 16)])
def test_odd_tiny_and_wide_sizes(tmp_path, host, width, height):
    path = write_video(tmp_path / "a.mkv", ramp(3, width, height), codec="ffv1", pix_fmt="yuv420p")
    images, info = frames_of(path, host)
    assert images.shape == (3, height, width, 3) and (info.width, info.height) == (width, height)
    assert [index_of(image) for image in images] == [0, 1, 2]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mpg"])
@pytest.mark.parametrize(
    ("size", "sar", "width"),
    [
        ((720, 480), (8, 9), 640),
        ((720, 480), (10, 11), 654),
        ((720, 480), (32, 27), 854),
        ((720, 576), (16, 15), 768),
        ((720, 576), (12, 11), 786),
        ((720, 576), (64, 45), 1024),
        ((960, 540), (2, 1), 1920),
        ((640, 360), (1281, 1280), 640),
    ],
)
def test_circles_are_round(tmp_path, host, size, sar, width, suffix):
    if suffix == "mpg" and sar not in ((8, 9), (32, 27), (16, 15), (64, 45)):
        pytest.skip("MPEG-2 knows 4:3 and 16:9 frames")
    y, x = np.mgrid[: size[1], : size[0]] - np.array(size[::-1])[:, None, None] / 2 + 0.5
    radius = 0.4 * size[1]
    disc = np.where(np.hypot(x * sar[0] / sar[1], y) < radius, 235, 16).astype(np.uint8)
    path = write_video(
        tmp_path / f"a.{suffix}",
        np.broadcast_to(disc[None, ..., None], (2, *disc.shape, 3)),
        codec="mpeg2video" if suffix == "mpg" else "libx264",
        sar=Fraction(*sar),
    )
    images, info = frames_of(path, host)
    seen = images[0, ..., 1] > 0.5
    across, down = int(seen.any(0).sum()), int(seen.any(1).sum())
    assert info.height == size[1] == images.shape[1]
    assert info.width == images.shape[2] == width
    assert across / down == pytest.approx(1, abs=0.01)


def test_anamorphic_frames_are_widened(tmp_path, host):
    path = write_video(tmp_path / "a.mp4", ramp(2, 144, 96), sar=Fraction(4, 3))
    images, info = frames_of(path, host)
    assert (info.width, info.height) == (192, 96) == (images.shape[2], images.shape[1])


def test_interlaced_frames_are_deinterlaced_one_for_one(tmp_path, host):
    smooth = moving(24, 128, 96)
    woven = smooth[::2].copy()
    woven[:, 1::2] = smooth[1::2, 1::2]  # the lower field is later
    path = write_video(
        tmp_path / "a.mp4", woven, options={"flags": "+ildct+ilme", "x264-params": "tff=1", "qp": "1"}
    )
    assert probe(path).interlaced
    images, info = frames_of(path, host)
    assert info.frames == len(images) == 12
    combing = (images[:, 2:-2:2] - (images[:, 1:-3:2] + images[:, 3:-1:2]) / 2).abs().mean()
    wove = torch.from_numpy(woven / 255)
    assert combing < 0.5 * (wove[:, 2:-2:2] - (wove[:, 1:-3:2] + wove[:, 3:-1:2]) / 2).abs().mean()
    later, _ = frames_of(path, host, start=0.2)
    assert torch.equal(later, images[5:])


def test_truncated_file_gives_its_frames_and_one_warning(tmp_path, host):
    for suffix, options in (("mp4", {"movflags": "faststart"}), ("mkv", {}), ("ts", {})):
        path = write_video(
            tmp_path / f"a.{suffix}",
            moving(60, 128, 96),
            25,
            options={"g": "12", "bf": "2"},
            container_options=options,
        )
        whole, _ = frames_of(path, host, 60)
        truncate(path, 0.6)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            images, info = frames_of(path, host)
        assert 15 < len(images) < 60 and len(images) <= info.frames and info.fps == 25
        assert torch.equal(images[:-2], whole[: len(images) - 2])
        assert len(caught) == 1 and "ends early" in str(caught[0].message)


def test_corrupt_frames_are_repeated_and_the_count_is_kept(tmp_path, host):
    path = write_video(tmp_path / "a.mp4", moving(60, 128, 96), 25, options={"g": "10", "bf": "2"})
    whole, _ = frames_of(path, host, 60)
    spoil(path, 0.4, 4000)
    with pytest.warns(UserWarning, match="corrupt"):
        images, info = frames_of(path, host)
    assert len(images) == info.frames == 60
    same = (images == whole).flatten(1).all(1)
    assert 30 <= int(same.sum()) < 60 and bool(same[0]) and bool(same[-1])


@pytest.mark.parametrize(
    ("lost", "shown"), [((5,), [0, 1, 2, 3, 4, 4, 6, 7, 8, 9]), ((2, 3, 9), [0, 1, 1, 1, 4, 5, 6, 7, 8, 8])]
)
def test_corrupt_frame_shows_the_previous_one(tmp_path, host, lost, shown):
    path = write_video(tmp_path / "a.mov", ramp(10), codec="png", pix_fmt="rgb24")
    lose(path, lost)
    with pytest.warns(UserWarning, match=f"corrupt: {len(lost)} of 10"):
        images, info = frames_of(path, host)
    assert info.frames == 10 and [index_of(image) for image in images] == shown
    with pytest.warns(UserWarning):
        assert torch.equal(frames_of(path, host, start=0.2)[0], images[5:])


def test_closing_early_leaves_no_thread(tmp_path, host):
    path = write_video(tmp_path / "a.mp4", moving(60), 25)
    before = threading.active_count()
    with closing(FileSource(path, cuts=False).chunks(host, 2)) as chunks:
        next(chunks)
    assert threading.active_count() == before


def test_deleted_file_is_an_error_when_pulled(tmp_path, host):
    path = write_video(tmp_path / "a.mp4", ramp(5))
    source = FileSource(path, cuts=False)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="no file"):
        list(source.chunks(host, 2))


def test_rewritten_file_is_probed_again(tmp_path):
    path = tmp_path / "a.mp4"
    assert probe(write_video(path, ramp(5))).frames == 5
    assert probe(write_video(path, ramp(9))).frames == 9


def test_one_frame(tmp_path, host):
    images, info = frames_of(write_video(tmp_path / "a.mp4", ramp(1), 25), host)
    assert info.frames == len(images) == 1 and info.cuts == ()


def test_gif(tmp_path, host):
    path = write_video(tmp_path / "a.gif", ramp(6), 10, codec="gif", pix_fmt="gray")
    images, info = frames_of(path, host)
    assert (info.frames, info.fps) == (6, 10)
    assert [index_of(image) for image in images] == list(range(6))


def test_first_frame_is_the_origin_of_time(tmp_path, host):
    path = write_video(
        tmp_path / "a.mkv",
        ramp(20),
        25,
        start=Fraction(1, 2),
        audio=[(tone(2), 48000, "pcm_s16le", "stereo")],
    )
    images, info = frames_of(path, host)
    assert probe(path).start_time == Fraction(1, 2) and len(images) == 20
    waveform, rate = read_audio(info.audio)
    expected = torch.from_numpy(tone(2)[:, 24000:])
    assert rate == 48000 and torch.allclose(waveform[0], expected, atol=1e-4)


@pytest.mark.parametrize("suffix", ["mov", "mkv"])
def test_audio_windows_are_exact_to_the_sample(tmp_path, suffix):
    whole = tone(3, channels=6)
    path = write_video(tmp_path / f"a.{suffix}", ramp(75), 25, audio=[(whole, 48000, "pcm_s16le", "5.1")])
    info = FileSource(path, start=1.2, duration=0.48, cuts=False).info
    assert info.audio == Soundtrack(path, Fraction(6, 5), Fraction(12, 25))
    waveform, rate = read_audio(info.audio)
    assert (rate, tuple(waveform.shape)) == (48000, (1, 6, 23040))
    assert torch.allclose(waveform[0], torch.from_numpy(whole[:, 57600 : 57600 + 23040]), atol=1e-4)


def test_late_audio_begins_with_silence(tmp_path):
    path = write_video(tmp_path / "a.mov", ramp(50), 25, audio=[(tone(1), 48000, "pcm_s16le", "stereo", 0.5)])
    waveform, _ = read_audio(FileSource(path, cuts=False).info.audio)
    assert not waveform[..., :24000].any() and waveform.shape[-1] == 72000
    assert torch.allclose(waveform[0, :, 24000:], torch.from_numpy(tone(1)), atol=1e-4)


def test_aac_windows_equal_slices_of_the_file(tmp_path):
    path = write_video(tmp_path / "a.mp4", ramp(75), 25, audio=[(tone(3), 44100, "aac", "stereo")])
    whole, _ = read_audio(Soundtrack(path))
    part, _ = read_audio(Soundtrack(path, Fraction(2), Fraction(1, 2)))
    assert part.shape[-1] == 22050 and torch.allclose(part, whole[..., 88200:110250], atol=1e-5)


def test_missing_audio_is_none(tmp_path):
    path = write_video(tmp_path / "a.mp4", ramp(5))
    assert FileSource(path, cuts=False).info.audio is None and read_audio(Soundtrack(path)) is None


def test_cuts_are_found_and_counted_from_the_window(tmp_path):
    scenes = [
        moving(20, 160, 96),
        255 - moving(20, 160, 96)[:, ::-1] // 2,
        np.roll(moving(20, 160, 96), 40, 1)[..., ::-1] // 3,
    ]
    path = write_video(tmp_path / "a.mp4", np.concatenate(scenes), 25)
    ticks = []
    source = FileSource(path, tick=lambda done, total: ticks.append((done, total)))
    assert source.info.cuts == (20, 40) and (0, 60) in ticks
    assert FileSource(path, start=0.4, duration=1).info.cuts == (10,)
    assert FileSource(path, cuts=False).info.cuts == ()


def test_real_clips(real_clip, host):
    bunny = FileSource(real_clip("bigbuckbunny.mp4"), cuts=False, max_side=64)
    assert (bunny.facts.width, bunny.facts.height, bunny.info.fps, bunny.info.frames) == (1280, 720, 25, 132)
    assert sum(len(chunk) for chunk in bunny.chunks(host, 32)) == 132
    waveform, rate = read_audio(bunny.info.audio)
    assert (rate, waveform.shape[1]) == (48000, 6)
    phone = FileSource(real_clip("carphone_pristine.mp4"), cuts=False).info
    assert (phone.width, phone.height, phone.fps, phone.frames, phone.audio) == (
        192,
        144,
        Fraction(30000, 1001),
        120,
        None,
    )


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "folder.mp4").mkdir()
    for name, error, words in [
        ("missing.mp4", FileNotFoundError, "no file"),
        ("folder.mp4", IsADirectoryError, "is a folder"),
        ("text.mp4", ValueError, "not a readable video"),
        ("empty.mp4", ValueError, "not a readable video"),
    ]:
        with pytest.raises(error, match=words):
            FileSource(tmp_path / name)


def test_audio_only_and_empty_windows_are_refused(tmp_path):
    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(ValueError, match="only audio"):
        FileSource(tmp_path / "a.wav")
    with pytest.raises(ValueError, match="Set an earlier start"):
        FileSource(write_video(tmp_path / "a.mp4", ramp(5)), start=3)


@pytest.mark.parametrize(
    "name", ["list.m3u8", "list.mp4", "list.ffconcat", "list.txt", "manifest.mpd", "session.sdp"]
)
def test_files_that_name_other_files_are_refused(tmp_path, name):
    secret = write_video(tmp_path / "secret.ts", ramp(5))
    text = {
        "mpd": f'<?xml version="1.0"?><MPD type="static"><Period><AdaptationSet '
        f'mimeType="video/mp4"><Representation id="1" bandwidth="1">'
        f"<BaseURL>{secret}</BaseURL></Representation></AdaptationSet></Period></MPD>",
        "sdp": "v=0\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
        "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n",
    }.get(name.split(".")[-1] if name != "list.mp4" else "m3u8", f"ffconcat version 1.0\nfile '{secret}'\n")
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match="not a readable video"):
        FileSource(tmp_path / name)
