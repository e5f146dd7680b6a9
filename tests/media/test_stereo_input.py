"""Films that are 3D already: what a file says, its views as FFmpeg takes them apart, and repacking."""

import logging

import av
import numpy as np
import pytest
import torch

import stereoreel
from stereoreel.core.clip import Clip, apply
from stereoreel.core.excerpt import select_frames
from stereoreel.core.options import resolve
from stereoreel.core.partition import excerpt, units
from stereoreel.core.transforms import Recut
from stereoreel.image.resize import resize
from stereoreel.media.layouts.layout import LAYOUTS
from stereoreel.media.open import OPTIONS, from_clip
from stereoreel.media.read.decode import FileSource
from stereoreel.media.read.stereo import read_name
from tests.media.stereo_films import (
    FFV1,
    FRAMES,
    HEIGHT,
    KINDS,
    RATE,
    UNREADABLE,
    WIDTH,
    X264,
    eyes,
    ffmpeg,
    made,
    shown,
    with_hevc_message,
    with_mpeg2_message,
)

MATROSKA = [pytest.param(kind, id=kind.mode) for kind in KINDS]
H264 = [pytest.param(kind, id=kind.mode) for kind in KINDS if kind.number is not None]


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """Return both views ``[2, N, H, W, 3]`` uint8."""
    path = made(tmp_path_factory.mktemp("truth") / "sbs.mkv", "sbsl", *FFV1)
    return np.stack([shown(path, f"crop={WIDTH}:{HEIGHT}:{x}:0", WIDTH, HEIGHT) for x in (0, WIDTH)])


def opened(path, **options):
    return stereoreel.open(path, cuts=False, **options)


def pixels(clip) -> np.ndarray:
    """Return a clip's frames as uint8."""
    return (torch.cat(list(stereoreel.frames(clip)), -4) * 255).round().byte().numpy()


def own_pixels(kind, views: np.ndarray) -> np.ndarray:
    """Return the pixels of ``views`` that the film itself holds; ``kind`` says which these are."""
    first, second = (1, 0) if kind.right_first else (0, 1)
    held = np.empty_like(views)
    if kind.name == "interlaced_rows":
        held = np.empty((2, FRAMES, HEIGHT, WIDTH, 3), np.uint8)
        held[first], held[second] = views[first][:, ::2], views[second][:, 1::2]
    elif kind.name == "interlaced_columns":
        held = np.empty((2, FRAMES, HEIGHT, WIDTH, 3), np.uint8)
        held[first], held[second] = views[first][:, :, ::2], views[second][:, :, 1::2]
    elif kind.name == "checkerboard":
        held = np.empty((2, FRAMES, HEIGHT, WIDTH, 3), np.uint8)
        for row in range(HEIGHT):
            held[first, :, row] = views[first][:, row, row % 2 :: 2]
            held[second, :, row] = views[second][:, row, 1 - row % 2 :: 2]
    else:
        held = views
    return held


@pytest.mark.parametrize("kind", MATROSKA)
def test_matroska_stereo_mode_gives_the_views_of_ffmpeg(tmp_path, truth, kind):
    path = made(tmp_path / "film.mkv", kind.filter, *FFV1, "-metadata:s:v", f"stereo_mode={kind.mode}")
    clip = opened(path)
    assert (clip.info.views, clip.info.frames, clip.info.duration * RATE) == (2, FRAMES, FRAMES)
    held = own_pixels(kind, pixels(clip))
    assert np.array_equal(held, truth)
    assert kind.filter in UNREADABLE or np.array_equal(held, eyes(path, kind.filter))


@pytest.mark.parametrize("kind", H264)
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "h264"])
def test_h264_frame_packing_gives_the_views_of_ffmpeg(tmp_path, truth, kind, suffix):
    path = made(
        tmp_path / f"film.{suffix}", kind.filter, *X264, "-x264-params", f"frame-packing={kind.number}"
    )
    assert np.array_equal(own_pixels(kind, pixels(opened(path))), truth)


def test_messages_of_other_codecs(tmp_path, truth):
    lossless = ("-c:v", "libx265", "-x265-params", "lossless=1:log-level=none", "-pix_fmt", "gbrp")
    hevc = with_hevc_message(made(tmp_path / "film.hevc", "sbsr", *lossless), 3, 2)
    assert np.array_equal(pixels(opened(hevc)), truth)
    mpeg2 = made(tmp_path / "film.m2v", "abl", "-c:v", "mpeg2video", "-q:v", "2")
    assert opened(mpeg2).info.views == 1
    views = pixels(opened(with_mpeg2_message(mpeg2, 4))).astype(int)
    assert 3 * abs(views - truth).mean() < abs(views - truth[::-1]).mean()


@pytest.mark.parametrize("number, filters", [(3, f"scale={WIDTH}:{HEIGHT}"), (4, f"scale={WIDTH}:{HEIGHT}")])
@pytest.mark.parametrize("pixel", ["1", "2"])
def test_squeezed_views_get_their_own_shape(tmp_path, number, filters, pixel):
    wide = number == 3
    shape = pixel if wide else f"1/{pixel}"
    path = made(
        tmp_path / "film.mp4", "sbsl" if wide else "abl", *X264, "-x264-params", f"frame-packing={number}",
        filters=f"{filters},setsar={shape}",
    )  # fmt: skip
    size = (WIDTH // 2, HEIGHT) if wide else (WIDTH, HEIGHT // 2)
    corner = f"{WIDTH // 2}:0" if wide else f"0:{HEIGHT // 2}"
    crops = [shown(path, f"crop={size[0]}:{size[1]}:{place}", *size) for place in ("0:0", corner)]
    clip = opened(path)
    assert (clip.info.width, clip.info.height) == (WIDTH, HEIGHT)
    due = torch.stack([resize(torch.from_numpy(crop.copy()) / 255, HEIGHT, WIDTH) for crop in crops])
    assert np.array_equal(pixels(clip), (due * 255).round().byte().numpy())


@pytest.mark.parametrize("mode, kind", [("left_right", "sbsl"), ("top_bottom", "abl")])
def test_boxes_of_mp4_give_the_views(tmp_path, truth, mode, kind):
    source = made(tmp_path / "film.mkv", kind, *X264, "-metadata:s:v", f"stereo_mode={mode}")
    path = tmp_path / "film.mp4"
    ffmpeg("-i", source, "-c", "copy", "-strict", "unofficial", path)  # writes st3d and vexu
    assert np.array_equal(pixels(opened(path)), truth)


def test_two_views_at_an_unknown_place(tmp_path, truth, caplog):
    source = made(tmp_path / "film.mkv", "sbsl", *X264, "-metadata:s:v", "stereo_mode=left_right")
    path, named = tmp_path / "film.mov", tmp_path / "film_SBS.mov"
    ffmpeg("-i", source, "-c", "copy", "-strict", "unofficial", path)  # vexu, without a packing
    assert opened(path).info.views == 1
    assert "film.mov says that it is stereoscopic, but not how" in caplog.text
    path.rename(named)
    assert np.array_equal(pixels(opened(named)), truth)


def test_wmv_of_3d_vision(tmp_path):
    layout = "StereoscopicLayout=SideBySideRF"
    path = made(tmp_path / "film.wmv", "sbsr", "-c:v", "wmv2", "-q:v", "2", "-metadata", layout)
    views = pixels(opened(path)).astype(int)
    errors = abs(views - eyes(path, "sbsr")).mean(), abs(views - eyes(path, "sbsl")).mean()
    assert 10 * errors[0] < errors[1]


def test_a_tag_of_one_view_overrides_the_name(tmp_path):
    path = made(tmp_path / "film_SBS.mkv", "sbsl", *FFV1, "-metadata:s:v", "stereo_mode=mono")
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    assert ("STEREO3D" in frame.side_data) == (opened(path).info.views == 1)


# File names


@pytest.mark.parametrize(
    "name, shape, due",
    [
        ("film_SBS.mp4", 3.56, "side by side"),
        ("film_sbs.mp4", 1.78, "half side by side"),
        ("film_LR.mp4", 1.78, "half side by side"),
        ("film_LRF.mp4", 1.78, "side by side"),
        ("film_LRF_Full_SBS.mp4", 3.56, "side by side"),
        ("Film.2012.3D.HSBS.1080p.mkv", 3.56, "half side by side"),
        ("Film.3D.Half-SBS.x264-GROUP.mkv", 3.56, "half side by side"),
        ("film.H-SBS.Full.HD.mkv", 3.56, "half side by side"),
        ("film side-by-side.mp4", 3.56, "side by side"),
        ("film_LR (1).mp4", 1.78, "half side by side"),
        ("film_TB.mp4", 0.89, "top-bottom"),
        ("film_OU.mp4", 1.78, "half top-bottom"),
        ("film_HOU.mkv", 0.89, "half top-bottom"),
        ("film.3D.Half.OU.DTS-GROUP.mkv", 0.89, "half top-bottom"),
        ("film_TBF_fulltb.mp4", 1.78, "top-bottom"),
        ("film_RL.mp4", 3.56, "side by side, right eye first"),
        ("film_RLF_cross.mp4", 1.78, "side by side, right eye first"),
        ("film_BT.mp4", 0.89, "top-bottom, right eye first"),
        ("film_180.mp4", 2.0, "side by side, VR180"),
        ("film_180x180_LR.mp4", 2.0, "side by side, VR180"),
        ("film_180_sbs.mp4", 2.0, "side by side, VR180"),
        ("film_3DHF.mp4", 1.78, "side by side"),
        ("film_redcyan_dubois.mp4", 1.78, "red-cyan anaglyph"),
        ("film_180.mp4", 1.78, None),
        ("film_L.mp4", 1.78, None),
        ("film_00001_LRF_Full_SBS_depth.mp4", 1.78, None),
        ("sbs news.mp4", 1.78, None),
        ("tab.mp4", 1.78, None),
        ("photo_LR_edit.mp4", 1.78, None),
        ("ou est il.mp4", 1.78, None),
        ("film.mp4", 3.56, None),
    ],
)
def test_names_as_players_read_them(name, shape, due):
    found = read_name(name, shape)
    fitted = found and str(found.fitted(round(1000 * shape), 1000, 1))
    assert fitted == (due and f"{due}, by its file name")


def test_a_name_decides_if_no_tag_does_and_the_widget_overrides_it(tmp_path, truth, caplog):
    path = made(tmp_path / "film_RL.mkv", "sbsr", *FFV1)
    assert np.array_equal(pixels(opened(path)), truth)
    assert "film_RL.mkv holds two views: side by side, right eye first, by its file name." in caplog.text
    assert opened(path, packing="mono").info.views == 1
    assert np.array_equal(pixels(opened(path, packing="full_sbs")), truth[::-1])
    assert np.array_equal(pixels(opened(path, packing="full_sbs", swap_eyes=True)), truth)
    tagged = made(tmp_path / "film_TB.mkv", "sbsl", *FFV1, "-metadata:s:v", "stereo_mode=left_right")
    assert np.array_equal(pixels(opened(tagged)), truth)


def test_a_chosen_view_is_a_clip_of_one(tmp_path, truth):
    path = made(tmp_path / "film_SBS.mkv", "sbsl", *FFV1)
    for place, eye in enumerate(("left", "right")):
        clip = opened(path, view=eye)
        assert clip.info.views == 1 and np.array_equal(pixels(clip), truth[place])
        assert stereoreel.stereo(clip, stereoreel.depth(clip)).info.views == 2
    pair = opened(path)
    with pytest.raises(ValueError, match="Connect it straight to Encode Video, or set view to left"):
        stereoreel.stereo(pair, stereoreel.depth(opened(path, view="left")))


@pytest.mark.parametrize("mode, left, right", [("anaglyph_cyan_red", 0, 1), ("anaglyph_green_magenta", 1, 0)])
def test_anaglyphs_give_grey_views(tmp_path, truth, caplog, mode, left, right):
    grey = "arcg" if left == 0 else "agmg"
    path = made(tmp_path / "film.mkv", grey, *FFV1, "-metadata:s:v", f"stereo_mode={mode}")
    views = pixels(opened(path)).astype(int)
    assert "Their colours cannot be recovered" in caplog.text
    for view, eye in zip(views, truth):
        assert np.ptp(view, axis=-1).max() == 0
        assert abs(view[..., 0] - eye @ [0.299, 0.587, 0.114]).max() < 2


@pytest.mark.parametrize("start, duration", [(0.0, 0.0), (0.2, 0.3)])
def test_a_part_at_a_smaller_size(tmp_path, truth, start, duration):
    path = made(tmp_path / "film_SBS.mkv", "sbsl", *FFV1)
    clip = opened(path, start=start, duration=duration, max_side=48)
    first = round(start * RATE)
    part = truth[:, first : first + round(duration * RATE) or None]
    assert (clip.info.width, clip.info.height, clip.info.frames) == (48, 26, part.shape[1])
    due = torch.stack([resize(torch.from_numpy(view.copy()) / 255, 26, 48) for view in part])
    assert np.array_equal(pixels(clip), (due * 255).round().byte().numpy())


# Other clips than complete files


def of_clip(clip, **options):
    return from_clip(clip, resolve(OPTIONS, options), "Extract Video")


def test_options_apply_to_the_clip_of_another_node(tmp_path, truth):
    path = made(tmp_path / "film_SBS.mkv", "sbsl", *FFV1)
    pair, mono = opened(path), opened(path, packing="mono")
    assert np.array_equal(pixels(of_clip(pair, swap_eyes=True)), truth[::-1])
    assert np.array_equal(pixels(of_clip(pair, view="right", start=0.2)), truth[1][2:])
    assert of_clip(mono).info.views == 1  # as it was decided
    assert np.array_equal(pixels(of_clip(mono, packing="full_sbs")), truth)
    part = Clip(FileSource(path, start=0.2, cuts=False))  # another pack's VIDEO
    assert np.array_equal(pixels(of_clip(part)), truth[:, 2:])
    frames = stereoreel.from_tensor(torch.from_numpy(np.concatenate([*truth], 1)), cuts=False)
    assert of_clip(frames).info.views == 1
    assert np.array_equal(pixels(of_clip(frames, packing="full_tb", swap_eyes=True)), truth[::-1])


@pytest.mark.parametrize("frames, cuts", [(60, ()), (60, (5, 38)), (41, (4,))])
def test_alternating_frames_come_in_pairs_however_they_are_read(host, frames, cuts):
    source = stereoreel.from_tensor(torch.rand(frames, 8, 8, 3), fps=50, cuts=False)
    due = [frame for chunk in stereoreel.frames(source) for frame in chunk]
    due += due[-1:] * (frames % 2)
    clip = of_clip(apply(Recut(", ".join(map(str, cuts)) or "none"), source)["clip"], packing="alternating")
    assert (clip.info.fps, clip.info.frames) == (25, (frames + 1) // 2)
    assert clip.info.cuts == tuple(cut // 2 for cut in cuts)
    for chunk_frames in (1, 5, 60):
        found = torch.cat(list(stereoreel.frames(clip, chunk_frames=chunk_frames)), 1)
        assert torch.equal(found, torch.stack((torch.stack(due[::2]), torch.stack(due[1::2]))))
    [some] = select_frames([clip], [1, 7, 13, 14])
    assert torch.equal(torch.cat(list(stereoreel.frames(some)), 1), found[:, [1, 7, 13, 14]])


# Repacking


def joined(axis):
    return lambda left, right: np.concatenate((left, right), axis)


def woven(rows, columns):
    def weave(left, right):
        y, x = np.indices(left.shape[1:3])
        return np.where(((y * rows + x * columns) % 2 == 0)[..., None], left, right)

    return weave


PACKED = {
    "full_sbs": joined(2),
    "full_tb": joined(1),
    "cross_eyed": lambda left, right: joined(2)(right, left),
    "left": lambda left, right: left,
    "right": lambda left, right: right,
    "interlaced_rows": woven(1, 0),
    "interlaced_columns": woven(0, 1),
    "checkerboard": woven(1, 1),
}
FILTERS = {"anaglyph_color": "arcc", "anaglyph_half_color": "arch", "anaglyph_gray": "arcg"}


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, id=kind.mode) for kind in (KINDS[1], KINDS[2], KINDS[10])]
)
def test_any_packing_becomes_any_other(tmp_path, kind):
    path = made(tmp_path / "film.mkv", kind.filter, *FFV1, "-metadata:s:v", f"stereo_mode={kind.mode}")
    views = eyes(path, kind.filter)
    for layout in (*PACKED, *FILTERS):
        [result] = stereoreel.write(opened(path), tmp_path / f"{layout}.mkv", layout=layout)
        if layout in PACKED:
            due = PACKED[layout](*views)
        else:
            due = shown(path, f"stereo3d={kind.filter}:{FILTERS[layout]}", WIDTH, HEIGHT)
        found = shown(result, "null", due.shape[2], due.shape[1]).astype(int)
        assert abs(found - due).max() <= 4, layout


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name not in ("mv_hevc", "rgbd", "half_rgbd")])
@pytest.mark.parametrize("name, format", [("film.mkv", "ffv1"), ("film.mp4", "h264_444")])
def test_own_files_open_as_they_were_written(tmp_path, truth, layout, name, format):
    source = made(tmp_path / "source_SBS.mkv", "sbsl", *FFV1)
    first, *_ = stereoreel.write(opened(source), tmp_path / name, layout=layout, format=format)
    clip = opened(first)
    separable = layout not in ("left", "right", "two_files", "wiggle")
    assert clip.info.views == 1 + separable
    assert opened(first, packing="mono").info.views == 1
    if layout == "vr180":
        assert clip.info.width == clip.info.height
    elif separable:
        assert (clip.info.width, clip.info.height, clip.info.frames) == (WIDTH, HEIGHT, FRAMES)
        if not layout.startswith("anaglyph"):
            error = abs(pixels(clip).astype(int) - truth).mean()
            assert error < (4 if layout in ("full_sbs", "full_tb", "cross_eyed") else 16)


def test_sound_and_times_are_kept(tmp_path):
    packed = made(tmp_path / "film.mkv", "sbsl", *FFV1)
    path = tmp_path / "film_SBS.mkv"
    ffmpeg(
        "-i", packed, "-f", "lavfi", "-i", "sine=440:d=1", "-vf", "setpts='if(lt(N,3),N,N+4)/10/TB'",
        "-fps_mode", "vfr", *FFV1, "-c:a", "aac", path,
    )  # fmt: skip
    [result] = stereoreel.write(opened(path), tmp_path / "out.mp4", layout="half_tb")

    def facts(file):
        with av.open(str(file)) as container:
            times = [round(float(frame.time), 3) for frame in container.decode(video=0)]
        with av.open(str(file)) as container:
            sound = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
        return [time - times[0] for time in times], sound

    (times, sound), (before, heard) = facts(result), facts(path)
    assert times == pytest.approx(before, abs=0.001)
    assert sound and sound == heard[: len(sound)] and len(heard) - len(sound) <= 2


def test_a_layout_without_two_views_is_reported(tmp_path, caplog):
    clip = opened(made(tmp_path / "film.mkv", "sbsl", *FFV1))
    stereoreel.write(clip, tmp_path / "first.mkv")
    assert not caplog.text
    stereoreel.write(clip, tmp_path / "second.mkv", layout="half_tb")
    assert "written without the layout half_tb. If its frames hold two, set packing" in caplog.text


def test_film_in_units_equals_one_run(tmp_path, caplog):
    caplog.set_level(logging.ERROR)
    path = made(tmp_path / "film.mkv", "al", *FFV1, "-metadata:s:v", "stereo_mode=block_lr")
    [whole] = stereoreel.write(opened(path), tmp_path / "whole.mkv", layout="full_sbs")
    [units] = stereoreel.write(opened(path), tmp_path / "units.mkv", layout="full_sbs", resume="on")
    size = 2 * WIDTH, HEIGHT
    assert np.array_equal(shown(whole, "null", *size), shown(units, "null", *size))


def test_alternating_views_stay_with_their_eyes_wherever_a_window_begins(tmp_path):
    """Frames 0, 2, 4 … are the left view, also if ``start`` is at an odd frame."""
    path = tmp_path / "film.mkv"
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=s=64x48:r={RATE}:d=1", *FFV1, path)
    whole = pixels(opened(path, packing="alternating"))
    for start in (1, 2, 3):
        part = pixels(opened(path, packing="alternating", start=start / RATE))
        first = -(-start // 2)
        assert np.array_equal(part, whole[:, first:])


def test_units_of_a_film_keep_the_eyes_of_alternating_frames_across_a_cut(tmp_path):
    path = tmp_path / "film.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=2.4", *FFV1, path)
    cut = apply(Recut("31"), opened(path))["clip"]  # inside a pair of frames
    clip = of_clip(cut, packing="alternating")
    parts = [pixels(excerpt([clip], unit)[0]) for unit in units([clip], 20)]
    assert len(parts) > 1 and np.array_equal(np.concatenate(parts, 1), pixels(clip))
